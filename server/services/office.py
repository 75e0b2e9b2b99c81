"""What services of papers share: the way of an act from its request to its response."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf.message import Message

from campuscard.v1.act_pb2 import Act as ActMessage
from core.blocks import Block
from core.ids import make_request_id, part_request_id
from server.identity import acting, caller
from server.office_lane import Act, Part, Together, fingerprint
from server.services import fields
from server.services.list_pages import ListPage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from core.documents import By
    from core.plans import Plan
    from core.ports import Clock, HolderKeys
    from ext.engine import AccountReply, Engine
    from server.files import SealedFiles
    from server.office_lane import ActAnswer, Desk, OfficeLane
    from server.page_tokens import PageTokens
    from server.projector import Projector
    from server.registry import AnsweredRequest

SECRET_FIELDS: Final = frozenset(
    {
        *("request_id", "pin", "old_pin", "new_pin", "confirm_pin", "id_number"),
        *("password", "old_password", "new_password", "confirm_password", "code"),
        *("query_password", "transaction_password"),
    }
)
"""Fields that are not part of the body two requests under one id are compared by."""

REASON_FIELDS: Final = ("reason", "note")
"""Fields of requests that say why."""

Response = TypeVar("Response", bound=Message)


class Office:
    """The parts a service of papers works with.

    Args:
        engine: started.
        projector: started.
        lane: started.
        keys: the holders' keys.
        clock: the server's.
        files: of holders: photos and papers.
        tokens: of pages.
        fingerprint_key: 32 bytes of this server's own.
    """

    def __init__(
        self,
        engine: Engine,
        projector: Projector,
        *,
        lane: OfficeLane,
        keys: HolderKeys,
        clock: Clock,
        files: SealedFiles,
        tokens: PageTokens,
        fingerprint_key: bytes,
    ) -> None:
        self.engine = engine
        self.projector = projector
        self.keys = keys
        self.clock = clock
        self.files = files
        self.tokens = tokens
        self._lane = lane
        self._fingerprint_key = fingerprint_key

    async def act(
        self,
        request: Any,
        decide: Callable[[Desk], Awaitable[Plan | AnsweredRequest]],
        *,
        response: type[Response],
    ) -> Response:
        """Have an act decided and answer it.

        Args:
            request: the message, with its request_id.
            decide: decides it at the desk.
            response: with a field ``act`` and the facts of the act as fields.

        Raises:
            Refusal: why not.
        """
        given = await self.decide(
            request.DESCRIPTOR.full_name,
            fields.request_id(request.request_id),
            compared_body(request),
            decide,
            by=by_request(request),
        )
        return answer(given, response)

    async def decide(
        self,
        name: str,
        request_id: bytes,
        body: bytes,
        decide: Callable[[Desk], Awaitable[Plan | AnsweredRequest]],
        *,
        by: By | None = None,
    ) -> ActAnswer:
        """Have an act decided that is no request of its own: one of many of a file.

        Args:
            name: of what is asked for.
            request_id: 16 bytes.
            body: what two acts under one id are compared by.
            decide: decides it at the desk.
            by: who acts and why; None: the caller, for the reason they call.

        Raises:
            Refusal: why not.
        """
        act = Act(
            name=name,
            request_id=request_id,
            fingerprint=fingerprint(self._fingerprint_key, name, body),
            decide=decide,
            by=acting() if by is None else by,
            actor=caller().number,
        )
        return await self._lane.decide(act)

    def fingerprint(self, name: str, body: bytes) -> int:
        """Return what two acts under one id are compared by; see ``server.office_lane``."""
        return fingerprint(self._fingerprint_key, name, body)

    async def decide_together(
        self,
        name: str,
        decide: Callable[[Desk], Awaitable[Sequence[tuple[bytes, bytes, Plan]]]],
        *,
        by: By | None = None,
        actor: int = 0,
    ) -> None:
        """Have several acts decided at once; see ``server.office_lane.Together``.

        Args:
            name: of what is asked for.
            decide: returns request id, compared body and plan of each.
            by: who acts; None: the caller.
            actor: the same as a number, with ``by``.

        Raises:
            Refusal: why not; CONFLICT: look again.
        """

        async def parts(desk: Desk) -> list[Part]:
            return [
                Part(
                    request_id=request_id,
                    fingerprint=fingerprint(self._fingerprint_key, name, body),
                    plan=plan,
                )
                for request_id, body, plan in await decide(desk)
            ]

        together = Together(
            name=name,
            decide=parts,
            by=acting() if by is None else by,
            actor=caller().number if by is None else actor,
        )
        await self._lane.decide_together(together)

    async def part(
        self,
        request: Any,
        part: int,
        decide: Callable[[Desk], Awaitable[Plan | AnsweredRequest]],
    ) -> ActAnswer:
        """Have one part of a request decided that is written in several acts.

        Sent again, the parts that were written answer as they did and the others go on.

        Args:
            request: the message, with its request_id.
            part: from 0, the same work for the same number.
            decide: decides it at the desk.

        Raises:
            Refusal: why not.
        """
        name = request.DESCRIPTOR.full_name
        body = part.to_bytes(4, "big") + compared_body(request)
        act = Act(
            name=name,
            request_id=part_request_id(fields.request_id(request.request_id), part),
            fingerprint=fingerprint(self._fingerprint_key, name, body),
            decide=decide,
            by=by_request(request),
            actor=caller().number,
        )
        return await self._lane.decide(act)

    def own_request_id(self, body: bytes, time_us: int = 0) -> bytes:
        """Make a request id of the system's own: of the same body and time the same.

        Args:
            body: what it is for.
            time_us: microseconds since 1970 UTC; 0: now.
        """
        mac = hmac.digest(self._fingerprint_key, b"own request\0" + body, "sha256")
        time_ms = (time_us or self.clock.now_us()) // 1_000
        return fields.request_id(make_request_id(time_ms, mac[:10]))

    async def record(
        self,
        name: str,
        decide: Callable[[Desk], Awaitable[Plan]],
        *,
        by: By | None = None,
        actor: int = 0,
        request_id: bytes = b"",
    ) -> ActAnswer:
        """Have an act decided that no caller names by a request_id: signing in, the system's own.

        Args:
            name: for the log.
            decide: decides it at the desk.
            by: who acts; None: the caller.
            actor: the same as a number, with ``by``.
            request_id: 16 bytes, of an act that is done once whoever asks again; empty: a new one.
        """
        request_id = request_id or self.own_request_id(secrets.token_bytes(10))
        act = Act(
            name=name,
            request_id=request_id,
            fingerprint=fingerprint(self._fingerprint_key, name, request_id),
            decide=decide,
            by=acting() if by is None else by,
            actor=caller().number if by is None else actor,
        )
        return await self._lane.decide(act)

    def list_page(self, request: Any, *, whose: int = 0) -> ListPage:
        """Return the page a list request asks for.

        Args:
            request: the message, with ``page_size`` and ``page_token``.
            whose: number of the account the list is of, where the request does not say it; 0: none.

        Raises:
            Refusal: FIELD_INVALID, PAGE_TOKEN_INVALID.
        """
        size = fields.page_size(request.page_size)
        query = page_query(request) + (whose.to_bytes(8, "big") if whose else b"")
        place = self.tokens.open(query, request.page_token)
        return ListPage(self.tokens, query, size, place)

    async def wallets(self, account: int) -> AccountReply:
        """Read an account's money as it stands."""
        future: asyncio.Future[AccountReply] = asyncio.get_running_loop().create_future()
        self.engine.account(account, future)
        return await future

    def block_of(self, seq: int) -> Block:
        """Read the acknowledged block that holds a seq."""
        return Block(self.engine.read_blocks(seq, 1)[0])


