"""OpsService, health and reflection on a real server."""

import itertools
import re
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from campuscard.v1 import ops_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from campuscard.v1 import terminal_service_pb2_grpc
from core.blocks import Block
from server.metrics import PARTS
from tests.campus import CALL_S, refusal


def test_the_head_moves_with_every_act(campus):
    before = campus.ops.GetHead(pb.GetHeadRequest(), timeout=CALL_S)
    campus.open_account()
    after = campus.ops.GetHead(pb.GetHeadRequest(), timeout=CALL_S)
    assert after.acknowledged_seq > before.acknowledged_seq
    assert after.registry_seq == after.acknowledged_seq
    assert after.time_us == campus.now_us()
    assert after.test
    assert (len(after.chain), len(after.state_hash)) == (32, 16)
    assert after.identity == (campus.data / "campuscard").read_bytes()


@pytest.mark.clause("二.1")
def test_follow_gives_the_whole_chain(campus, pos):
    holder = campus.open_account(top_up_fen=100)
    pos.pay(holder, 1)
    head = campus.ops.GetHead(pb.GetHeadRequest(), timeout=CALL_S)
    blocks = [
        Block(raw)
        for message in campus.ops.Follow(pb.FollowRequest(stop_at_head=True), timeout=CALL_S)
        for raw in message.blocks
    ]
    assert blocks[0].header.first_seq == 1
    assert blocks[-1].header.last_seq == head.acknowledged_seq
    assert blocks[-1].chain() == head.chain
    for before, after in itertools.pairwise(blocks):
        assert after.header.first_seq == before.header.last_seq + 1
        assert after.header.prev_hash == before.chain() == before.computed_chain()


def test_follow_goes_on_with_what_comes(campus):
    head = campus.ops.GetHead(pb.GetHeadRequest(), timeout=CALL_S).acknowledged_seq
    stream = campus.ops.Follow(pb.FollowRequest(from_seq=head + 1), timeout=CALL_S)
    campus.open_account()
    block = Block(next(iter(stream)).blocks[0])
    assert block.header.first_seq == head + 1
    stream.cancel()


def test_follow_from_inside_a_block_gives_that_block(campus):
    campus.open_account()
    head = campus.ops.GetHead(pb.GetHeadRequest(), timeout=CALL_S).acknowledged_seq
    request = pb.FollowRequest(from_seq=head - 1, stop_at_head=True)
    (message,) = campus.ops.Follow(request, timeout=CALL_S)
    header = Block(message.blocks[0]).header
    assert header.first_seq <= head - 1 <= header.last_seq


def test_follow_from_beyond_the_head_is_refused(campus):
    with pytest.raises(grpc.RpcError) as caught:
        next(iter(campus.ops.Follow(pb.FollowRequest(from_seq=1 << 40), timeout=CALL_S)))
    assert refusal(caught.value)[0] == "FIELD_INVALID"


def test_verify_walks_to_the_head(campus):
    head = campus.ops.GetHead(pb.GetHeadRequest(), timeout=CALL_S)
    messages = list(campus.ops.Verify(pb.VerifyRequest(), timeout=CALL_S))
    assert messages[-1].done
    assert messages[-1].verified_seq == head.acknowledged_seq
    assert not any(message.done for message in messages[:-1])


def test_a_checkpoint_stands_at_the_head(campus):
    campus.open_account()
    seq = campus.ops.Checkpoint(pb.CheckpointRequest(), timeout=CALL_S).seq
    head = campus.ops.GetHead(pb.GetHeadRequest(), timeout=CALL_S)
    assert seq == head.checkpoint_seq == head.acknowledged_seq


def test_the_status_is_complete(campus):
    status = campus.ops.GetStatus(pb.GetStatusRequest(), timeout=CALL_S)
    assert status.version
    assert status.records_count > 0
    assert status.ledger_sum_fen == 0
    assert not status.registry_error
    assert status.test


