"""``status`` and ``checkpoint``: what an operator asks a running server."""

from __future__ import annotations

import datetime as dt

from campuscard.v1 import ops_service_pb2 as pb
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, Services
from clients.admin.console import (
    Exit,
    Output,
    OutputOption,
    done,
    note,
    print_fields,
    print_json,
    tr,
    yuan,
)
from clients.admin.payments import local_time
from clients.admin.plain import plain


def status(address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT) -> None:
    """Show where the journal stands and how the server is."""
    with Services(address) as services:
        head = services.call(services.ops.GetHead, pb.GetHeadRequest())
        state = services.call(services.ops.GetStatus, pb.GetStatusRequest())
    if output is Output.JSON:
        print_json({"head": plain(head), "status": plain(state)})
        return
    day = dt.date(1970, 1, 1) + dt.timedelta(days=head.business_date)
    print_fields(
        {
            tr("版本", "Version"): state.version + ("   TEST" if head.test else ""),
            tr("已确认流水", "Acknowledged seq"): str(head.acknowledged_seq),
            tr("最新区块时间", "Newest block"): local_time(head.time_us),
            tr("记账日", "Booking day"): day.isoformat(),
            tr("规则版本", "Rule version"): str(head.rule_version),
            tr("检查点", "Checkpoint"): str(head.checkpoint_seq),
            tr("登记库", "Registry"): state.registry_error or str(head.registry_seq),
            tr("完整性", "Integrity"): state.integrity_error or tr("正常", "sound"),
            tr("队列", "Queue"): f"{state.queue_depth} + {state.office_queue_depth}",
            tr("自启动: 区块 / 记录 / 重发", "Since start: blocks / records / replays"): (
                f"{state.blocks_count} / {state.records_count} / {state.replays_count}"
            ),
            tr("日志空间", "Journal space"): f"{state.space_used_permille / 10:.1f} %",
            tr("落盘方式", "Commits"): state.journal_commit,
            tr("全部账户之和", "Sum of all accounts"): yuan(state.ledger_sum_fen),
            tr("链哈希", "Chain hash"): head.chain.hex(),
        }
    )
    if state.ledger_sum_fen:
        note(tr("账不平! 立即停机检查。", "The books do not balance! Stop and verify."))
        raise SystemExit(Exit.CHECK_FAILED)


def checkpoint(
    address: AddressOption = DEFAULT_ADDRESS, output: OutputOption = Output.TEXT
) -> None:
    """Write a checkpoint now, so that the next start replays less."""
    with Services(address) as services:
        response = services.call(services.ops.Checkpoint, pb.CheckpointRequest(), timeout_s=60.0)
    if output is Output.JSON:
        print_json(plain(response))
    else:
        done(tr(f"检查点 {response.seq}", f"Checkpoint at {response.seq}"))
