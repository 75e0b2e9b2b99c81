"""Rosters through the public API: results, scope, resuming, rebuilding (regulation 三.1)."""

import shutil
import threading
import time

import grpc
import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import card_office_service_pb2 as cards_pb
from campuscard.v1 import roster_pb2 as pb
from tests.campus import Campus, reason_of
from tests.cards import PDF, CardDesk, uid
from tests.rosters import (
    PIECE,
    STAFF,
    as_csv,
    as_xlsx,
    holder,
    id_number,
    import_requests,
    import_roster,
    jpeg,
    row,
    rows,
    upload_photo,
)

ADDED, CHANGED, UNCHANGED, REFUSED = 1, 2, 3, 4
A, B = "2024级A班", "2024级B班"


def numbers(first, count):
    return [str(first + at) for at in range(count)]


def listed(campus, *, member=None, **fields):
    """Return all holders of a filter, through pages of seven."""
    office, token, found = (member or campus).stub("CardOfficeService"), "", []
    while True:
        request = pb.ListHoldersRequest(page_size=7, page_token=token, **fields)
        page = office.ListHolders(request, timeout=10)
        found += page.holders
        token = page.next_page_token
        if not token:
            return found
        assert len(page.holders) == 7


def seq(campus):
    return campus.stub("CardOfficeService").ListHolders(pb.ListHoldersRequest()).as_of_seq


def change(campus, account_no, *, member=None, **fields):
    values = {"request_id": campus.request_id(), "account_no": account_no, "reason": "test"}
    request = pb.ChangeHolderRequest(**(values | fields))
    return (member or campus).stub("CardOfficeService").ChangeHolder(request, timeout=10)


@pytest.mark.clause("三.1(1)")
def test_a_roster_comes_in_and_again_and_changed(campus):
    lines = rows(100, first=202400000001, group=A)
    first = import_roster(campus, as_csv(lines))
    assert first.counts == (100, 0, 0, 0, 0)
    assert [(r.line, r.account_no, r.outcome) for r in first.results] == [
        (2 + at, line[1], ADDED) for at, line in enumerate(lines)
    ]
    assert first.summary.act.seq
    assert len(first.summary.sha256) == 32
    before = seq(campus)
    again = import_roster(campus, as_xlsx(lines))
    assert again.counts == (0, 0, 100, 0, 0), "the same rows from a workbook"
    assert seq(campus) == before + 1, "the form, and nothing else"
    lines[3][2], lines[3][7] = "测试改名", "测试改名202400000004.jpg"
    lines[70][4] = B
    third = import_roster(campus, as_csv(lines))
    assert third.counts == (0, 2, 98, 0, 0)
    assert {r.line for r in third.results if r.outcome == CHANGED} == {5, 72}
    assert holder(campus, "202400000004").name == "测试改名"
    assert holder(campus, "202400000071").class_name == B


def test_a_holder_of_a_roster_has_an_account_and_its_passwords(campus):
    import_roster(campus, as_csv([row("202400000201", group=A, id_text="44070320050812123X")]))
    pos = campus.terminal("POS-R1")
    request = accounts_pb.GetAccountRequest(account_no="202400000201")
    account = campus.accounts.GetAccount(request).account
    assert account.must_change_pin
    assert account.status == accounts_pb.ACCOUNT_STATUS_NORMAL
    assert account.kind == accounts_pb.HOLDER_KIND_STUDENT
    campus.accounts.BindMedium(
        accounts_pb.BindMediumRequest(
            request_id=campus.request_id(),
            account_no="202400000201",
            medium=medium(b"\x07" * 4),
        )
    )
    campus.accounts.TopUp(
        accounts_pb.TopUpRequest(
            request_id=campus.request_id(),
            account_no="202400000201",
            source=accounts_pb.TOP_UP_SOURCE_CASH,
            channel_txn_id="R-roster",
            amount_fen=20_000,
        )
    )
    found = campus.stub("CardOfficeService").GetHolder(
        pb.GetHolderRequest(medium=medium(b"\x07" * 4))
    )
    assert found.holder.account_no == "202400000201"
    answer = pos.pay(medium(b"\x07" * 4), 6_000, pin="812123")
    assert answer.reason == "OK", "the initial password works over the limit"


