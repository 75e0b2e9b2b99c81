"""OpsService, health and reflection on a real server."""

import itertools
import re
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from campuscard.v1 import ops_service_pb2 as pb
from core.blocks import Block
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


def test_every_metric_of_ours_is_described(campus):
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"
    described = set(re.findall(r"`((?:campuscard|grpc_server)_\w+)", page.read_text("utf-8")))
    found = {
        re.sub(r"_(?:bucket|count|sum|created)$", "", name.partition("{")[0])
        for name in campus.metrics()
    }
    assert {name for name in found if name.startswith(("campuscard_", "grpc_"))} == described
