"""Reading for acts about cards, and the loss report that counter and self-service share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from campuscard.v1 import card_office_service_pb2 as pb
from core import losses, media
from core.cards import PHYSICAL_CARD, TABLE, VOID, CardEvent
from core.change_subjects import calendar_days
from core.counter import Moment
from core.losses import LossScope
from core.permissions import Role
from core.refusals import invalid, missing
from server.identity import caller, calling_as
from server.registers import cards, cases
from server.registers.parameters import values_at
from server.registry import AnsweredRequest
from server.services import fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.card_facts import CardFacts, CaseFacts
    from core.facts import AccountFacts, MediumFacts
    from core.media import Carrier
    from core.plans import Plan
    from server.office_lane import Desk
    from server.registry import Registry


ITEMS_MAX: Final = 1_000
"""Items of one request."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """An account with its live card and its newest case."""

    account: AccountFacts
    card: CardFacts | None
    case: CaseFacts | None


def classes() -> frozenset[str] | None:
    """Return the classes the caller is bound to; None: not bound to any."""
    return caller().classes if calling_as() is Role.CLASS_TEACHER else None


def moment_at(
    registry: Registry,
    now_us: int,
    *,
    channel: str = "",
    event: CardEvent | None = None,
    account_number: int = 0,
) -> Moment:
    """Return now, as rules of the counter see it.

    Args:
        registry: to read.
        now_us: the clock.
        channel: of the caller, for events that ask for one.
        event: for which a supervisor's leave counts.
        account_number: for whom it counts.
    """
    sql, rules = registry.connection, registry.rules()
    offset = rules.utc_offset_seconds
    override = 0
    if event is not None and TABLE[event].operation:
        day = (now_us // 1_000_000 + offset) // 86_400
        override = cards.override_for(sql, account_number, TABLE[event].operation, day)
    values = values_at(sql, now_us)
    return Moment(
        time_us=now_us,
        utc_offset_s=offset,
        values=values,
        channel=channel,
        calendar=calendar_days(values),
        override=override,
    )


def account_of(registry: Registry, account_no: str) -> AccountFacts:
    """Find an account by its printed number.

    Raises:
        Refusal: NOT_FOUND.
    """
    account = registry.account(account_no)
    if account is None:
        raise missing("account")
    return account


def case_of(registry: Registry, case_no: int) -> CaseFacts:
    """Find a case.

    Raises:
        Refusal: NOT_FOUND.
    """
    case = cases.case(registry.connection, case_no)
    if case is None:
        raise missing("case")
    return case


def papers_of(registry: Registry, account_no: str) -> Papers:
    """Read an account with its card and case.

    Raises:
        Refusal: NOT_FOUND.
    """
    account = account_of(registry, account_no)
    sql = registry.connection
    return Papers(
        account=account,
        card=cards.live_card(sql, account.number),
        case=cases.newest_case(sql, account.number),
    )


def carrier_of(registry: Registry, medium: MediumFacts, today: int) -> Carrier | None:
    """Return a medium as the state table sees it on a day; None: it is not in the table."""
    if medium.type != PHYSICAL_CARD:
        return media.carrier_of_medium(medium, today)
    card = cards.card_of_medium(registry.connection, medium.number)
    return None if card is None else media.carrier_of_card(card, today)


def card_behind(registry: Registry, uid: bytes, today: int) -> Carrier | None:
    """Return the card behind a UID as the state table sees it on a day; None: it is not known."""
    bound = registry.bound_medium(PHYSICAL_CARD, uid)
    return carrier_of(registry, bound, today) if bound else None


def some(field: str, items: Sequence[_Item]) -> Sequence[_Item]:
    """Read the items of a request that takes many.

    Raises:
        Refusal: FIELD_INVALID for none or too many.
    """
    if not 1 <= len(items) <= ITEMS_MAX:
        raise invalid(field, f"1 to {ITEMS_MAX}")
    return items


def parts(items: Sequence[_Item], size: int) -> Iterator[tuple[int, Sequence[_Item]]]:
    """Cut items into parts that are written by one act each, numbered from 0."""
    for part, start in enumerate(range(0, len(items), size)):
        yield part, items[start : start + size]


def item_of(registry: Registry, index: int, card: Carrier | None) -> pb.ItemResult:
    """Begin the result of a dry run: which card it is about, and whose."""
    result = pb.ItemResult(index=index)
    if card is not None:
        holder = registry.account_by_number(card.medium.account_number)
        result.card_no = card.card_no
        result.account_no = holder.account_no if holder else ""
    return result


def account_or_medium(request: Any) -> tuple[str, tuple[int, bytes] | None]:
    """Read the fields ``account_no`` and ``medium`` of which exactly one is set.

    Raises:
        Refusal: FIELD_INVALID.
    """
    if bool(request.account_no) == request.HasField("medium"):
        raise invalid("account_no", "either account_no or medium")
    if request.account_no:
        return fields.account_no(request.account_no), None
    return "", fields.medium("medium", request.medium)


async def report_loss(
    desk: Desk,
    *,
    account_no: str = "",
    medium: tuple[int, bytes] | None = None,
    scope: LossScope | None = None,
) -> Plan | AnsweredRequest:
    """Decide a loss report, from the counter or from the holder.

    Args:
        desk: of the act.
        account_no: whose card, or
        medium: type and token of what is lost.
        scope: what it covers; None: as the parameter ``loss_scope`` has it. A report of one medium
            covers the card's account only with ALL_MEDIA.

    Returns:
        The plan; or the first report's answer when everything was reported before. The response has
        the fields ``lost_time_us`` and ``media``.

    Raises:
        Refusal: NOT_FOUND, NO_CARD, CARD_VOID.
    """

    def read(registry: Registry) -> tuple[tuple[Carrier, ...], LossScope, Moment]:
        moment = moment_at(registry, desk.now_us, event=CardEvent.REPORT_LOSS)
        covers = scope or LossScope[moment.values.text("loss_scope")]
        return _targets(registry, account_no, medium, covers, moment.today), covers, moment

    targets, covers, moment = await desk.read(read)
    plan = losses.report_loss(targets, covers, moment)
    return _first_loss(desk, targets) if plan is None else plan


def _targets(
    registry: Registry,
    account_no: str,
    medium: tuple[int, bytes] | None,
    covers: LossScope,
    today: int,
) -> tuple[Carrier, ...]:
    sql = registry.connection
    named: Carrier | None = None
    if medium is not None:
        bound = registry.bound_medium(*medium)
        if bound is None:
            raise missing("medium")
        number, named = bound.account_number, carrier_of(registry, bound, today)
    else:
        number = account_of(registry, account_no).number
        card = cards.live_card(sql, number) or cards.newest_card(sql, number)
        named = media.carrier_of_card(card, today) if card else None
    targets = [named] if named else []
    if covers is LossScope.ALL_MEDIA:
        card = cards.live_card(sql, number)
        others = [media.carrier_of_card(card, today)] if card else []
        others += [
            carrier
            for other in registry.media_of(number)
            if (carrier := media.carrier_of_medium(other, today)) is not None
        ]
        known = {target.medium.number for target in targets}
        targets += [other for other in others if other.medium.number not in known]
    return tuple(targets)


def _first_loss(desk: Desk, targets: tuple[Carrier, ...]) -> AnsweredRequest:
    """Answer a loss reported before with the first report: it is when the liability ended."""
    medium = next(t.medium for t in targets if t.lost and t.state not in VOID)
    header = desk.block_of(medium.lost_seq).header
    return AnsweredRequest(
        seq=medium.lost_seq,
        fingerprint=0,
        time_us=header.time_us,
        business_date=header.business_date,
        reason=0,
        facts={"lost_time_us": medium.lost_time_us, "media": 0},
    )
