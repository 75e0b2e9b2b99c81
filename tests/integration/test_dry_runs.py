"""Dry runs of acts over many: each row as the act itself would have it, and nothing in the journal."""

import pytest

from campuscard.v1 import ops_service_pb2 as ops_pb
from tests.access import Gates
from tests.campus import CALL_S, Campus
from tests.cards import CardDesk, refused, uid
from tests.rosters import as_csv, import_roster, jpeg, rows, upload_photo

PRODUCED, IN_TRANSIT, ACTIVE = 1, 2, 3


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        running.set_time("2024-03-13 14:30")
        yield running


@pytest.fixture(scope="module")
def desk(campus):
    return CardDesk(campus)


def head_of(campus):
    """Return where the journal stands."""
    return campus.ops.GetHead(ops_pb.GetHeadRequest(), timeout=CALL_S).acknowledged_seq


def issued(campus, desk, count):
    """Issue a batch; returns its number, the account numbers and the UIDs."""
    accounts = [campus.open_account(card=False).account_no for _ in range(count)]
    uids = [uid() for _ in accounts]
    batch = desk.issue(*zip(accounts, uids, strict=True)).batch
    return batch, accounts, uids


def outcome(response):
    return [(item.account_no, item.state, item.reason) for item in response.results]


@pytest.mark.clause("三.1(1)")
def test_a_batch_is_handed_over_as_its_dry_run_said(campus, desk):
    batch, accounts, _ = issued(campus, desk, 5)
    desk("ReportLoss", account_no=accounts[1])
    before = head_of(campus)
    dry = desk("HandOver", batch=batch, dry_run=True)
    assert head_of(campus) == before
    assert not dry.HasField("act")
    assert (dry.handed_over, dry.remaining) == (4, 0)
    assert outcome(dry) == [
        (account, 0, "CARD_STATE") if account == accounts[1] else (account, IN_TRANSIT, "")
        for account in accounts
    ]
    assert [item.index for item in dry.results] == list(range(5))
    lost = dry.results[1]
    assert "已制卡+挂失" in lost.text_zh
    assert "PRODUCED+LOST" in lost.text_en
    assert "HAND_OVER" in lost.text_en
    done = desk("HandOver", batch=batch)
    assert (done.handed_over, done.remaining) == (4, 0)
    states = {a: desk.card(a).state for a in accounts}
    assert states == {a: PRODUCED if a == accounts[1] else IN_TRANSIT for a in accounts}
    again = desk("HandOver", batch=batch, dry_run=True)
    assert outcome(again) == [(accounts[1], 0, "CARD_STATE")]
    desk.refused("NOT_FOUND", "HandOver", batch=batch + 1_000, dry_run=True)
    desk.refused("FIELD_INVALID", "HandOver", batch=batch, after_card_no=1)


@pytest.mark.clause("三.1(1)")
def test_cards_are_activated_as_their_dry_run_said(campus, desk):
    batch, accounts, uids = issued(campus, desk, 4)
    desk("ReportLoss", account_no=accounts[0])
    desk("ActivateCards", uids=[uids[1]])
    wanted = [uids[0], uids[1], uids[2], uids[2], uid()]
    before = head_of(campus)
    dry = desk("ActivateCards", uids=wanted, dry_run=True)
    whole = desk("ActivateCards", batch=batch, dry_run=True)
    assert head_of(campus) == before
    assert outcome(dry) == [
        (accounts[0], 0, "CARD_STATE"),
        (accounts[1], 0, "CARD_STATE"),
        (accounts[2], ACTIVE, ""),
        (accounts[2], 0, "CARD_STATE"),
        ("", 0, "CARD_UNKNOWN"),
    ]
    assert (dry.activated, dry.HasField("act")) == (1, False)
    assert (whole.activated, whole.remaining) == (2, 0)
    assert outcome(whole) == [
        (accounts[0], 0, "CARD_STATE"),
        (accounts[2], ACTIVE, ""),
        (accounts[3], ACTIVE, ""),
    ]
    done = desk("ActivateCards", uids=wanted)
    assert [item.reason for item in done.results] == [item.reason for item in dry.results]
    assert desk("ActivateCards", batch=batch).activated == 1
    refused("FIELD_INVALID", desk, "ActivateCards", uids=wanted, dry_run=True, after_card_no=1)


