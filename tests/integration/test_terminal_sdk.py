"""The SDK against the real server, in bad weather: nobody pays twice, or for nothing."""

import asyncio
import random
from collections import Counter

import pytest

from campuscard.v1 import staff_service_pb2 as staff_pb
from clients.session import connect_signed
from clients.terminal import Result, Settings, SqliteStore, Terminal, connect, now_us
from clients.terminal.errors import CallRejectedError, ServerUnreachableError
from clients.terminal.simulate import Plan, Simulation
from clients.terminal.traffic import Campus as Crowd
from clients.terminal.traffic import Holder, Seller
from tests.acceptance.conftest import wait_until
from tests.integration.weather import CALM, LOSE_ANSWERS, REFUSE, Weather

pytestmark = pytest.mark.slow
HURRIED = Settings(
    attempt_s=0.3,
    patience_s=1.0,
    first_pause_s=0.02,
    most_pause_s=0.2,
    background_pause_s=0.3,
)
PATIENT = Settings(attempt_s=0.3, patience_s=5.0, first_pause_s=0.02, most_pause_s=0.2)
TERMINALS = 6
PIN, NEW_PIN = "812123", "904617"
ID_NUMBER = "44070320050812123X"


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "keys.db", now_us=now_us())
    yield opened
    opened.close()


def effects(holder):
    """Return key -> fen that stays charged, and how often each key was charged."""
    kept, charges, sale_of = {}, Counter(), {}
    for record in sorted(holder.history(), key=lambda record: record.seq):
        if record.outcome != 1:
            continue
        key = (record.key.terminal_id, record.key.batch_no, record.key.terminal_seq)
        if record.type == "PURCHASE":
            charges[key] += 1
            kept[key] = record.amount_fen
            sale_of[record.seq] = key
        elif record.type == "REVERSAL":
            kept.pop(sale_of[record.original_seq])
    return kept, charges


def key_of(receipt):
    return (receipt.key.terminal_id, receipt.key.batch_no, receipt.key.terminal_seq)


async def keypad(_):
    return PIN


async def test_a_sale_a_password_a_void_and_a_repetition(campus, store):
    holder = campus.open_account(id_number=ID_NUMBER, top_up_fen=50_000)
    campus.terminal("SDK-1", sign_in=False)
    async with (
        connect(campus.address) as channel,
        Terminal("SDK-1", channel=channel, store=store) as terminal,
    ):
        sale = await terminal.pay(holder.medium, 1_250)
        assert (sale.result, sale.balance_fen) == (Result.APPROVED, 48_750)
        again = await terminal.repeat(sale)
        assert again.replayed
        assert again.auth_code == sale.auth_code
        refused = await terminal.pay(holder.medium, 6_000)
        assert refused.result is Result.PIN_REQUIRED
        assert refused.decision.refusal.numbers["mealLimitFen"] == 5_000
        dear = await terminal.pay(holder.medium, 6_000, ask_pin=keypad)
        assert dear.deliver
        assert (await terminal.void(sale)).deliver
        part = await terminal.refund(dear, 1_000)
        assert part.deliver
        assert (await terminal.find(dear.key)).seq == dear.seq
        balance = await terminal.balance(holder.medium)
        assert balance.online_fen == 50_000 - 6_000 + 1_000
        assert (await terminal.heartbeat()).batch_no == terminal.batch_no
    assert holder.online_fen == 45_000


