"""WhatIf: past days decided again beside the running server, in a process of low priority."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections import defaultdict
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from campuscard.v1 import parameter_service_pb2 as pb
from core.change_subjects import canonical
from core.parameters import BY_KEY
from core.refusals import Refusal, invalid, missing
from core.what_if import Count, Kind, Scope, scope_of
from server import what_if_worker
from server.services import fields
from server.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.registry import Registry
    from server.services.office import Office
    from server.what_if_worker import Found

CHUNK_BYTES: Final = 1 << 20
"""Blocks read at once, bytes."""
CHUNK_S: Final = 60.0
"""How long the worker may take over them; many times what it needs."""
DAYS_MAX: Final = 92
VALUES_MAX: Final = 8
NAMES_AT_ONCE: Final = 500
ASSUMPTION: Final = (
    "The same people ask for the same: who is newly asked for the password gives it, who was asked"
    " and gave up would have paid if not asked, and a payment that newly passes is covered."
)
_EPOCH: Final = dt.date(1970, 1, 1)


class WhatIf:
    """Decides past days again, one caller at a time.

    Args:
        office: what services of papers share.
    """

    def __init__(self, office: Office) -> None:
        self._office = office
        self._busy = False

    async def run(self, request: pb.WhatIfRequest) -> AsyncIterator[pb.WhatIfResponse]:
        """Answer a request: progress, then what was found.

        Raises:
            Refusal: FIELD_INVALID, NOT_FOUND, PARAMETER_VALUE, WHAT_IF_BUSY.
        """
        values = _values(request)
        first, last = _period(request)
        scope = scope_of(values)
        head = self._office.engine.head()["acknowledged_seq"]
        if scope is not Scope.REPLAYED:
            yield pb.WhatIfResponse(scope=pb.WhatIfScope.ValueType(scope), head_seq=head, done=True)
            return
        if self._busy:
            raise Refusal("WHAT_IF_BUSY", retry_after_ms=1_000)
        self._busy = True
        worker = Workers(1)
        try:
            await worker.run(CHUNK_S, what_if_worker.begin, values, first, last)
            position = 1
            while position <= head:
                blocks = await asyncio.to_thread(
                    self._office.engine.read_blocks, position, CHUNK_BYTES
                )
                position, decisions = await worker.run(CHUNK_S, what_if_worker.take, blocks, head)
                yield _progress(decisions, min(position - 1, head), head)
            found = await worker.run(CHUNK_S, what_if_worker.finish)
            yield await self._report(found, head)
        finally:
            worker.close()
            self._busy = False

    async def _report(self, found: Found, head: int) -> pb.WhatIfResponse:
        numbers = sorted({account for account, _ in found.by_account})
        names: dict[int, tuple[str, str]] = {}
        for start in range(0, len(numbers), NAMES_AT_ONCE):
            some = numbers[start : start + NAMES_AT_ONCE]
            names |= await self._office.projector.look(partial(_names, numbers=some))
        response = _progress(found.decisions, head, head)
        response.done = True
        response.assumption = ASSUMPTION
        for (by, name, kind), count in sorted(found.counts.items(), key=itemgetter(0)):
            response.counts.append(_count(by, _name(by, name), kind, count))
        for (class_name, kind), count in sorted(_by_class(found, names).items(), key=itemgetter(0)):
            response.counts.append(_count("CLASS", class_name, kind, count))
        for example in found.examples:
            response.examples.add(
                seq=example.seq,
                account_no=names.get(example.account, ("", ""))[0],
                kind=pb.WhatIfKind.ValueType(example.kind),
                amount_fen=example.amount,
                day_used_fen=example.day_used,
                day_used_then_fen=example.day_used_then,
                meal_used_fen=example.meal_used,
                meal_used_then_fen=example.meal_used_then,
            )
        return response


def _values(request: pb.WhatIfRequest) -> dict[str, str]:
    if not 1 <= len(request.values) <= VALUES_MAX:
        raise invalid("values", f"1 to {VALUES_MAX}")
    values: dict[str, str] = {}
    for wanted in request.values:
        if wanted.key not in BY_KEY:
            raise missing("parameter")
        if wanted.key in values:
            raise invalid("values", "different keys")
        values[wanted.key] = canonical(wanted.key, wanted.value)
    return values


def _period(request: pb.WhatIfRequest) -> tuple[int, int]:
    """Read the first and the last day, days since 1970-01-01."""
    first = (fields.date("from_date", request.from_date) - _EPOCH).days
    last = (fields.date("to_date", request.to_date) - _EPOCH).days
    if not 0 <= last - first < DAYS_MAX:
        raise invalid("to_date", f"not before from_date, at most {DAYS_MAX} days")
    return first, last


def _progress(decisions: int, seq: int, head: int) -> pb.WhatIfResponse:
    return pb.WhatIfResponse(
        scope=pb.WHAT_IF_SCOPE_REPLAYED,
        seq=seq,
        head_seq=head,
        decisions_count=decisions,
    )


def _names(registry: Registry, numbers: list[int]) -> dict[int, tuple[str, str]]:
    rows = registry.connection.execute(
        "SELECT number, account_no, class_name FROM accounts"
        " WHERE number IN (SELECT value FROM json_each(?))",
        (json.dumps(numbers),),
    )
    return {number: (account_no or "", class_name) for number, account_no, class_name in rows}


def _by_class(found: Found, names: dict[int, tuple[str, str]]) -> dict[tuple[str, Kind], Count]:
    totals: dict[tuple[str, Kind], Count] = defaultdict(Count)
    for (account, kind), count in found.by_account.items():
        total = totals[names.get(account, ("", ""))[1], kind]
        total.count += count.count
        total.amount += count.amount
    return totals


def _name(by: str, name: int) -> str:
    if by == "DAY":
        return (_EPOCH + dt.timedelta(days=name)).isoformat()
    return "" if by == "TOTAL" else str(name)


def _count(by: str, name: str, kind: Kind, count: Count) -> pb.WhatIfCount:
    return pb.WhatIfCount(
        by=by,
        name=name,
        kind=pb.WhatIfKind.ValueType(kind),
        count=count.count,
        amount_fen=count.amount,
    )