@pytest.mark.slow
def test_a_batch_of_more_than_a_thousand_is_looked_at_in_pages(campus, desk):
    lines = rows(1_003, first=202471020001, group="2024级千人班")
    assert import_roster(campus, as_csv(lines)).counts[0] == 1_003
    numbers = [line[1] for line in lines]
    batch = desk.issue(*((number, uid()) for number in numbers[:1_000])).batch
    desk.issue(*((number, uid()) for number in numbers[1_000:]), batch=batch)
    first = desk("HandOver", batch=batch, dry_run=True)
    assert (first.handed_over, first.remaining, len(first.results)) == (1_000, 3, 1_000)
    last = first.results[-1].card_no
    rest = desk("HandOver", batch=batch, dry_run=True, after_card_no=last)
    assert (rest.handed_over, rest.remaining) == (3, 0)
    assert [item.account_no for item in (*first.results, *rest.results)] == numbers


@pytest.mark.clause("三.5(1)")
def test_a_class_is_taken_back_in_the_hours_of_its_dry_run(campus, desk):
    """What would be refused as a whole is refused in the dry run, too."""
    holder = campus.open_account(class_name="退卡班")
    box = {"class_name": "退卡班", "uids": [holder.medium.token]}
    dry = desk("ReturnCards", **box, dry_run=True)
    assert [(item.account_no, item.state, item.reason) for item in dry.results] == [
        (holder.account_no, 5, "")
    ]
    campus.change_parameter("counter_operations", "RETURN")
    campus.set_time("2024-03-16 14:30")
    campus.staff.sign_in()
    for dry_run in (True, False):
        desk.refused("OUTSIDE_SERVICE_HOURS", "ReturnCards", **box, dry_run=dry_run)


def test_members_come_and_go_as_their_dry_run_said(campus):
    gates = Gates(campus)
    gates.group("dry", kinds=[])
    first, second, third = (campus.open_account().account_no for _ in range(3))
    gates("PutMember", group_id="dry", account_nos=[first])
    asked = {"group_id": "dry", "account_nos": [first, second, third, second]}
    before = head_of(campus)
    dry = gates("PutMember", **asked, dry_run=True)
    assert [(item.account_no, item.changed) for item in dry.results] == [
        (first, False),
        (second, True),
        (third, True),
        (second, False),
    ]
    assert (dry.added, dry.HasField("act")) == (2, False)
    unknown = gates("PutMember", group_id="dry", account_nos=[second, "NOBODY"], dry_run=True)
    assert [item.reason for item in unknown.results] == ["", "NOT_FOUND"]
    assert (unknown.results[1].text_zh, unknown.results[1].text_en) == (
        "账户 不存在",
        "account not found",
    )
    out = gates("RemoveMember", group_id="dry", account_nos=[first, first, third], dry_run=True)
    assert [item.changed for item in out.results] == [True, False, False]
    assert out.removed == 1
    assert head_of(campus) == before
    refused("NOT_FOUND", gates, "PutMember", group_id="none", account_nos=[first], dry_run=True)
    assert gates("PutMember", **asked).added == 2


@pytest.mark.clause("三.1(3)")
def test_a_photo_is_checked_and_not_stored(campus):
    lines = rows(1, first=202471030001, group="照片班")
    import_roster(campus, as_csv(lines))
    name = lines[0][7]
    before = head_of(campus)
    files = sorted(path.name for path in (campus.data / "files").rglob("*"))
    dry = upload_photo(campus, name, jpeg(), dry_run=True)
    assert (dry.account_no, dry.version, dry.width, dry.height) == (lines[0][1], 1, 600, 800)
    assert not dry.HasField("act")
    refused("PHOTO_SIDES", upload_photo, campus, name, jpeg(801, 600), dry_run=True)
    assert head_of(campus) == before
    assert sorted(path.name for path in (campus.data / "files").rglob("*")) == files
    assert upload_photo(campus, name, jpeg()).version == 1
    assert upload_photo(campus, name, jpeg(), dry_run=True).version == 1, "the same photo"
    assert upload_photo(campus, name, jpeg(shade=9), dry_run=True).version == 2
