"""Switches of the list of open questions, the other way: each decides at a running server at once."""

import pytest

from campuscard.v1 import card_office_service_pb2 as cards_pb
from tests.access import Gates
from tests.campus import Campus
from tests.cards import CardDesk, refused, state_of, uid
from tests.rosters import as_csv, import_roster, jpeg, rows, upload_photo
from tests.self_service import SelfService

FRIDAY = "2024-03-15 14:40"
FIRST_DAY = 19_795  # 2024-03-13


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        yield running


@pytest.fixture
def desk(campus):
    return CardDesk(campus)


@pytest.mark.clause("三.1(1)", "三.1(3)")
def test_bounds_of_rosters_and_photos(campus):
    campus.change_parameter("import_rows_max", 2)
    refused("ROSTER_TOO_LONG", import_roster, campus, as_csv(rows(3)))
    imported = rows(2)
    assert import_roster(campus, as_csv(imported)).counts[0] == 2
    name, picture = imported[0][7], jpeg()
    campus.change_parameter("photo_side_max_px", 799)
    refused("PHOTO_SIDES", upload_photo, campus, name, picture)
    campus.change_parameter("photo_side_max_px", 800)
    campus.change_parameter("photo_bytes_max", 10_000)
    refused("PHOTO_TOO_LARGE", upload_photo, campus, name, jpeg(size=10_001))
    upload_photo(campus, name, jpeg(200, 200, size=10_000))


@pytest.mark.clause("三.1(4)")
def test_how_long_cards_are_valid(campus, desk):
    campus.change_parameter("temporary_card_days", 7)
    campus.change_parameter("formal_card_days", 100)
    holder = campus.open_account(card=False)
    token = uid()
    desk.issue((holder.account_no, token))
    desk("ActivateCards", uids=[token])
    card = desk.card(holder.account_no)
    assert card.type == cards_pb.CARD_TYPE_TEMPORARY
    assert card.expires_day == FIRST_DAY + 7
    desk.photo("张三", holder.account_no)
    desk("UpgradeTemporary", account_no=holder.account_no, uid=uid())
    card = desk.card(holder.account_no)
    assert (card.type, card.expires_day) == (cards_pb.CARD_TYPE_FORMAL, FIRST_DAY + 100)


@pytest.mark.clause("三.2d")
def test_a_loss_may_mean_everything(campus):
    campus.change_parameter("loss_scope", "ALL_MEDIA")
    holder = campus.open_account(top_up_fen=1_000, id_number="440703200603011215")
    _, token = Gates(campus).phone(holder)
    pos = campus.terminal("POS-1")
    assert pos.pay(token, 10).reason == "OK"
    phone = SelfService(campus, holder.account_no)
    lost = phone.lose(account_no=holder.account_no, query_password="011215")
    assert lost.media == 2
    assert pos.pay(token, 10).reason == "CARD_LOST"
    campus.change_parameter("loss_scope", "CARD")


@pytest.mark.clause("三.3b", "三.4(1)")
def test_a_wait_before_the_new_card_and_an_old_one_that_lives_until_pick_up(campus, desk):
    campus.change_parameter("replace_wait_hours", 72)
    campus.change_parameter("old_card_void_at", "PICKUP")
    holder = campus.open_account(top_up_fen=1_000)
    pos = campus.terminal("POS-2")
    holder.lose()
    case_no = desk.ready_case(holder.account_no, "SW-1")
    campus.set_time(FRIDAY)
    make = {"case_no": case_no, "uid": uid()}
    desk.refused("REPLACE_WAIT", "MakeCard", **make)
    campus.change_parameter("replace_wait_hours", 24)
    desk("MakeCard", **make)
    assert pos.pay(holder, 10).reason == "CARD_LOST", "not void yet, and no good either"
    desk.refused("REPLACED", "Unloss", account_no=holder.account_no, medium=holder.medium)
    desk("PickUp", **make)
    assert pos.pay(holder, 10).reason == "CARD_VOID"
    assert state_of(desk.card(holder.account_no)) == "ACTIVE"