def medium(token):
    from campuscard.v1 import terminal_service_pb2

    return terminal_service_pb2.Medium(type=2, token=token)


def test_bad_rows_never_stop_the_others(campus):
    lines = rows(20, first=202400000301, group=A)
    lines[4][5] = lines[4][5][:-1] + ("1" if lines[4][5][-1] != "1" else "2")
    lines[7][2] = ""
    lines[8][1] = lines[0][1]
    lines[9][7] = ""
    lines[11][5] = lines[10][5]
    found = import_roster(campus, as_csv(lines))
    assert found.counts == (17, 0, 0, 3, 2)
    assert found.reasons() == {6: ["ROW_ID_CHECK"], 9: ["ROW_FIELD_MISSING"], 10: ["ROW_DUPLICATE"]}
    assert found.warnings() == {11: ["ROW_PHOTO_MISSING"], 13: ["ROW_ID_SHARED"]}
    (fault,) = found.results[4].faults
    assert (fault.field, fault.text_zh) == ("身份证号", "身份证号: 校验码不符")
    assert import_roster(campus, as_csv(lines)).counts == (0, 0, 17, 3, 3), (
        "now both who share an ID number are told"
    )


@pytest.mark.clause("一.2")
def test_students_and_staff_share_one_space_of_numbers(campus):
    import_roster(campus, as_csv([row("20240401", group=A)]))
    staff = as_csv(
        [row("20240401", group="教务处"), row("20240402", group="教务处")], heading=STAFF
    )
    kind = accounts_pb.HOLDER_KIND_STAFF
    found = import_roster(campus, staff, kind=kind)
    assert found.counts[:4] == (1, 0, 0, 1)
    assert found.reasons() == {2: ["ROW_NUMBER_TAKEN"]}
    assert holder(campus, "20240402").kind == kind
    assert holder(campus, "20240401").class_name == A


def test_a_dry_run_says_the_same_and_writes_nothing(campus):
    lines = rows(70, first=202400000501, group=A)
    lines[5][2] = ""
    before = seq(campus)
    dry = import_roster(campus, as_csv(lines), dry_run=True)
    assert seq(campus) == before
    assert dry.summary.dry_run
    assert not dry.summary.HasField("act")
    wet = import_roster(campus, as_csv(lines))
    assert dry.counts == wet.counts == (69, 0, 0, 1, 0)
    assert [(r.line, r.outcome) for r in dry.results] == [(r.line, r.outcome) for r in wet.results]


def test_a_malformed_file_changes_nothing(campus):
    before = seq(campus)
    good = as_csv(rows(200, first=202400000601))
    for content in (good + b'9,"x', good + b"\xff\xff", as_xlsx(rows(9))[:-30], b"x", b""):
        assert reason_of(import_roster, campus, content) == "FILE_REFUSED"
    assert seq(campus) == before
    assert reason_of(holder, campus, "202400000601") == "NOT_FOUND"


def test_headers_and_pieces(campus):
    office, good = campus.stub("CardOfficeService"), as_csv(rows(1))

    def send(*messages):
        return list(office.ImportHolders(iter(messages), timeout=20))

    content = pb.ImportHoldersRequest(content=b"x")
    header = next(import_requests(campus, good))
    for messages in ((), (content,), (header, header), (header, pb.ImportHoldersRequest())):
        assert reason_of(send, *messages) == "FIELD_INVALID"
    for bad in (
        {"request_id": "x"},
        {"name": "a/b.csv"},
        {"name": ""},
        {"kind": 0},
        {"kind": accounts_pb.HOLDER_KIND_OPERATOR},
        {"class_name": "a\x07"},
    ):
        assert reason_of(import_roster, campus, good, **bad) == "FIELD_INVALID"
    big = pb.ImportHoldersRequest(content=b"x" * (PIECE + 1))
    assert reason_of(send, header, big) == "FIELD_INVALID"
    piece = pb.ImportHoldersRequest(content=b"x" * PIECE)
    assert reason_of(send, header, *[piece] * 547) == "FILE_TOO_LARGE"


