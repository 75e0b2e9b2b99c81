"""ChangePin: the transaction password at a terminal with a keypad.

It is the one act of the office that a terminal asks for, so it is answered beside the taps: decoded,
decided in the office lane, written with the terminal as who acted.

**Source:** regulation 五.2a "在消费机上修改".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from campuscard.v1 import terminal_service_pb2 as pb
from core import password_changes as rules
from core.permissions import Channel, Role
from core.refusals import missing
from server.identity import Principal, enter
from server.services import card_acts, fields
from server.services.terminal import SERVICE

if TYPE_CHECKING:
    import grpc.aio

    from server.registry import Registry
    from server.services.office import Office
    from server.services.password_acts import PasswordActs

    Context = grpc.aio.ServicerContext[Any, Any]


class TerminalPins:
    """Changes transaction passwords at terminals.

    Args:
        office: decides the acts.
        passwords: changes them.
    """

    def __init__(self, office: Office, passwords: PasswordActs) -> None:
        self._office = office
        self._passwords = passwords

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of the one method."""
        method: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            self.change_pin,
            request_deserializer=pb.ChangePinRequest.FromString,
            response_serializer=pb.ChangePinResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"ChangePin": method})

    async def change_pin(
        self, request: pb.ChangePinRequest, context: Context
    ) -> pb.ChangePinResponse:
        """Change the transaction password; see the proto."""
        del context
        terminal_id = fields.short_name("terminal_id", request.terminal_id)
        presented = fields.medium("medium", request.medium)
        for name in ("old_pin", "new_pin"):
            rules.check_six_digits(name, getattr(request, name))
        rules.check_repeated(request.new_pin, request.confirm_pin)

        def check(registry: Registry) -> None:
            terminal = registry.terminal(terminal_id)
            if terminal is None:
                raise missing("terminal")
            bound = registry.bound_medium(*presented)
            today = card_acts.moment_at(registry, self._office.clock.now_us()).today
            carrier = card_acts.carrier_of(registry, bound, today) if bound else None
            if carrier is None:
                raise missing("medium")
            rules.check_keypad(terminal, carrier)

        def find(registry: Registry) -> str:
            check(registry)
            bound = registry.bound_medium(*presented)
            account = registry.account_by_number(bound.account_number) if bound else None
            return account.account_no if account else ""

        account_no = await self._office.projector.look(find)
        enter(_principal(terminal_id), Role.TERMINAL)
        return await self._passwords.change_transaction(
            request,
            account_no,
            old=request.old_pin,
            new=request.new_pin,
            response=pb.ChangePinResponse,
            check=check,
        )


def _principal(terminal_id: str) -> Principal:
    """Return a terminal as a caller."""
    return Principal(
        actor=f"terminal:{terminal_id}",
        roles=frozenset({Role.TERMINAL}),
        channel=Channel.TERMINAL.value,
    )
