"""Rosters, workbooks, photos and archives for tests; nobody in them exists.

ID numbers carry the region 990000, which no authority issues, but for those of the acceptance
scenarios; check characters are right.
"""

import csv
import io
import zipfile

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import roster_pb2 as pb
from core.ids import check_character

STUDENTS = ("序号", "学号", "姓名", "性别", "班级", "身份证号", "联系电话", "照片文件名", "备注")
STAFF = ("序号", "工号", "姓名", "性别", "部门", "身份证号", "联系电话", "照片文件名", "备注")
CLASS = "2023级软件技术1班"
PIECE = 61_440
IMPORT_S = 120


def id_number(serial, birth=""):
    """Return a synthetic ID number with a right check character; another one per serial to 10**6."""
    day = serial // 1_000 % 1_000
    birth = birth or f"{1960 + day // 25}{1 + day % 12:02d}{1 + day % 25:02d}"
    first_17 = f"990000{birth}{serial % 1_000:03d}"
    return first_17 + check_character(first_17)


def row(number, name="", *, group=CLASS, id_text=None, phone="", photo=None, index=1):
    """Return one row of the sheet; what is not given is made up from the number."""
    name = name or f"测试{number[-3:]}"
    id_text = id_number(int(number) % 1_000_000) if id_text is None else id_text
    photo = f"{name}{number}.jpg" if photo is None else photo
    return [str(index), number, name, "女", group, id_text, phone, photo, ""]


def rows(count, *, first=200571020001, group=CLASS):
    """Return so many rows of one class."""
    return [
        row(str(first + at), group=group, phone=f"{at:011d}", index=at + 1) for at in range(count)
    ]


def as_csv(lines, *, heading=STUDENTS, encoding="utf-8-sig"):
    """Write a sheet as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([heading, *lines])
    return text.getvalue().encode(encoding)


def as_xlsx(lines, *, heading=STUDENTS, before=()):
    """Write a sheet as a workbook; `before` are rows above the heading."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    for line in (*before, heading, *lines):
        sheet.append(line)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def pieces(content):
    """Cut a file as it travels."""
    return [content[at : at + PIECE] for at in range(0, len(content), PIECE)]


class Imported:
    """What an import answered."""

    def __init__(self, responses):
        self.results, self.progress, self.summary = [], [], None
        for response in responses:
            part = response.WhichOneof("part")
            if part == "rows":
                self.results += response.rows.rows
            elif part == "progress":
                self.progress.append(response.progress)
            else:
                self.summary = response.summary

    @property
    def counts(self):
        """Added, changed, unchanged, refused, warned."""
        s = self.summary
        return s.added, s.changed, s.unchanged, s.refused, s.warned

    def result(self, account_no):
        """Return the one result of a number."""
        (found,) = [r for r in self.results if r.account_no == account_no]
        return found

    def reasons(self):
        """Return line to the names of its faults, of refused rows."""
        return {r.line: [f.reason for f in r.faults] for r in self.results if r.faults}

    def warnings(self):
        """Return line to the names of its warnings."""
        return {r.line: [f.reason for f in r.warnings] for r in self.results if r.warnings}


def import_requests(campus, content, *, name="roster.csv", **header):
    """Yield the messages of an import."""
    values = {
        "request_id": campus.request_id(),
        "file_name": name,
        "kind": accounts_pb.HOLDER_KIND_STUDENT,
    }
    yield pb.ImportHoldersRequest(header=pb.ImportHoldersHeader(**(values | header)))
    for piece in pieces(content):
        yield pb.ImportHoldersRequest(content=piece)


def import_roster(campus, content, *, member=None, **header):
    """Import a file; returns what was answered."""
    office = (member or campus).stub("CardOfficeService")
    requests = import_requests(campus, content, **header)
    return Imported(office.ImportHolders(requests, timeout=IMPORT_S))


# ---- photos ----


def jpeg(width=600, height=800, *, size=None, orientation=None, shade=120):
    """Make a JPEG; `size` pads it with a comment to exactly so many bytes."""
    from PIL import Image

    image = Image.new("RGB", (width, height), (shade, shade // 2, 30))
    content = io.BytesIO()
    options = {}
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010F] = "Secret Camera"
        options["exif"] = exif
    image.save(content, "JPEG", **options)
    made = content.getvalue()
    return made if size is None else padded(made, size)


def padded(content, size):
    """Insert comment segments after the first marker until a JPEG has exactly so many bytes."""
    missing = size - len(content)
    filler = b""
    while missing > 0:
        body = min(missing - 4, 65_000)
        if 0 < missing - 4 - body < 4:
            body -= 4
        filler += b"\xff\xfe" + (body + 2).to_bytes(2, "big") + b"x" * body
        missing = size - len(content) - len(filler)
    assert missing == 0
    return content[:2] + filler + content[2:]


def archive(files, *, method=zipfile.ZIP_STORED):
    """Make a zip archive of pairs of name and content; a ZipInfo may stand for a name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as made:
        for name, body in files:
            made.writestr(name, body)
    return content.getvalue()


class _Gbk(zipfile.ZipInfo):
    def _encodeFilenameFlags(self):  # noqa: N802 - of the standard library
        return self.filename.encode("gbk"), self.flag_bits


def gbk_entry(name):
    """Return an entry whose name is stored as GBK without saying so, as Windows does."""
    return _Gbk(name)


class Uploaded:
    """What an upload of an archive answered."""

    def __init__(self, responses):
        self.photos, self.summary = [], None
        for response in responses:
            part = response.WhichOneof("part")
            if part == "photos":
                self.photos += response.photos.photos
            elif part == "summary":
                self.summary = response.summary

    @property
    def counts(self):
        """Added, unchanged, refused."""
        return self.summary.added, self.summary.unchanged, self.summary.refused

    def reasons(self):
        """Return file name to reason, of refused entries."""
        return {p.file_name: p.fault.reason for p in self.photos if p.HasField("fault")}


def archive_requests(campus, content, **header):
    """Yield the messages of an upload."""
    values = {
        "request_id": campus.request_id(),
        "file_name": "photos.zip",
        "recent_frontal": True,
    }
    yield pb.UploadPhotoArchiveRequest(header=pb.UploadPhotoArchiveHeader(**(values | header)))
    for piece in pieces(content):
        yield pb.UploadPhotoArchiveRequest(content=piece)


def upload_archive(campus, content, *, member=None, **header):
    """Upload an archive; returns what was answered."""
    office = (member or campus).stub("CardOfficeService")
    requests = archive_requests(campus, content, **header)
    return Uploaded(office.UploadPhotoArchive(requests, timeout=IMPORT_S))


def upload_photo(campus, name, content, *, member=None, **fields):
    """Upload one photo."""
    values = {"request_id": campus.request_id(), "recent_frontal": True}
    request = pb.UploadPhotoRequest(file_name=name, content=content, **(values | fields))
    return (member or campus).stub("CardOfficeService").UploadPhoto(request, timeout=30)


def holder(campus, account_no, *, member=None):
    """Read a holder."""
    request = pb.GetHolderRequest(account_no=account_no)
    return (member or campus).stub("CardOfficeService").GetHolder(request, timeout=10).holder