def test_a_request_id_is_of_one_file(campus):
    request_id = campus.request_id()
    content = as_csv(rows(3, first=202400000701))
    first = import_roster(campus, content, request_id=request_id)
    again = import_roster(campus, content, request_id=request_id)
    assert again.summary.act.replayed
    assert again.summary.act.seq == first.summary.act.seq
    assert (first.summary.first_seq, again.summary.first_seq) == (0, first.summary.act.seq)
    assert again.counts == (0, 0, 3, 0, 0)
    other = as_csv(rows(4, first=202400000701))
    assert reason_of(import_roster, campus, other, request_id=request_id) == "REQUEST_ID_REUSED"


@pytest.mark.clause("三.1(2)", "六.2")
def test_class_teachers_bring_their_own_class(campus):
    teacher = campus.member("teacher-a", ("CLASS_TEACHER", A))
    import_roster(campus, as_csv(rows(1, first=202400000890, group=B)))
    lines = rows(2, first=202400000801, group=A) + rows(1, first=202400000811, group=B)
    lines.append(row("202400000890", group=A))
    found = import_roster(campus, as_csv(lines), member=teacher)
    assert found.counts[:4] == (2, 0, 0, 2)
    assert found.reasons() == {4: ["NOT_YOUR_CLASS"], 5: ["NOT_YOUR_CLASS"]}, (
        "neither a row of B, nor a holder of B taken into A"
    )
    assert holder(campus, "202400000890").class_name == B
    own = {"member": teacher}
    assert reason_of(import_roster, campus, as_csv(lines), class_name=B, **own) == "NOT_YOUR_CLASS"
    staff = {"kind": accounts_pb.HOLDER_KIND_STAFF} | own
    content = as_csv([row("20240801", group=A)], heading=STAFF)
    assert reason_of(import_roster, campus, content, **staff) == "NOT_YOUR_CLASS"
    assert reason_of(holder, campus, "202400000890", member=teacher) == "NOT_YOUR_CLASS"
    assert holder(campus, "202400000801", member=teacher).class_name == A
    assert {h.class_name for h in listed(campus, member=teacher)} == {A}, "their only class"
    assert reason_of(listed, campus, member=teacher, class_name=B) == "NOT_YOUR_CLASS"
    assert reason_of(change, campus, "202400000801", name="李四", **own) == "FORBIDDEN"
    both = campus.member("teacher-officer", ("CLASS_TEACHER", A), "CARD_OFFICER")
    assert holder(campus, "202400000890", member=both).class_name == B, "an officer sees all"


def test_one_class_of_a_file(campus):
    lines = rows(2, first=202400000901, group=A) + rows(2, first=202400000911, group=B)
    found = import_roster(campus, as_csv(lines), class_name=B)
    assert found.counts[:4] == (2, 0, 0, 2)
    assert found.reasons() == {2: ["ROW_CLASS_OTHER"], 3: ["ROW_CLASS_OTHER"]}


def test_lists_by_every_filter_and_in_order(campus):
    group = "2024级列表班"
    lines = [
        row(str(202400001001 + at), "甲乙丙"[at % 3] + f"生{at:02}", group=group)
        for at in range(30)
    ]
    import_roster(campus, as_csv(lines))
    found = listed(campus, class_name=group)
    assert [h.account_no for h in found] == numbers(202400001001, 30)
    by_name = listed(campus, name_prefix="甲生", class_name=group)
    assert [h.name for h in by_name] == [f"甲生{at:02}" for at in range(0, 30, 3)]
    assert len(listed(campus, account_no_prefix="20240000100")) == 9
    assert len(listed(campus, class_name=group, photo=pb.PHOTO_FILTER_WITHOUT)) == 30
    assert not listed(campus, class_name=group, photo=pb.PHOTO_FILTER_WITH)
    change(campus, "202400001001", status=pb.HOLDER_STATUS_ON_LEAVE)
    (on_leave,) = listed(campus, class_name=group, status=pb.HOLDER_STATUS_ON_LEAVE)
    assert on_leave.account_no == "202400001001"
    request = pb.ListHoldersRequest(class_name=group, page_size=7)
    page = campus.stub("CardOfficeService").ListHolders(request)
    request = pb.ListHoldersRequest(class_name=A, page_token=page.next_page_token)
    assert reason_of(campus.stub("CardOfficeService").ListHolders, request) == "PAGE_TOKEN_INVALID"


