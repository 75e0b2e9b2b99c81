"""Photos through the public API: singly, in archives, kept and erased (regulation 三.1(3))."""

import io
import shutil
import zipfile

from PIL import Image

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import roster_pb2 as pb
from tests.campus import reason_of
from tests.rosters import (
    PIECE,
    archive,
    archive_requests,
    as_csv,
    gbk_entry,
    holder,
    import_roster,
    jpeg,
    row,
    upload_archive,
    upload_photo,
)

LIMIT = 2_097_152
ADDED, UNCHANGED, REFUSED = 1, 2, 3
A = "2024级A班"


def enter(campus, first, count, *, group=A, name="测试"):
    """Import so many holders; returns their photos' names."""
    lines = [
        row(str(first + at), f"{name}{'甲乙丙丁'[at % 4]}", group=group) for at in range(count)
    ]
    assert import_roster(campus, as_csv(lines)).counts[0] == count
    return [line[7] for line in lines]


def photo(campus, account_no, version=0, *, member=None):
    request = pb.GetPhotoRequest(account_no=account_no, version=version)
    return (member or campus).stub("CardOfficeService").GetPhoto(request, timeout=10)


def stored(campus):
    return sorted(path for path in (campus.data / "files").rglob("*") if path.is_file())


def test_one_photo_after_another_newest_wins_and_both_are_kept(campus):
    (name,) = enter(campus, 202400000001, 1)
    assert holder(campus, "202400000001").photo_version == 0
    assert reason_of(photo, campus, "202400000001") == "NOT_FOUND"
    first = upload_photo(campus, name, jpeg(600, 800))
    assert (first.version, first.width, first.height) == (1, 600, 800)
    second = upload_photo(campus, name.replace(".jpg", ".JPEG"), jpeg(300, 400, shade=10))
    assert (second.version, second.width, second.height) == (2, 300, 400)
    assert holder(campus, "202400000001").photo_version == 2
    newest, oldest = photo(campus, "202400000001"), photo(campus, "202400000001", 1)
    assert (newest.version, newest.width) == (2, 300)
    assert (oldest.version, oldest.width) == (1, 600)
    with Image.open(io.BytesIO(newest.content)) as image:
        assert (image.format, image.size) == ("JPEG", (300, 400))
    assert reason_of(photo, campus, "202400000001", 3) == "NOT_FOUND"


def test_the_same_photo_again_is_the_same_act(campus):
    (name,) = enter(campus, 202400000011, 1)
    request_id, content = campus.request_id(), jpeg(shade=77)
    first = upload_photo(campus, name, content, request_id=request_id)
    assert upload_photo(campus, name, content, request_id=request_id).act.replayed
    again = upload_photo(campus, name, content)
    assert (again.version, again.act.seq) == (1, first.act.seq)
    other = jpeg(shade=78)
    assert (
        reason_of(upload_photo, campus, name, other, request_id=request_id) == "REQUEST_ID_REUSED"
    )


def test_photos_are_refused_with_their_reason(campus):
    """Scenario 17: 801x600, 2 097 153 B, PNG as jpg, a wrong name."""
    (name,) = enter(campus, 202400000021, 1)
    png = io.BytesIO()
    Image.new("RGB", (10, 10)).save(png, "PNG")
    refused = {
        "PHOTO_SIDES": (name, jpeg(801, 600)),
        "PHOTO_TOO_LARGE": (name, jpeg(800, 800, size=LIMIT + 1)),
        "PHOTO_NOT_JPEG": (name, png.getvalue()),
        "PHOTO_NAME": ("202400000021测试甲.jpg", jpeg()),
        "PHOTO_UNREADABLE": (name, jpeg()[:500]),
    }
    for reason, (file_name, content) in refused.items():
        assert reason_of(upload_photo, campus, file_name, content) == reason
    for bad in (f"../{name}", f"照片/{name}", name[:-4], "李四202400000021.jpg", "测试甲1.jpg", ""):
        assert reason_of(upload_photo, campus, bad, jpeg()) == "PHOTO_NAME"
    unseen = {"recent_frontal": False}
    assert reason_of(upload_photo, campus, name, jpeg(), **unseen) == "PHOTO_NOT_ATTESTED"
    assert reason_of(upload_photo, campus, name, b"x" * (4 << 20)) == "MESSAGE_TOO_LARGE"
    assert holder(campus, "202400000021").photo_version == 0
    assert upload_photo(campus, name, jpeg(800, 800, size=LIMIT)).version == 1