async def test_a_password_is_changed_once_whatever_is_lost(campus, store, seed):
    holder = campus.open_account(id_number=ID_NUMBER, top_up_fen=50_000)
    campus.terminal("SDK-P", sign_in=False)
    async with (
        Weather(campus.address, seed=seed) as weather,
        connect(weather.address) as channel,
        Terminal("SDK-P", channel=channel, store=store, settings=PATIENT) as terminal,
    ):
        with pytest.raises(CallRejectedError) as refused:
            await terminal.change_pin(holder.medium, PIN, NEW_PIN, "904618")
        assert refused.value.reason == "PASSWORD_MISMATCH"
        with pytest.raises(CallRejectedError) as refused:
            await terminal.change_pin(holder.medium, "111112", NEW_PIN, NEW_PIN)
        assert refused.value.reason == "PASSWORD_REFUSED"

        weather.state = LOSE_ANSWERS
        change = asyncio.create_task(terminal.change_pin(holder.medium, PIN, NEW_PIN, NEW_PIN))
        await asyncio.to_thread(wait_until, lambda: changes_of(campus, holder))
        weather.clear()
        done = await change
        assert done.act.replayed, "the answer that was lost"
        assert changes_of(campus, holder) == [done.act.seq]

        weather.clear(REFUSE)
        with pytest.raises(ServerUnreachableError):
            await terminal.change_pin(holder.medium, NEW_PIN, PIN, PIN)
        weather.state = CALM

        async def new_pin(_):
            return NEW_PIN

        dear = await terminal.pay(holder.medium, 6_000, ask_pin=new_pin)
        assert dear.deliver


def changes_of(campus, holder):
    """Return where changes of a transaction password stand that were done."""
    request = staff_pb.ListActsRequest(account_no=holder.account_no)
    acts = campus.stub("StaffService").ListActs(request, timeout=5).acts
    return [a.seq for a in acts if a.kind == "TransactionPasswordSet" and not a.refusal]


async def test_bath_and_water(campus, store):
    holder = campus.open_account(top_up_fen=10_000)
    campus.terminal("SDK-B", merchant="BATH", category="BATH", keypad=False, sign_in=False)
    campus.terminal("SDK-W", merchant="WATER", category="WATER", keypad=False, sign_in=False)
    async with (
        connect(campus.address) as channel,
        Terminal("SDK-B", channel=channel, store=store) as bath,
        Terminal("SDK-W", channel=channel, store=store) as water,
    ):
        hold = await bath.hold(holder.medium, 600)
        assert (await bath.capture(hold, 346)).deliver
        hold = await bath.hold(holder.medium, 600)
        assert (await bath.release(hold)).deliver
        written = []

        async def write_card(hold):
            written.append(hold.approved_fen)
            return [True, False, None, True][len(written) - 1]

        ends = [
            (await water.transfer_water(holder.medium, counter, write_card=write_card)).result
            for counter in (7, 8, 8, 9)
        ]
        assert ends == [Result.APPROVED, Result.APPROVED, Result.QUEUED, Result.APPROVED]
    wallets = holder.read().wallets
    # The third was pulled away, but the fourth tap shows a counter that went on: it was written.
    assert (wallets.water_fen, wallets.held_fen) == (3_000, 0)
    assert wallets.online_fen == 10_000 - 346 - 3_000


@pytest.mark.timeout(40)
async def test_a_simulation_without_rate_has_one_customer_at_a_terminal(campus, store):
    """Customers come when a terminal is free: they are not made faster than they are served."""
    names = tuple(f"RUSH-{number}" for number in range(4))
    for name in names:
        campus.terminal(name, sign_in=False)
    people = [campus.open_account(top_up_fen=1_000_000) for _ in range(5)]
    crowd = Crowd(
        holders=tuple(Holder(account_no=p.account_no, uid=p.medium.token, pin=PIN) for p in people),
        sellers=(Seller(category="CANTEEN", terminal_ids=names),),
    )
    waiting = []
    token = campus.staff.token
    async with (
        connect(campus.address) as channel,
        connect_signed(campus.address, token=lambda: token) as office,
    ):
        simulation = Simulation(
            crowd,
            plan=Plan(rate=0),
            channel=channel,
            office=office,
            store=store,
            on_receipt=lambda _: waiting.append(len(simulation._tasks)),
        )
        asyncio.get_running_loop().call_later(2.0, simulation.stop.set)
        meter = await asyncio.wait_for(simulation.run(), 30)
    losses_and_top_ups = 2 * len(people)
    assert max(waiting) <= len(names) + losses_and_top_ups
    assert sum(meter.kinds.values()) >= len(waiting) > 50
    assert meter.errors == {}