def test_holders_change_by_their_etag(campus):
    import_roster(campus, as_csv([row("202400001101", group=A, phone="13800138000")]))
    before = holder(campus, "202400001101")
    after = change(campus, "202400001101", name=" 测试新名 ", phone="", etag=before.etag)
    found = holder(campus, "202400001101")
    assert (found.name, found.phone, found.class_name) == ("测试新名", "", A)
    assert found.etag == after.etag != before.etag
    assert reason_of(change, campus, "202400001101", name="x", etag=before.etag) == "CONFLICT"
    for fields in ({"name": ""}, {"name": "a\x00"}, {"phone": "x"}, {"class_name": "x" * 65}, {}):
        assert reason_of(change, campus, "202400001101", **fields) == "FIELD_INVALID"
    assert reason_of(change, campus, "202400001102", name="x") == "NOT_FOUND"
    left = pb.HOLDER_STATUS_STAFF_LEFT
    assert reason_of(change, campus, "202400001101", status=left, reason="x") == "HOLDER_STATUS"
    graduated = pb.HOLDER_STATUS_GRADUATED
    answer = change(campus, "202400001101", status=graduated, reason="2024届毕业")
    assert answer.status == graduated
    assert holder(campus, "202400001101").status == graduated


def test_erased_holders_stay_erased(campus):
    import_roster(campus, as_csv([row("202400001201", group=A, phone="13800138000")]))
    close(campus, "202400001201")
    campus.accounts.EraseHolder(
        accounts_pb.EraseHolderRequest(
            request_id=campus.request_id(), account_no="202400001201", reason="本人申请"
        )
    )
    found = holder(campus, "202400001201")
    assert found.erased
    assert (found.name, found.class_name, found.phone) == ("", "", "")
    again = import_roster(campus, as_csv([row("202400001201", group=A)]))
    assert again.reasons() == {2: ["HOLDER_ERASED"]}
    assert reason_of(change, campus, "202400001201", name="x") == "HOLDER_ERASED"


def close(campus, account_no):
    for status in (accounts_pb.ACCOUNT_STATUS_CLOSING, accounts_pb.ACCOUNT_STATUS_CLOSED):
        request = accounts_pb.SetAccountStatusRequest(
            request_id=campus.request_id(), account_no=account_no, status=status, note="毕业"
        )
        campus.accounts.SetAccountStatus(request, timeout=10)