def test_orientation_counts_before_it_is_thrown_away(campus):
    (name,) = enter(campus, 202400000031, 1)
    found = upload_photo(campus, name, jpeg(500, 300, orientation=6))
    assert (found.width, found.height) == (300, 500)
    assert b"Secret Camera" not in photo(campus, "202400000031").content


def test_an_archive_entry_by_entry(campus):
    names = enter(campus, 202400000101, 12)
    link = zipfile.ZipInfo(names[5])
    link.create_system, link.external_attr = 3, 0o120777 << 16
    png = io.BytesIO()
    Image.new("RGB", (10, 10)).save(png, "PNG")
    files = [
        (names[0], jpeg(shade=1)),
        (gbk_entry(names[1]), jpeg(shade=2)),
        (names[2], jpeg(801, 600)),
        (names[3], png.getvalue()),
        (f"班/{names[4]}", jpeg()),
        (link, b"/etc/passwd"),
        (names[0].replace(".jpg", ".jpeg"), jpeg(shade=3)),
        ("李四202400000107.jpg", jpeg()),
        ("/" + names[7], jpeg()),
        (f"../{names[8]}", jpeg()),
        (names[9], jpeg(size=LIMIT + 1)),
        (names[10], jpeg()[:300]),
        ("Thumbs.db", b"x"),
        ("一个文件夹/", b""),
    ]
    found = upload_archive(campus, archive(files))
    assert found.counts == (2, 0, 11)
    assert found.summary.photos == 13, "a folder is nothing"
    assert found.reasons() == {
        names[2]: "PHOTO_SIDES",
        names[3]: "PHOTO_NOT_JPEG",
        f"班/{names[4]}": "ENTRY_REFUSED",
        names[5]: "ENTRY_REFUSED",
        names[0].replace(".jpg", ".jpeg"): "PHOTO_TWICE",
        "李四202400000107.jpg": "PHOTO_NAME",
        "/" + names[7]: "ENTRY_REFUSED",
        f"../{names[8]}": "ENTRY_REFUSED",
        names[9]: "PHOTO_TOO_LARGE",
        names[10]: "PHOTO_UNREADABLE",
        "Thumbs.db": "PHOTO_NAME",
    }
    assert [(p.file_name, p.outcome, p.version) for p in found.photos[:2]] == [
        (names[0], ADDED, 1),
        (names[1], ADDED, 1),
    ]
    assert holder(campus, "202400000102").photo_version == 1
    assert holder(campus, "202400000103").photo_version == 0
    again = upload_archive(campus, archive(files))
    assert again.counts == (0, 2, 11)


def test_a_dry_run_of_an_archive_writes_nothing(campus):
    names = enter(campus, 202400000201, 3)
    files = archive([(name, jpeg(shade=40)) for name in names])
    before = stored(campus)
    dry = upload_archive(campus, files, dry_run=True)
    assert dry.counts == (3, 0, 0)
    assert dry.summary.dry_run
    assert stored(campus) == before
    assert holder(campus, "202400000201").photo_version == 0
    assert upload_archive(campus, files).counts == (3, 0, 0)
    assert upload_archive(campus, files, dry_run=True).counts == (0, 3, 0)


def test_packed_bombs_are_refused_by_entry(campus):
    names = enter(campus, 202400000301, 2)
    bomb = jpeg() + b"\0" * (LIMIT - 20_000)
    files = archive([(names[0], bomb), (names[1], jpeg())], method=zipfile.ZIP_DEFLATED)
    found = upload_archive(campus, files)
    assert found.counts == (1, 0, 1)
    assert found.reasons() == {names[0]: "ENTRY_REFUSED"}


def lying_directory():
    """An archive whose end claims zip64, and one whose directory has a million entries."""
    good = archive([("a.jpg", b"x")])
    end = good.rindex(b"PK\x05\x06")
    zip64 = good[:end] + b"PK\x06\x07" + bytes(16) + good[end:]
    many = archive([(f"{at}.jpg", b"") for at in range(6_001)])
    parts = bytearray(good)
    parts[end + 4] = 1
    return zip64, many, bytes(parts)


