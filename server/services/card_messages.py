"""Facts of cards, cases and notices as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from core.cards import state_on
from core.catalogue import BY_NUMBER
from core.replacement import missing
from core.rows import MediumFlag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.registers.alerts import AlertRow
    from server.registers.base import Facts
    from server.registers.cards import BatchRow, CardRow
    from server.registers.cases import CaseRow, NoticeRow


def card_message(row: CardRow, today: int) -> pb.Card:
    """Write a card as it stands on a local day."""
    card, medium = row.card, row.card.medium
    state = state_on(card.state, expires_day=medium.expires_day, today=today)
    return pb.Card(
        card_no=card.card_no,
        account_no=row.account_no,
        card_seq=card.card_seq,
        type=pb.CardType.ValueType(card.type),
        state=pb.CardState.ValueType(state),
        lost=MediumFlag.LOST in medium.flags,
        frozen=MediumFlag.FROZEN in medium.flags,
        uid=medium.token,
        medium_number=medium.number,
        expires_day=medium.expires_day,
        lost_time_us=medium.lost_time_us,
        lost_seq=medium.lost_seq,
        batch=card.batch,
        successor=card.successor,
        made_time_us=card.made_us,
        name=row.name,
        class_name=row.class_name,
    )


def case_message(row: CaseRow) -> pb.Case:
    """Write a case."""
    case = row.case
    return pb.Case(
        case_no=case.case_no,
        account_no=row.account_no,
        name=row.name,
        class_name=row.class_name,
        state=pb.CaseState.ValueType(case.state),
        old_card_no=case.old_card_no,
        new_card_no=case.new_card_no,
        papers=[pb.CasePaper.ValueType(paper) for paper in sorted(case.papers)],
        missing=missing(case.papers, case.fee_state) if case.open and not case.made else (),
        fee_fen=case.fee_fen,
        fee_state=pb.FeeState.ValueType(case.fee_state),
        receipt_no=case.receipt_no,
        receipt_before_loss=case.early,
        open_time_us=case.opened_us,
        change_time_us=case.changed_us,
        faulty=case.faulty,
    )


def notice_message(row: NoticeRow) -> pb.Notice:
    """Write a notice."""
    return pb.Notice(
        seq=row.seq,
        kind=pb.NoticeKind.ValueType(row.kind),
        account_no=row.account_no,
        name=row.name,
        class_name=row.class_name,
        case_no=row.case_no,
        time_us=row.time_us,
        acknowledged=row.acknowledged_us != 0,
        text=row.text,
    )


def alert_message(row: AlertRow) -> pb.Alert:
    """Write an alert."""
    return pb.Alert(
        seq=row.seq,
        time_us=row.time_us,
        reason=BY_NUMBER[row.reason].name,
        account_no=row.account_no,
        name=row.name,
        class_name=row.class_name,
        medium_type=terminal_pb.MediumType.ValueType(row.medium_type),
        card_no=row.card_no,
        terminal_id=row.terminal_id,
        merchant_id=row.merchant_id,
        taps=row.taps,
        last_time_us=row.last_us,
        frozen_seq=row.frozen_seq,
        acknowledged=row.closed_us != 0,
        acknowledged_by=row.closed_by,
        acknowledged_time_us=row.closed_us,
        acknowledged_reason=row.closed_why,
    )


def batch_message(row: BatchRow) -> pb.CardBatch:
    """Write a batch."""
    return pb.CardBatch(
        batch=row.batch,
        time_us=row.time_us,
        cards=row.cards,
        produced=row.produced,
        in_transit=row.in_transit,
    )


def item_results(found: Iterable[Facts]) -> list[pb.ItemResult]:
    """Write the results of items, in the order of the request."""
    return [pb.ItemResult(**item) for item in sorted(found, key=lambda item: item["index"])]