def test_two_imports_of_one_file_at_the_same_time(campus):
    content = as_csv(rows(300, first=202400002001, group=A))
    found = [None, None]

    def run(place):
        found[place] = import_roster(campus, content)

    threads = [threading.Thread(target=run, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    added, unchanged = (sum(f.counts[at] for f in found) for at in (0, 2))
    assert (added, unchanged) == (300, 300), "every holder once, whoever came first"
    assert len(listed(campus, account_no_prefix="2024000020")) == 99


def test_a_third_file_waits_its_turn(campus):
    """Two at once: a file in hand costs memory, so the third is told to come back."""
    office = campus.stub("CardOfficeService")
    gate = threading.Event()

    def slow():
        yield from import_requests(campus, b"x" * PIECE)
        gate.wait(20)

    calls = [office.ImportHolders(slow(), timeout=30) for _ in range(2)]
    end = time.monotonic() + 10
    while reason_of(import_roster, campus, b"") != "QUEUE_FULL":
        assert time.monotonic() < end
    gate.set()
    for call in calls:
        assert reason_of(list, call) == "FILE_REFUSED"


def test_a_full_table_ends_an_import_that_goes_on_when_there_is_room(tmp_path):
    content = as_csv(rows(100, first=202400000001, group=A))
    settings = {"engine": {"accounts_max": 64}}
    with Campus(tmp_path, settings=settings) as campus:
        assert reason_of(import_roster, campus, content) == "TABLE_FULL"
        there = len(listed_all(campus))
        assert 0 < there <= 64
        assert there % 8 == 0, "acts are whole"
        campus.stop()
        campus._settings["engine"]["accounts_max"] = 1_024
        campus.restart()
        assert import_roster(campus, content).counts == (100 - there, 0, there, 0, 0)


@pytest.mark.slow
def test_an_interrupted_import_goes_on_with_the_same_file(tmp_path):
    """Killed in the middle: everything before the answer is there, and the file sent again adds the rest."""
    with Campus(tmp_path) as campus:
        content = as_csv(rows(4_000, first=202400000001, group=A))
        told = []

        def until_killed():
            office = campus.stub("CardOfficeService")
            for response in office.ImportHolders(import_requests(campus, content), timeout=60):
                told.extend(row.account_no for row in response.rows.rows)
                if len(told) >= 1_000:
                    campus.kill9()

        with pytest.raises(grpc.RpcError):
            until_killed()
        campus.restart()
        again = import_roster(campus, content)
        added, changed, unchanged, refused, _ = again.counts
        assert added + unchanged == 4_000
        assert (changed, refused) == (0, 0)
        assert unchanged >= len(told) >= 1_000
        assert added > 0
        outcome = {r.account_no: r.outcome for r in again.results}
        assert {outcome[account_no] for account_no in told} == {UNCHANGED}, "nothing told was lost"
        assert len({h.number for h in listed_all(campus)}) == 4_000
        assert import_roster(campus, content).counts == (0, 0, 4_000, 0, 0)


def listed_all(campus):
    office, token, found = campus.stub("CardOfficeService"), "", []
    while True:
        request = pb.ListHoldersRequest(page_size=1_000, page_token=token)
        page = office.ListHolders(request, timeout=10)
        found += page.holders
        token = page.next_page_token
        if not token:
            return found


def test_a_rebuilt_registry_says_the_same(own_campus):
    with own_campus as campus:
        lines = rows(60, first=202400000001, group=A)
        import_roster(campus, as_csv(lines))
        lines[2][4] = B
        import_roster(campus, as_csv(lines))
        change(campus, lines[7][1], status=pb.HOLDER_STATUS_GRADUATED, reason="毕业")
        change(campus, lines[8][1], phone="13900139000")
        lines[8][6] = "13900139000"
        before = listed_all(campus)
        campus.stop()
        shutil.rmtree(campus.data / "registry")
        campus.restart()
        assert listed_all(campus) == before
        assert import_roster(campus, as_csv(lines)).counts == (0, 0, 60, 0, 0), (
            "the secrets are the same too: a blank telephone takes nothing away"
        )


@pytest.mark.clause("四.3b", "七.3")
def test_no_personal_field_is_kept_in_the_clear(own_campus):
    """Of journal, log, state and files; the registry has names and telephones, never ID numbers."""
    secret, phone, later = id_number(7, "20050812"), "13987651234", "13987651235"
    name, new_name, number = "密名人", "改名人", "202400000001"
    marks = b"canary-of-a-form"
    with own_campus as campus:
        lines = [
            row(number, name, id_text=secret, phone=phone),
            row("202400000002", "密名", id_text="1"),
        ]
        import_roster(campus, as_csv(lines))
        upload_photo(campus, f"{name}{number}.jpg", with_comment(jpeg(), marks))
        change(campus, number, name=new_name, phone=later)
        with pytest.raises(grpc.RpcError):
            upload_photo(campus, f"{name}{number}.jpg", jpeg())
        desk = CardDesk(campus)
        desk.issue((number, uid()))
        desk("ReportLoss", account_no=number)
        case_no = desk("OpenReplacement", account_no=number).case_no
        form = PDF + marks + new_name.encode()
        desk("AttachDocument", case_no=case_no, paper=cards_pb.CASE_PAPER_FORM, content=form)
        campus.stop()
        names = [text.encode() for text in (name, new_name, phone, later)]
        kinds = set()
        for path in campus.directory.rglob("*"):
            if not path.is_file():
                continue
            content = path.read_bytes()
            kinds.add(path.relative_to(campus.directory).parts[1 if "data" in path.parts else 0])
            assert secret.encode() not in content, path
            assert marks not in content, path
            if "registry" not in path.parts:
                assert not [text for text in names if text in content], path
        assert {"files", "journal"} <= kinds, kinds


def with_comment(picture, text):
    """Return a JPEG with a comment in its head."""
    return picture[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + picture[2:]
