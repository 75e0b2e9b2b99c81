"""The SDK against a server in memory, over a network that loses, delays and refuses."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from campuscard.v1 import terminal_service_pb2 as pb
from clients.terminal import Key, Kind, Result, Settings, State, Terminal, card
from clients.terminal.errors import BatchRegressedError, SignInRefusedError
from clients.terminal.link import REQUESTS, Decided, NeverDecided, NotYet, Rejected, Unknown

CARD = card("04A1B2C3")
QUICK = Settings(
    attempt_s=0.1,
    patience_s=0.02,
    first_pause_s=0.001,
    most_pause_s=0.002,
    background_pause_s=0.002,
)


class MemoryStore:
    """A store that survives the terminal, not the process."""

    def __init__(self):
        self.entries = {}
        self.batches = {}

    async def save(self, *entries):
        for entry in entries:
            self.entries[entry.key] = entry

    async def start_batch(self, terminal_id, batch_no):
        self.batches[terminal_id] = batch_no

    async def last_batch(self, terminal_id):
        return self.batches.get(terminal_id, 0)

    async def unsettled(self, terminal_id):
        return [entry for key, entry in sorted(self.entries.items()) if entry.unsettled]

    async def find(self, key):
        return self.entries.get(key)


@dataclass
class Server:
    """Decides like the real one, once for each key; `faults` says what happens to each call."""

    faults: list = field(default_factory=list)
    decisions: dict = field(default_factory=dict)
    charged: dict = field(default_factory=dict)
    reversed: set = field(default_factory=set)
    batch_no: int = 0
    limit: int = 5000
    calls: list = field(default_factory=list)

    def fault(self):
        return self.faults.pop(0) if self.faults else "ok"

    async def send(self, entry, *, pin, timeout_s):
        self.calls.append(entry.kind.value)
        fault = self.fault()
        if fault == "lost":
            return Unknown(detail="")
        if fault == "busy":
            return NotYet(reason="QUEUE_FULL", wait_s=0)
        if fault == "rejected":
            return Rejected(reason="FIELD_INVALID", detail="")
        decision = self.decide(entry.key, REQUESTS[entry.kind].FromString(entry.body), pin)
        if fault == "answer lost":
            return Unknown(detail="")
        return Decided(decision=decision)

    async def ask(self, key, *, timeout_s):
        self.calls.append("ask")
        if self.fault() != "ok":
            return Unknown(detail="")
        decision = self.decisions.get(key)
        return NeverDecided() if decision is None else Decided(decision=decision)

    async def call(self, method, request, *, timeout_s):
        assert method == "SignIn"
        self.batch_no += 1
        approved = pb.Decision(outcome=pb.OUTCOME_APPROVED, reason="OK")
        return pb.SignInResponse(decision=approved, batch_no=self.batch_no)

    def decide(self, key, request, pin):
        known = self.decisions.get(key)
        if known is not None and known.outcome != pb.OUTCOME_PIN_REQUIRED:
            return known
        if key.batch_no != self.batch_no:
            return pb.Decision(outcome=pb.OUTCOME_DECLINED, reason="TERMINAL_NOT_SIGNED_IN")
        if isinstance(request, pb.ReverseRequest):
            decision = self.reverse(key, request)
        elif key in self.reversed:
            decision = pb.Decision(outcome=pb.OUTCOME_DECLINED, reason="ORIGINAL_REVERSED")
        elif getattr(request, "amount_fen", 0) > self.limit and not pin:
            decision = pb.Decision(outcome=pb.OUTCOME_PIN_REQUIRED, reason="PIN_REQUIRED")
        elif pin not in {"", "904617"}:
            decision = pb.Decision(outcome=pb.OUTCOME_DECLINED, reason="PIN_WRONG")
        else:
            self.charged[key] = getattr(request, "amount_fen", 0)
            decision = pb.Decision(
                outcome=pb.OUTCOME_APPROVED, reason="OK", approved_fen=self.charged[key], seq=9
            )
        self.decisions[key] = decision
        return decision

    def reverse(self, key, request):
        original = Key(
            terminal_id=key.terminal_id,
            batch_no=request.original.batch_no,
            terminal_seq=request.original.terminal_seq,
        )
        known = self.charged.get(original)
        if known is not None and known != request.amount_fen:
            return pb.Decision(outcome=pb.OUTCOME_DECLINED, reason="REVERSAL_AMOUNT_MISMATCH")
        self.reversed.add(original)
        return pb.Decision(outcome=pb.OUTCOME_APPROVED, reason="OK")

    @property
    def kept(self):
        """What holders have lost in the end."""
        return {key: fen for key, fen in self.charged.items() if key not in self.reversed}


def open_terminal(server, store, **options):
    terminal = Terminal("POS-1", channel=FakeChannel(), store=store, settings=QUICK, **options)
    terminal._link = terminal._keys._link = terminal._settler._link = server
    return terminal


class FakeChannel:
    def __getattr__(self, name):
        return lambda *args, **kwargs: None


async def keypad(receipt):
    return "904617"


async def test_a_plain_sale():
    server, store = Server(), MemoryStore()
    async with open_terminal(server, store) as terminal:
        receipt = await terminal.pay(CARD, 1250)
    assert receipt.deliver
    assert receipt.approved_fen == 1250
    assert server.kept == {receipt.key: 1250}
    assert store.entries[receipt.key].state is State.DONE


async def test_the_entry_is_saved_before_the_first_send():
    server, store = Server(), MemoryStore()
    seen = []
    send = server.send

    async def spy(entry, **options):
        seen.append(store.entries[entry.key].state)
        return await send(entry, **options)

    server.send = spy
    async with open_terminal(server, store) as terminal:
        await terminal.pay(CARD, 1250)
    assert seen == [State.OPEN]


async def test_a_lost_answer_is_asked_for_and_not_sent_again():
    server, store = Server(faults=["answer lost"]), MemoryStore()
    async with open_terminal(server, store) as terminal:
        receipt = await terminal.pay(CARD, 1250)
        assert receipt.deliver
        assert server.calls == ["authorize", "ask"]
    assert server.kept == {receipt.key: 1250}


async def test_a_lost_request_is_sent_again_under_its_key():
    server, store = Server(faults=["lost"]), MemoryStore()
    async with open_terminal(server, store) as terminal:
        receipt = await terminal.pay(CARD, 1250)
        assert receipt.deliver
        assert receipt.key.terminal_seq == 1
    assert server.calls == ["authorize", "ask", "authorize"]


async def test_a_busy_server_is_not_a_doubt():
    server, store = Server(faults=["busy"] * 1000), MemoryStore()
    async with open_terminal(server, store) as terminal:
        receipt = await terminal.pay(CARD, 1250)
        assert (receipt.result, receipt.reason) == (Result.REJECTED, "QUEUE_FULL")
        assert terminal.background == 0
    assert store.entries[receipt.key].state is State.CLOSED


async def test_silence_ends_in_a_reversal_that_is_repeated():
    server, store = Server(faults=["answer lost"] + ["lost"] * 40), MemoryStore()
    ended = []
    async with open_terminal(server, store, on_settled=ended.append) as terminal:
        receipt = await terminal.pay(CARD, 1250)
        assert receipt.result is Result.GIVEN_UP
        assert not receipt.deliver
        assert store.entries[receipt.key].state is State.REVERSING
        await terminal.settle()
        assert terminal.counters.reversals == 1
    assert server.kept == {}
    assert store.entries[receipt.key].state is State.REVERSED
    assert [(end.kind, end.result) for end in ended] == [(Kind.REVERSE, Result.APPROVED)]


async def test_password_asked_and_given_under_the_same_key():
    server, store = Server(), MemoryStore()
    async with open_terminal(server, store) as terminal:
        receipt = await terminal.pay(CARD, 6000, ask_pin=keypad)
    assert receipt.deliver
    assert len(store.entries) == 1
    assert b"904617" not in store.entries[receipt.key].body


async def test_password_lost_on_the_way_is_sent_again():
    server, store = Server(faults=["ok", "lost"]), MemoryStore()
    async with open_terminal(server, store) as terminal:
        receipt = await terminal.pay(CARD, 6000, ask_pin=keypad)
    assert receipt.deliver
    assert server.calls == ["authorize", "authorize", "ask", "authorize"]


async def test_password_not_given_moves_nothing():
    server, store = Server(), MemoryStore()
    async with open_terminal(server, store) as terminal:
        receipt = await terminal.pay(CARD, 6000)
    assert receipt.result is Result.PIN_REQUIRED
    assert store.entries[receipt.key].state is State.CLOSED
    assert server.charged == {}


async def test_cancelling_a_payment_is_giving_up():
    server, store = Server(faults=["answer lost"] + ["lost"] * 1000), MemoryStore()
    async with open_terminal(server, store) as terminal:
        task = asyncio.create_task(terminal.pay(CARD, 1250))
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.faults.clear()
        await terminal.settle()
    assert server.kept == {}
    assert {entry.state for entry in store.entries.values()} == {State.REVERSED, State.DONE}


async def test_a_closed_batch_moves_the_request_to_a_new_key():
    server, store = Server(), MemoryStore()
    async with open_terminal(server, store) as terminal:
        await terminal.pay(CARD, 100)
        server.batch_no += 5  # somebody signed in with this terminal's name
        receipt = await terminal.pay(CARD, 200)
        assert receipt.deliver
        assert receipt.key.batch_no == server.batch_no
    assert sorted(server.kept.values()) == [100, 200]


async def test_a_restart_reverses_what_was_never_reported():
    server, store = Server(faults=["answer lost"] + ["lost"] * 1000), MemoryStore()
    async with open_terminal(server, store) as terminal:
        task = asyncio.create_task(terminal.pay(CARD, 1250))
        await asyncio.sleep(0.003)
        before = dict(store.entries)  # the disk as the power went
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert list(server.kept.values()) == [1250]
    store.entries, server.faults = before, []
    async with open_terminal(server, store) as terminal:
        await terminal.settle()
    assert server.kept == {}


async def test_a_capture_is_repeated_and_never_reversed():
    server, store = Server(), MemoryStore()
    async with open_terminal(server, store) as terminal:
        hold = await terminal.hold(CARD, 600)
        server.faults = ["lost"] * 60
        receipt = await terminal.capture(hold, 346)
        assert receipt.result is Result.QUEUED
        await terminal.settle()
    assert server.kept[receipt.key] == 346
    assert "reverse" not in server.calls


@pytest.mark.parametrize(
    ("written", "last_call", "result"),
    [
        (True, "capture", Result.APPROVED),
        (False, "release", Result.APPROVED),
        (None, "hold", Result.QUEUED),
    ],
)
async def test_water_transfer(written, last_call, result):
    server, store = Server(), MemoryStore()

    async def write_card(hold):
        return written

    async with open_terminal(server, store) as terminal:
        receipt = await terminal.transfer_water(CARD, 7, write_card=write_card)
    assert server.calls[-1] == last_call
    assert receipt.result is result


async def test_a_reversal_the_server_refuses_is_kept_for_a_person():
    server, store = Server(faults=["answer lost"] + ["lost"] * 30), MemoryStore()
    async with open_terminal(server, store) as terminal:
        receipt = await terminal.pay(CARD, 1250)
        server.charged[receipt.key] = 1251
        await terminal.settle()
        assert terminal.counters.disputes == 1
    assert store.entries[receipt.key].state is State.DISPUTED


async def test_a_server_that_went_back_in_time_is_not_trusted():
    server, store = Server(), MemoryStore()
    store.batches["POS-1"] = 10
    async with open_terminal(server, store) as terminal:
        with pytest.raises(BatchRegressedError):
            await terminal.pay(CARD, 100)
    assert server.charged == {}


async def test_a_refused_sign_in_sends_nothing():
    server, store = Server(), MemoryStore()

    async def call(method, request, *, timeout_s):
        return Rejected(reason="NOT_FOUND", detail="terminal")

    server.call = call
    async with open_terminal(server, store) as terminal:
        with pytest.raises(SignInRefusedError) as caught:
            await terminal.pay(CARD, 100)
    assert caught.value.reason == "NOT_FOUND"
    assert store.entries == {}


FAULTS = st.lists(
    st.sampled_from(["ok", "lost", "answer lost", "busy", "rejected"]), min_size=0, max_size=25
)


@given(
    days=st.lists(
        st.tuples(FAULTS, st.sampled_from([100, 6000]), st.booleans(), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_nobody_pays_twice_or_for_nothing(days):
    """Each day: a payment under faults, perhaps a power cut with business open, a restart."""

    async def run():
        server, store, delivered = Server(), MemoryStore(), {}
        for faults, amount_fen, has_keypad, cut in days:
            async with open_terminal(server, store) as terminal:
                server.faults = list(faults)
                receipt = await terminal.pay(
                    CARD, amount_fen, ask_pin=keypad if has_keypad else None
                )
                if receipt.deliver:
                    delivered[receipt.key] = amount_fen
                if not cut:
                    await terminal.settle()
        server.faults = []
        async with open_terminal(server, store) as terminal:
            await terminal.settle()
        states = {entry.state for entry in store.entries.values()}
        assert server.kept == delivered or State.DISPUTED in states
        assert states <= {State.DONE, State.CLOSED, State.REVERSED, State.DISPUTED}

    asyncio.run(run())
