"""One valid request to every method that makes an act: what has to be there first is made on the way.

import tests.every_act_office
ask = BUILDERS["AccountService.TopUp"](World(campus))
ask.send(reason="a gift")
"""

import dataclasses
import itertools
import time

from google.protobuf.message_factory import GetMessageClass

from server.app import proto_files
from server.identity import REASON_HEADER
from tests.access import Gates
from tests.cards import CardDesk, uid
from tests.self_service import SelfService

METHODS = {
    f"{service.name}.{method.name}": method
    for file in proto_files()
    for service in file.services_by_name.values()
    for method in service.methods
}
ID_NUMBER = "44070320050812123X"
INITIAL, PIN, QUERY = "812123", "904617", "lantern-42"
BUILDERS = {}
"""Per method what builds its request, from a World."""
count = itertools.count(1)


@dataclasses.dataclass
class Ask:
    """A call that has not been made: whose token, which requests."""

    campus: object
    method: object
    token: str
    requests: list

    def send(self, *, reason=""):
        """Call; a reason goes with the call."""
        metadata = [("authorization", f"Bearer {self.token}")] if self.token else []
        if reason:
            metadata.append((REASON_HEADER, reason.encode()))
        streams = self.method.client_streaming
        shape = "stream_stream" if streams else "unary_unary"
        call = getattr(self.campus.raw_channel, shape)(
            f"/{self.method.containing_service.full_name}/{self.method.name}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=GetMessageClass(self.method.output_type).FromString,
        )
        answer = call(
            iter(self.requests) if streams else self.requests[0], timeout=30, metadata=metadata
        )
        return list(answer) if streams else answer


class World:
    """A running campus, in the counter's hours, and who is there."""

    def __init__(self, campus):
        self.campus = campus
        self.desk = CardDesk(campus)
        self.gates = Gates(campus)

    def holder(self, **options):
        return self.campus.open_account(
            str(200571060000 + next(count)), id_number=ID_NUMBER, **options
        )

    def phone(self):
        """Return a holder at their phone, signed in with a query password of their own."""
        phone = SelfService(self.campus, self.holder().account_no)
        phone.enter(INITIAL, QUERY)
        return phone

    def lost(self):
        holder = self.holder()
        holder.lose()
        return holder

    def case(self, *, papers=False):
        """Return the number of an open case."""
        account_no = self.lost().account_no
        if papers:
            return self.desk.ready_case(account_no, f"R-{next(count)}")
        return self.desk("OpenReplacement", account_no=account_no).case_no

    def batch(self):
        """Return a batch of one card, and the card's UID."""
        card = uid()
        account_no = self.holder(card=False).account_no
        return self.desk.issue((account_no, card)).batch, card

    def left(self):
        """Return the number of somebody who has given their card back."""
        holder = self.holder()
        self.desk("ReturnCard", account_no=holder.account_no, uid=holder.medium.token)
        return holder.account_no

    def torn(self):
        """Return a holder whose card is gone, and the seq of its transfer that nobody told of."""
        holder = self.holder(top_up_fen=1_000)
        water = self.campus.terminal(f"WATER-{next(count)}", merchant="M-WATER", category="WATER")
        hold = water.hold(holder, water=True)
        assert hold.reason == "OK"
        self.desk("ReturnCard", account_no=holder.account_no, uid=holder.medium.token)
        self.campus.pass_time(minutes=5)
        return holder, hold.seq

    def member(self, *roles):
        return self.campus.member(f"m{next(count)}", *roles)

    def proposal(self):
        return self.campus.propose("qr_seconds", 30 + next(count) % 20).proposal

    def soon(self, look):
        """Return what is seen once the registry shows the taps."""
        ends = time.monotonic() + 10
        while not (found := look()):
            assert time.monotonic() < ends
            time.sleep(0.01)
        return found


def builds(name, *, by="staff"):
    """Register what builds the request of a method; `by` says who sends it unless it says so itself."""

    def register(build):
        def ask(world):
            built = build(world)
            caller, request = built if isinstance(built, tuple) else (by, built)
            if isinstance(caller, str):
                caller = {"staff": world.campus.staff, "admin": world.campus.admin}.get(caller)
            requests = request if isinstance(request, list) else [request]
            for each in requests:
                fields = each.DESCRIPTOR.fields_by_name
                if "request_id" in fields and not each.request_id:
                    each.request_id = world.campus.request_id()
            token = caller.token if caller is not None else ""
            return Ask(world.campus, METHODS[name], token, requests)

        BUILDERS[name] = ask
        return build

    return register