def by_request(request: Any) -> By:
    """Return who acts by a request, and why.

    Raises:
        Refusal: FIELD_INVALID when the reason is no text or too long, REASON_REQUIRED.
    """
    names = request.DESCRIPTOR.fields_by_name
    field = next((name for name in REASON_FIELDS if name in names), "")
    return acting(fields.reason(getattr(request, field), field) if field else "", field=field)


def page_query(request: Message) -> bytes:
    """Encode what a page token belongs to: the method and its filters."""
    body = type(request)()
    body.CopyFrom(request)
    body.ClearField("page_token")
    body.ClearField("page_size")
    name: str = body.DESCRIPTOR.full_name
    return name.encode("ascii") + b"\0" + body.SerializeToString(deterministic=True)


def compared_body(request: Message) -> bytes:
    """Encode what two requests under one id are compared by: everything but secrets."""
    body = type(request)()
    body.CopyFrom(request)
    for name in SECRET_FIELDS.intersection(body.DESCRIPTOR.fields_by_name):
        body.ClearField(name)
    return body.SerializeToString(deterministic=True)


def answer(given: ActAnswer, response: type[Response]) -> Response:
    """Write the response of an answered act."""
    make: Any = response
    made: Response = make(act=act_message(given), **given.request.facts)
    return made


def act_message(given: ActAnswer) -> ActMessage:
    """Say where an act stands in the journal."""
    return ActMessage(
        seq=given.request.seq,
        time_us=given.request.time_us,
        business_date=given.request.business_date,
        replayed=given.replayed,
    )