def test_archives_that_are_none_or_too_much(campus):
    for content in (b"", b"x" * 90, archive([("a.jpg", b"x")])[:-10], *lying_directory()):
        assert reason_of(upload_archive, campus, content) == "FILE_REFUSED"
    assert upload_archive(campus, archive([])).summary.photos == 0
    unseen = {"recent_frontal": False}
    assert reason_of(upload_archive, campus, archive([]), **unseen) == "PHOTO_NOT_ATTESTED"
    office = campus.stub("CardOfficeService")
    header = next(archive_requests(campus, b""))
    for messages in ((), (header, header), (pb.UploadPhotoArchiveRequest(content=b"x"),)):
        assert reason_of(lambda m=messages: list(office.UploadPhotoArchive(iter(m)))) == (
            "FIELD_INVALID"
        )
    big = pb.UploadPhotoArchiveRequest(content=b"x" * (PIECE + 1))
    assert reason_of(lambda: list(office.UploadPhotoArchive(iter((header, big))))) == (
        "FIELD_INVALID"
    )


def test_a_damaged_entry_leaves_the_others(campus):
    names = enter(campus, 202400000401, 2)
    content = bytearray(archive([(names[0], jpeg()), (names[1], jpeg())]))
    content[content.index(b"\xff\xd8\xff") + 700] ^= 0xFF
    found = upload_archive(campus, bytes(content))
    assert found.counts == (1, 0, 1)
    assert found.reasons() == {names[0]: "ENTRY_REFUSED"}


def test_class_teachers_send_and_see_their_own(campus):
    teacher = campus.member("photo-teacher", ("CLASS_TEACHER", A))
    (own,) = enter(campus, 202400000501, 1)
    (other,) = enter(campus, 202400000511, 1, group="2024级B班")
    assert upload_photo(campus, own, jpeg(), member=teacher).version == 1
    refused = upload_archive(campus, archive([(other, jpeg())]), member=teacher)
    assert refused.reasons() == {other: "NOT_YOUR_CLASS"}
    assert reason_of(upload_photo, campus, other, jpeg(), member=teacher) == "NOT_YOUR_CLASS"
    assert photo(campus, "202400000501", member=teacher).version == 1
    assert reason_of(photo, campus, "202400000511", member=teacher) == "NOT_YOUR_CLASS"


def test_an_erased_holders_photos_cannot_be_read(campus):
    (name,) = enter(campus, 202400000601, 1)
    upload_photo(campus, name, jpeg())
    for status in (accounts_pb.ACCOUNT_STATUS_CLOSING, accounts_pb.ACCOUNT_STATUS_CLOSED):
        request = accounts_pb.SetAccountStatusRequest(
            request_id=campus.request_id(), account_no="202400000601", status=status, note="毕业"
        )
        campus.accounts.SetAccountStatus(request, timeout=10)
    campus.accounts.EraseHolder(
        accounts_pb.EraseHolderRequest(
            request_id=campus.request_id(), account_no="202400000601", reason="本人申请"
        )
    )
    assert reason_of(photo, campus, "202400000601") == "HOLDER_ERASED"
    assert reason_of(upload_photo, campus, name, jpeg()) == "PHOTO_NAME"


def test_photos_outlive_the_registry_and_a_crash(own_campus):
    with own_campus as campus:
        names = enter(campus, 202400000001, 20)
        upload_archive(campus, archive([(name, jpeg(shade=9)) for name in names]))
        upload_photo(campus, names[3], jpeg(shade=10))
        before = [photo(campus, f"2024000000{at:02}") for at in range(1, 21)]
        campus.kill9()
        shutil.rmtree(campus.data / "registry")
        campus.restart()
        assert [photo(campus, f"2024000000{at:02}") for at in range(1, 21)] == before
        assert before[3].version == 2
        files = stored(campus)
        assert len(files) == 21
        content = files[0].read_bytes()
        assert b"\xff\xd8\xff" not in content[:64], "sealed"
        for path in files:
            path.write_bytes(content[:-1])
        assert reason_of(photo, campus, "202400000001") == "PHOTO_LOST"
