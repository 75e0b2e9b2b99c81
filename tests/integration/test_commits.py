"""What a block's durability costs: syncs of their own, and those that later blocks bring."""

import pytest

from campuscard.v1 import ops_service_pb2 as ops_pb
from campuscard.v1 import terminal_service_pb2 as pb
from ext.engine import EngineError
from tests.campus import CALL_S, Campus
from tests.integration.engine_desk import Desk

ALONE, TOGETHER = 12, 4_000


def moved(desk, before):
    """Blocks and syncs of their own since then."""
    stats = desk.engine.stats()
    return stats["blocks"] - before["blocks"], stats["syncs"] - before["syncs"]


@pytest.fixture(params=["full", "pipelined"])
def desk(request, tmp_path):
    with Desk(tmp_path, commit=request.param, block_max=64) as made:
        made.buyer = made.open_account(1_000_000)
        made.open_terminal("POS-1")
        assert made.engine.stats()["commit"] == request.param
        yield made


def test_what_comes_alone_is_synced_alone_and_at_once(desk):
    before = desk.engine.stats()
    for _ in range(ALONE):
        desk.pay(desk.buyer, 1)
    owed = 0 if before["commit"] == "full" else ALONE
    assert moved(desk, before) == (ALONE, owed)


def test_a_read_commits_and_syncs_nothing(desk):
    before = desk.engine.stats()
    for _ in range(ALONE):
        assert desk.account(desk.buyer)["online_fen"] == 1_000_000
    assert moved(desk, before) == (0, 0)


def test_a_block_among_many_is_synced_by_the_next(desk):
    before = desk.engine.stats()
    request = pb.AuthorizeBatchRequest(terminal_id="POS-1", batch_no=1)
    token = desk.payment(desk.buyer, 1, seq=1).medium.token
    for seq in range(1, TOGETHER + 1):
        request.items.add(terminal_seq=seq, medium_type=1, medium_token=token, amount_fen=1)
    future = desk.future()
    desk.engine.submit_batch(request.SerializeToString(), future)
    desk.wait(future)
    blocks, syncs = moved(desk, before)
    assert blocks >= TOGETHER // 64
    assert syncs <= (blocks // 4 if before["commit"] == "pipelined" else 0)


def test_head_shows_what_is_acknowledged_only(desk):
    """Reads, payments and papers mixed: every head that can be seen is one block, and durable."""
    for number in range(ALONE):
        desk.submit("Authorize", desk.payment(desk.buyer, 1))
        for future in [desk.future() for _ in range(number)]:
            desk.engine.account(desk.buyer, future)
        head = desk.engine.head()
        assert head["decided_seq"] <= desk.engine.head()["acknowledged_seq"]
        last = desk.engine.read_blocks(head["decided_seq"], 1)[0]
        assert last[-48:-16] == head["chain"]
    desk.pay(desk.buyer, 1)


def test_a_journal_goes_on_with_the_other_strategy(tmp_path):
    with Desk(tmp_path, commit="pipelined") as desk:
        buyer = desk.open_account(1_000)
        desk.open_terminal("POS-1")
        for turn, commit in enumerate(("full", "pipelined", "full"), start=1):
            desk.pay(buyer, 1)
            picture = desk.picture()
            desk.options["commit"] = commit
            desk.restart(without_state=True)
            assert desk.picture() == picture
            assert desk.account(buyer)["online_fen"] == 1_000 - turn


def test_another_word_is_refused(tmp_path):
    with Desk(tmp_path) as desk:
        desk.options["commit"] = "quick"
        with pytest.raises(EngineError, match="commit is one of full, pipelined, not 'quick'"):
            desk.restart()


def test_a_server_says_how_it_commits(tmp_path):
    with Campus(tmp_path / "c", settings={"journal": {"commit": "pipelined"}}) as campus:
        pos, holder = campus.terminal("POS-07"), campus.open_account(top_up_fen=500)
        pos.pay(holder, 100)
        status = campus.ops.GetStatus(ops_pb.GetStatusRequest(), timeout=CALL_S)
        assert status.journal_commit == "pipelined"
        values = campus.metrics()
        assert values['campuscard_journal_info{commit="pipelined"}'] == 1
        assert 0 < values["campuscard_journal_syncs_total"] <= values["campuscard_blocks_total"]
