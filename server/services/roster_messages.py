"""Messages of holders, rows and photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from campuscard.v1 import account_service_pb2 as account_pb
from campuscard.v1 import roster_pb2 as pb
from core.catalogue import BY_NAME
from core.holders import RowChange
from core.merchants import format_etag
from server.errors_map import texts

if TYPE_CHECKING:
    from core.facts import HolderFacts
    from core.refusals import Fault

_OUTCOMES: Final = {
    RowChange.ADDED: pb.ROW_OUTCOME_ADDED,
    RowChange.CHANGED: pb.ROW_OUTCOME_CHANGED,
    RowChange.UNCHANGED: pb.ROW_OUTCOME_UNCHANGED,
    RowChange.REFUSED: pb.ROW_OUTCOME_REFUSED,
}


def holder_message(holder: HolderFacts) -> pb.Holder:
    """Return a holder."""
    return pb.Holder(
        account_no=holder.account_no,
        number=holder.number,
        kind=account_pb.HolderKind.ValueType(holder.kind),
        name=holder.name,
        class_name=holder.class_name,
        phone=holder.phone,
        status=pb.HolderStatus.ValueType(holder.status),
        erased=holder.erased,
        photo_version=holder.photo_version,
        account_status=account_pb.AccountStatus.ValueType(holder.account_status),
        open_time_us=holder.open_time_us,
        etag=format_etag(holder.changed_seq),
    )


def fault_message(fault: Fault) -> pb.Fault:
    """Return a fault with its texts."""
    reason = BY_NAME[fault.reason]
    values = {"field": fault.field} | fault.metadata
    text_zh, text_en = texts(reason, values)
    return pb.Fault(field=fault.field, reason=reason.name, text_zh=text_zh, text_en=text_en)


def row_message(
    line: int,
    account_no: str,
    change: RowChange,
    *,
    faults: tuple[Fault, ...] = (),
    warnings: tuple[Fault, ...] = (),
) -> pb.RowResult:
    """Return what became of a row."""
    return pb.RowResult(
        line=line,
        account_no=account_no,
        outcome=_OUTCOMES[change],
        faults=[fault_message(fault) for fault in faults],
        warnings=[fault_message(warning) for warning in warnings],
    )
