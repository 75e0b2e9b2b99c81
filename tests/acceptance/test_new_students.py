"""Scenario 17: new students, one of them without a photo; initial passwords, weak passwords.

Issuing and upgrading cards is told with the cards.
"""

import hashlib
import io

import pytest
from PIL import Image

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import roster_pb2 as pb
from tests.campus import Campus, reason_of
from tests.rosters import as_xlsx, holder, id_number, import_roster, jpeg, row, upload_photo

LI = "200571020399"
X_CASE = "200571020355"
PASSPORT = "200571020356"
CLASS = "2024级软件技术1班"


@pytest.fixture
def campus(tmp_path):
    with Campus(tmp_path) as running:
        yield running


def class_of_45():
    """45 rows: one bad check digit, two without a photo, an ID number in X, a passport."""
    lines = [
        row(str(200571020355 + at), f"学生{'一二三四五六七八九'[at % 9]}", group=CLASS)
        for at in range(43)
    ]
    lines[0][5] = "44070320050812123X"
    lines[1][5] = "E1234567"
    good = id_number(77)
    lines[20][5] = good[:-1] + ("1" if good[-1] != "1" else "2")
    lines[30][7] = lines[31][7] = ""
    lines.append(row(LI, "李四", group=CLASS))
    lines.append(row("200571020400", "王五", group=CLASS))
    return lines


@pytest.mark.clause("三.1(1)", "三.1(2)")
def test_new_students(campus):
    lines = class_of_45()
    assert len(lines) == 45
    content = as_xlsx(lines)
    found = import_roster(campus, content, name="信息收集汇总表.xlsx", class_name=CLASS)
    assert found.counts == (44, 0, 0, 1, 2)
    assert found.reasons() == {22: ["ROW_ID_CHECK"]}
    assert found.warnings() == {32: ["ROW_PHOTO_MISSING"], 33: ["ROW_PHOTO_MISSING"]}
    assert found.summary.sha256 == hashlib.sha256(content).digest()
    again = import_roster(campus, content, name="信息收集汇总表.xlsx", class_name=CLASS)
    assert again.counts == (0, 0, 44, 1, 2), "0 changes"

    for line in lines[:20] + lines[21:30] + lines[32:]:
        assert upload_photo(campus, line[7], jpeg()).version == 1
    office = campus.stub("CardOfficeService")
    photos = {
        wanted: len(
            office.ListHolders(
                pb.ListHoldersRequest(class_name=CLASS, photo=wanted, page_size=1_000)
            ).holders
        )
        for wanted in (pb.PHOTO_FILTER_WITH, pb.PHOTO_FILTER_WITHOUT)
    }
    assert photos == {pb.PHOTO_FILTER_WITH: 42, pb.PHOTO_FILTER_WITHOUT: 2}, "FORMAL and TEMPORARY"


@pytest.mark.clause("三.1(3)")
def test_photos_to_the_byte_and_the_pixel(campus):
    import_roster(campus, as_xlsx([row(LI, "李四", group=CLASS)]))
    name = f"李四{LI}.jpg"
    png = io.BytesIO()
    Image.new("RGB", (600, 800)).save(png, "PNG")
    assert reason_of(upload_photo, campus, name, jpeg(801, 600)) == "PHOTO_SIDES"
    too_large = jpeg(800, 800, size=2_097_153)
    assert reason_of(upload_photo, campus, name, too_large) == "PHOTO_TOO_LARGE"
    assert reason_of(upload_photo, campus, name, png.getvalue()) == "PHOTO_NOT_JPEG"
    assert reason_of(upload_photo, campus, f"{LI}李四.jpg", jpeg()) == "PHOTO_NAME"
    assert holder(campus, LI).photo_version == 0
    assert upload_photo(campus, name, jpeg(800, 800, size=2_097_152)).version == 1


@pytest.mark.parametrize(
    ("account_no", "id_text", "initial"),
    [(X_CASE, "44070320050812123X", "812123"), (PASSPORT, "E1234567", "888888")],
)
@pytest.mark.clause("四.3b", "五.2b")
def test_initial_and_weak_passwords(campus, account_no, id_text, initial):
    import_roster(campus, as_xlsx([row(account_no, "张三", group=CLASS, id_text=id_text)]))

    def change(old, new):
        request = accounts_pb.SetTransactionPasswordRequest(
            request_id=campus.request_id(), account_no=account_no, old_pin=old, new_pin=new
        )
        return campus.accounts.SetTransactionPassword(request, timeout=10)

    for weak in ("888888", account_no[3:9], "123456"):
        assert reason_of(change, initial, weak) == "WEAK_PASSWORD"
    change(initial, "904617")
    assert reason_of(change, initial, "904618") == "PASSWORD_REFUSED", "the initial one is gone"