def test_health_and_reflection(campus):
    health = health_pb2_grpc.HealthStub(campus.channel)
    for service in ("", "campuscard.v1.TerminalService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=CALL_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_pb2_grpc.ServerReflectionStub(campus.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflection.ServerReflectionInfo(iter([request]), timeout=CALL_S)
    names = {service.name for service in answer.list_services_response.service}
    assert names >= {f"campuscard.v1.{name}Service" for name in ("Account", "Merchant", "Ops")}


def test_metrics_have_the_usual_names_from_the_start(campus, pos):
    holder = campus.open_account(top_up_fen=100)
    pos.pay(holder, 1)
    pos.pay(holder, 1_000)
    campus.open_account()  # answered when the registry stands where the journal does
    values = campus.metrics()
    authorize = (
        'grpc_method="Authorize",grpc_service="campuscard.v1.TerminalService",grpc_type="unary"'
    )
    assert values[f'grpc_server_handled_total{{grpc_code="OK",{authorize}}}'] >= 2
    assert values[f'grpc_server_handled_total{{grpc_code="Internal",{authorize}}}'] == 0
    assert values[f"grpc_server_handling_seconds_count{{{authorize}}}"] >= 2
    refund = authorize.replace("Authorize", "Refund")
    assert values[f"grpc_server_started_total{{{refund}}}"] == 0
    assert values["campuscard_ledger_sum_fen"] == 0
    assert values['campuscard_declines_total{reason="INSUFFICIENT"}'] >= 1
    assert values["campuscard_acknowledged_seq"] == values["campuscard_registry_seq"]
    for name in (
        "campuscard_queue_depth",
        "campuscard_map_used_bytes",
        "campuscard_checkpoint_age_records",
        "campuscard_replays_total",
        "campuscard_decide_seconds_total",
        "campuscard_commit_seconds_total",
        "campuscard_answer_seconds_total",
        "campuscard_block_records_count",
        "campuscard_commit_duration_seconds_count",
    ):
        assert name in values


def test_metrics_move(campus):
    pos = campus.terminal("POS-MOVES")
    holder = campus.open_account(top_up_fen=100)
    before = campus.metrics()
    pos.pay(holder, 1, seq=500)
    pos.pay(holder, 1, seq=500)
    pos.pay(holder, 1_000)
    after = campus.metrics()
    for name in (
        "campuscard_acknowledged_seq",
        "campuscard_decided_seq",
        "campuscard_block_records_count",
        "campuscard_block_records_sum",
        "campuscard_commit_duration_seconds_count",
        "campuscard_decide_seconds_total",
        "campuscard_hash_seconds_total",
        "campuscard_commit_seconds_total",
        "campuscard_answer_seconds_total",
        *(f'campuscard_command_seconds_sum{{part="{part.name}"}}' for part in PARTS),
        *(f'campuscard_command_seconds_count{{part="{part.name}"}}' for part in PARTS),
        "campuscard_blocks_total",
        "campuscard_records_total",
        "campuscard_commands_total",
        "campuscard_replays_total",
        'campuscard_declines_total{reason="INSUFFICIENT"}',
        "campuscard_checkpoint_age_records",
    ):
        assert after[name] > before[name], name
    assert after["campuscard_replays_total"] == before["campuscard_replays_total"] + 1
    assert before["campuscard_map_used_bytes"] < after["campuscard_map_size_bytes"]
    campus.ops.Checkpoint(pb.CheckpointRequest(), timeout=CALL_S)
    assert (
        campus.metrics()["campuscard_checkpoint_age_records"]
        < after["campuscard_checkpoint_age_records"]
    )


def test_queue_and_map_move_under_load(campus):
    pos = campus.terminal("POS-LOAD")
    before = campus.metrics()["campuscard_map_used_bytes"]
    seen, over = [], threading.Event()

    def look():
        while not over.is_set():
            seen.append(campus.metrics()["campuscard_queue_depth"])

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        ends = time.monotonic() + 20
        while not any(seen) and time.monotonic() < ends:
            items = [
                terminal_pb.AuthorizeItem(
                    terminal_seq=number,
                    medium_type=terminal_pb.MEDIUM_TYPE_RFID_CARD,
                    medium_token=b"none",
                    amount_fen=1,
                )
                for number in range(1, 8_193)
            ]
            pos.sign_in()
            request = terminal_pb.AuthorizeBatchRequest(
                terminal_id=pos.terminal_id, batch_no=pos.batch_no, items=items
            )
            campus.terminals.AuthorizeBatch(request, timeout=CALL_S)
    finally:
        over.set()
        watcher.join()
    assert any(seen)
    values = campus.metrics()
    assert values["campuscard_map_used_bytes"] > before
    assert values["campuscard_queue_depth"] == 0
    assert values["campuscard_ledger_sum_fen"] == 0


def test_every_metric_of_ours_is_described(campus):
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"
    described = set(re.findall(r"`((?:campuscard|grpc_server)_\w+)", page.read_text("utf-8")))
    with grpc.insecure_channel(campus.front_address) as channel:  # its counts have labels
        terminals = terminal_service_pb2_grpc.TerminalServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            terminals.Authorize(terminal_pb.AuthorizeRequest(), timeout=CALL_S)
    found = {
        re.sub(r"_(?:bucket|count|sum|created)$", "", name.partition("{")[0])
        for name in campus.metrics()
    }
    assert {name for name in found if name.startswith(("campuscard_", "grpc_"))} == described