async def test_in_bad_weather_no_effect_is_doubled_or_lost(campus, store, seed):
    holders = [campus.open_account(top_up_fen=500_000, id_number=ID_NUMBER) for _ in range(4)]
    names = [f"WET-{number}" for number in range(TERMINALS)]
    for name in names:
        campus.terminal(name, sign_in=False)
    rng = random.Random(seed)
    results = Counter()
    delivered = [{} for _ in holders]
    loop = asyncio.get_running_loop()

    async def serve(name, channel, ends_s):
        while loop.time() < ends_s:
            async with Terminal(name, channel=channel, store=store, settings=HURRIED) as terminal:
                for _ in range(rng.randrange(3, 12)):  # then the power goes, business open or not
                    number = rng.randrange(len(holders))
                    fen = rng.randrange(1, 900)
                    try:
                        receipt = await terminal.pay(holders[number].medium, fen, ask_pin=keypad)
                    except ServerUnreachableError:
                        results["no batch"] += 1
                        continue
                    results[receipt.result.value] += 1
                    if receipt.deliver:
                        delivered[number][key_of(receipt)] = fen

    async with Weather(campus.address, seed=seed) as weather:
        channels = [connect(weather.address) for _ in range(3)]
        ends_s = loop.time() + 8.0
        changing = asyncio.create_task(weather.change(until_s=ends_s - 0.5, outage_s=1.5))
        work = (serve(name, channels[i % 3], ends_s) for i, name in enumerate(names))
        await asyncio.gather(*work)
        await changing
        for name in names:  # the last restart, in the calm: everything open comes to an end
            channel = channels[0]
            async with Terminal(name, channel=channel, store=store, settings=HURRIED) as terminal:
                await asyncio.wait_for(terminal.settle(), 20)
        assert all([await store.unsettled(name) == [] for name in names])
        for channel in channels:
            await channel.close()

    for holder, ours in zip(holders, delivered, strict=True):
        kept, charges = effects(holder)
        assert kept == ours
        assert max(charges.values()) == 1
        assert holder.online_fen == 500_000 - sum(ours.values())
    assert results["approved"] > 50, results
    assert results["given_up"] > 0, (results, weather.seen)


async def test_a_server_killed_under_the_sdk(own_campus, tmp_path, seed):
    own_campus.start()
    holder = own_campus.open_account(top_up_fen=1_000_000, id_number=ID_NUMBER)
    own_campus.terminal("POS-1", sign_in=False)
    store = SqliteStore(tmp_path / "keys.db", now_us=now_us())
    delivered = {}
    rng = random.Random(seed)

    async with Weather(own_campus.address, seed=seed) as door:  # its address stays

        async def crash():
            for _ in range(2):
                await asyncio.sleep(rng.uniform(0.3, 0.8))
                own_campus.kill9()
                await asyncio.to_thread(own_campus.start)
                host, _, port = own_campus.address.rpartition(":")
                door._server = (host, int(port))

        async with connect(door.address) as channel:
            terminal = Terminal("POS-1", channel=channel, store=store, settings=HURRIED)
            async with terminal:
                crashing = asyncio.create_task(crash())
                while not crashing.done():
                    fen = rng.randrange(1, 900)
                    try:
                        receipt = await terminal.pay(holder.medium, fen, ask_pin=keypad)
                    except ServerUnreachableError:
                        continue
                    if receipt.deliver:
                        delivered[key_of(receipt)] = fen
                await crashing
                await asyncio.wait_for(terminal.settle(), 20)
    store.close()
    kept, charges = effects(holder)
    assert kept == delivered
    assert max(charges.values()) == 1
    own_campus.stop()
