"""What a campus does, in any order: the machine that property tests run on a rig of their choice."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.model.numbers import (
    KEYPAD,
    AccountStatus,
    Counts,
    EffectKind,
    Event,
    MediumFlag,
    MediumState,
    Op,
    Outcome,
    Wallet,
)
from tests.model.office import Effect
from tests.model.rig import (
    WRONG,
    bind,
    card,
    fund,
    furnish,
    medium_state,
    merchant,
    rules,
    terminal,
)
from tests.model.state import SEED_CATEGORIES, SEED_MEALS, Original, Rules
from tests.property.water_life import WaterLife, pins

IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Rules are compared here, not disks: nothing has to reach one."""

CANTEENS = ("POS-07", "POS-08")
TERMINALS = (*CANTEENS, "W-1", "B-1", "SHOP-1")
ROW_OF = {name: row for row, name in enumerate(TERMINALS, start=1)}
MERCHANT_OF = dict(zip(TERMINALS, (1, 1, 2, 3, 4), strict=True))
CATEGORY_OF = {1: 1, 2: 3, 3: 4, 4: 5}
ACCOUNTS = (1, 2, 3)

cards = st.sampled_from((1, 1, 1, 2, 2, 2, 3, 5, 5, 99))
accounts = st.sampled_from(ACCOUNTS)
terminals = st.sampled_from(TERMINALS)
payers = st.sampled_from(("POS-07",) * 4 + ("POS-08",) * 3 + ("SHOP-1", "B-1", "W-1"))
edges = st.tuples(
    st.sampled_from(
        ("one", "meal", "meal", "day", "balance", "subsidy", "small", "small", "small", "huge")
    ),
    st.integers(-1, 1),
)
pick = st.integers(0, 2**16)


class CampusLife(WaterLife):
    """What a campus does, in any order."""

    def make_rig(self, folder):
        """Return the rig all commands go to."""
        raise NotImplementedError

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="campuscard-model-", dir=IN_MEMORY)
        self.rig = self.make_rig(self.folder)
        self.taps = []
        self.reserved = []
        self.next_medium = 6

    def teardown(self):
        self.rig.close()
        shutil.rmtree(self.folder)

    @initialize()
    def build(self):
        furnish(self.rig)
        self.rig.do([bind(4, 3, MediumState.PRODUCED), bind(5, 1)])
        self.rig.do([fund(EffectKind.TOP_UP, 2, 6_000), fund(EffectKind.SUBSIDY, 2, 2_500)])

    # ---- numbers near an edge ----

    def amount(self, edge, number, name="POS-07"):
        """Turn an edge into fen: what is left of a limit or balance, and one more or less."""
        kind, shift = edge
        account = self.rig.model.books.accounts.get(1 if number == 5 else number)
        if account is None or kind in {"one", "huge"}:
            return {"one": 1, "huge": 100_000_000}.get(kind, 100) + shift
        day, meal = self.rig.model.books.limits(account)
        used_day, used_meal = self.rig.used(account.number)
        left = {
            "meal": meal - used_meal,
            "day": day - used_day,
            "balance": account.available,
            "subsidy": account.subsidy,
            "small": 350,
        }[kind]
        return min(left, 2_000_000) + shift

    def pin(self, kind, number):
        """Return a password as typed."""
        account = self.rig.model.books.accounts.get(1 if number == 5 else number)
        right = account.pin if account else WRONG
        return {"none": None, "right": right or WRONG, "wrong": WRONG}[kind]

    def keep(self, tap):
        """Send a tap and remember it for retries."""
        self.taps.append(tap)
        return self.rig.send(tap)

    def chosen(self, index, ops=None):
        """Return a tap sent before."""
        found = [tap for tap in self.taps if ops is None or tap.op in ops]
        if ops and index % 4:
            found = [tap for tap in found if self.approved(tap)] or found
        return found[-1 - index % min(len(found), 25)] if found else None

    def approved(self, tap):
        """Whether a tap moved or reserved money."""
        keys = self.rig.model.books.terminal_by_name(tap.terminal).keys
        key = keys.get((tap.batch_no, tap.terminal_seq))
        return key is not None and key.reply.outcome is Outcome.APPROVED

    def named(self, index, ops, by_seq):
        """Name an original: by its key, or by the seq of its record."""
        tap = self.chosen(index, ops)
        if tap is None:
            return None, None
        name = Original(batch_no=tap.batch_no, terminal_seq=tap.terminal_seq)
        terminal_row = self.rig.model.books.terminal_by_name(tap.terminal)
        key = terminal_row.keys.get((tap.batch_no, tap.terminal_seq))
        if by_seq and key and key.reply.records:
            name = Original(seq=key.reply.records[-1].seq)
        return tap, name

    # ---- payments ----

    @rule(name=payers, number=cards, edge=edges, pin=pins, partial=st.booleans())
    def purchase(self, name, number, edge, pin, partial):
        self.keep(
            self.rig.make_tap(
                Op.AUTHORIZE,
                name,
                medium=card(number),
                amount=self.amount(edge, number),
                pin=self.pin(pin, number),
                partial_ok=partial and edge[1] > 0,
            )
        )

    @rule(name=st.sampled_from(CANTEENS), number=st.sampled_from((1, 2)), edge=edges)
    def lunch(self, name, number, edge):
        """What mostly happens; the password is given where it is needed."""
        account = self.rig.account(number)
        amount = self.amount(edge, number)
        tap = self.rig.make_tap(Op.AUTHORIZE, name, medium=card(number), amount=amount)
        if self.keep(tap).outcome is Outcome.PIN_REQUIRED and account.pin:
            tap.pin = account.pin
            self.rig.send(tap)

    @rule(items=st.lists(st.tuples(payers, cards, edges, pins), min_size=2, max_size=12))
    def crowd(self, items):
        """Several terminals at once: one block, or several, decided in order."""
        taps = [
            self.rig.make_tap(
                Op.AUTHORIZE,
                name,
                medium=card(number),
                amount=self.amount(edge, number),
                pin=self.pin(pin, number),
            )
            for name, number, edge, pin in items
        ]
        repeated = [*taps, taps[0], taps[-1]]
        self.taps += taps
        self.rig.send_all(repeated)

    @rule(index=pick)
    def retry(self, index):
        tap = self.chosen(index)
        if tap:
            self.rig.send(tap)

    @rule(index=pick, pin=pins)
    def answer_the_password(self, index, pin):
        tap = self.chosen(4 * index, {Op.AUTHORIZE, Op.HOLD})
        if tap:
            number = int.from_bytes(tap.medium[2:6], "big")
            tap.pin = self.pin(pin, number)
            self.rig.send(tap)

    @rule(index=pick, shift=st.sampled_from((-1, 1)))
    def same_key_other_body(self, index, shift):
        tap = self.chosen(index)
        if tap and tap.op is not Op.SIGN_OFF:
            changed = tap.amount + shift
            if tap.op is Op.RELEASE:
                return
            self.rig.tap(
                tap.op,
                tap.terminal,
                batch_no=tap.batch_no,
                terminal_seq=tap.terminal_seq,
                medium=tap.medium,
                amount=changed,
                original=tap.original,
                void=tap.void,
                water=tap.water,
                card_counter=tap.card_counter,
                partial_ok=tap.partial_ok,
            )

    # ---- holds ----

    @rule(
        name=st.sampled_from(("B-1",) * 8 + ("SHOP-1", "W-1")),
        number=st.sampled_from((1, 1, 1, 2, 2, 5)),
        edge=st.tuples(st.sampled_from(("small",) * 4 + ("day", "balance")), st.integers(-1, 1)),
    )
    def reserve(self, name, number, edge):
        amount, typed = self.amount(edge, number), self.pin("right", number)
        self.keep(self.rig.make_tap(Op.HOLD, name, medium=card(number), amount=amount, pin=typed))

    @rule(
        op=st.sampled_from((Op.CAPTURE, Op.CAPTURE, Op.RELEASE)),
        index=pick,
        by_seq=st.booleans(),
        amount=st.sampled_from((0, 1, 100, 349, 350, 351, 10_000)),
    )
    def end_hold(self, op, index, by_seq, amount):
        tap, name = self.named(index, {Op.HOLD}, by_seq)
        if tap:
            amount = 0 if op is Op.RELEASE else amount
            self.keep(self.rig.make_tap(op, tap.terminal, original=name, amount=amount))

    # ---- undoing ----

    @rule(
        index=pick,
        by_seq=st.booleans(),
        void=st.booleans(),
        shift=st.sampled_from((0, 0, 0, -1, 1)),
    )
    def take_back(self, index, by_seq, void, shift):
        tap, name = self.named(index, {Op.AUTHORIZE, Op.CAPTURE, Op.HOLD, Op.REFUND}, by_seq)
        if tap:
            amount = tap.amount + shift
            self.keep(
                self.rig.make_tap(Op.REVERSE, tap.terminal, original=name, amount=amount, void=void)
            )

    @rule(
        index=pick,
        by_seq=st.booleans(),
        part=st.sampled_from((0, 1, 2, 3)),
        name=st.sampled_from((None, None, "POS-08", "SHOP-1")),
    )
    def give_back(self, index, by_seq, part, name):
        tap, original = self.named(index, {Op.AUTHORIZE, Op.CAPTURE, Op.HOLD}, by_seq)
        if tap:
            amount = (0, 1, tap.amount // 2 + 1, tap.amount + 1)[part]
            self.keep(
                self.rig.make_tap(Op.REFUND, name or tap.terminal, original=original, amount=amount)
            )

    @rule(name=payers, amount=st.sampled_from((1, 350)))
    def overtake(self, name, amount):
        """Reverse an original that comes later."""
        original = self.rig.make_tap(Op.AUTHORIZE, name, medium=card(1), amount=amount)
        self.reserved.append(original)
        key = Original(batch_no=original.batch_no, terminal_seq=original.terminal_seq)
        if key.batch_no:
            self.keep(self.rig.make_tap(Op.REVERSE, name, original=key, amount=amount))

    @precondition(lambda self: self.reserved)
    @rule(index=pick)
    def come_late(self, index):
        self.keep(self.reserved[index % len(self.reserved)])

    # ---- the office ----

    @rule(number=accounts, edge=edges, subsidy=st.booleans())
    def credit(self, number, edge, subsidy):
        amount = max(1, min(self.amount(edge, number), 1_000_000))
        kind = EffectKind.SUBSIDY if subsidy else EffectKind.TOP_UP
        self.rig.do([fund(kind, number, amount)])

    @rule(number=accounts, amount=st.sampled_from((1, 500, 5_000)))
    def charge_by_hand(self, number, amount):
        act = fund(EffectKind.ADJUST, number, amount, debit=Wallet.ONLINE, credit=Wallet.INCOME)
        self.rig.do([act])

    def change_card(self, draw):
        medium = draw(st.sampled_from((1, 2, 3, 4, 5)))
        state, flags, expires = draw(st.sampled_from(MediumState)), draw(st.integers(0, 3)), 0
        if draw(st.booleans()):
            state = MediumState.ACTIVE
            expires = draw(st.sampled_from((0, 19_795, 19_796)))
        known = self.rig.model.books.media[medium]
        if known.state is MediumState.UNBOUND:
            return
        stale = draw(st.integers(0, 9)) == 0
        self.rig.perform(
            [
                replace(
                    medium_state(state, MediumFlag(flags), row=medium, expires_day=expires),
                    event=Event.LOSS if flags & MediumFlag.LOST else Event.STATE,
                    expect_status=int(known.state) % 6 + 1 if stale else known.state,
                    expect_flags=int(known.flags),
                )
            ]
        )

    @precondition(lambda self: self.next_medium < 60)
    @rule(number=st.sampled_from((1, 2)))
    def rebind_unbound(self, number):
        """A key whose medium was unbound may be bound again, to a new row."""
        self.rig.perform(
            [
                Effect(
                    kind=EffectKind.MEDIUM_BIND,
                    row=self.next_medium,
                    link=number,
                    event=Event.BIND,
                    key=card(number),
                    status=MediumState.ACTIVE,
                )
            ]
        )
        self.next_medium = max(self.rig.model.books.media) + 1

    def change_account(self, draw):
        number, status = draw(accounts), draw(st.sampled_from(AccountStatus))
        effect = Effect(
            kind=EffectKind.ACCOUNT_STATUS, row=number, event=Event.STATUS, status=status
        )
        self.rig.do([effect])

    @rule(
        changes=st.lists(
            st.sampled_from(("card", "card", "account", "terminal", "merchant", "rules")),
            min_size=1,
            max_size=2,
        ),
        data=st.data(),
    )
    def disturb(self, changes, data):
        """Something at the office stops cards, accounts, terminals or merchants."""
        for change in changes:
            getattr(self, f"change_{change}")(data.draw)

    @rule(spare=st.integers(0, 60))
    def mend(self, spare):
        """All is well again, but for unbound media."""
        books = self.rig.model.books
        cards_now = [m for m in books.media.values() if m.state is not MediumState.UNBOUND]
        self.rig.do([medium_state(MediumState.ACTIVE, row=m.number) for m in cards_now][:8])
        self.rig.do(
            [
                Effect(
                    kind=EffectKind.ACCOUNT_STATUS,
                    row=number,
                    event=Event.STATUS,
                    status=AccountStatus.NORMAL,
                )
                for number in ACCOUNTS
            ]
        )
        for name in TERMINALS:
            flags = 0 if name == "W-1" else KEYPAD
            self.rig.do([terminal(ROW_OF[name], name, MERCHANT_OF[name], flags=flags)])
            if not books.terminal_by_name(name).signed_in:
                self.rig.sign_in(name)
        self.rig.do([merchant(number, kind) for number, kind in CATEGORY_OF.items()])
        for number in ACCOUNTS:
            missing = spare * 100 - books.accounts[number].online
            if missing > 0:
                self.rig.top_up(missing, number)

    @rule(
        number=accounts,
        day=st.sampled_from((2**32 - 1, 0, 700, 50_000)),
        meal=st.sampled_from((2**32 - 1, 0, 350, 50_000)),
    )
    def set_limits(self, number, day, meal):
        effect = Effect(
            kind=EffectKind.ACCOUNT_LIMITS,
            row=number,
            event=Event.LIMITS,
            day_limit=day,
            meal_limit=meal,
        )
        self.rig.do([effect])

    @rule(number=accounts, right=st.booleans(), reset=st.booleans(), new=st.integers(0, 9))
    def set_password(self, number, right, reset, new):
        kind = EffectKind.PIN_RESET if reset else EffectKind.PIN_SET
        event = Event.PIN_RESET if reset else Event.PIN_SET
        effect = Effect(kind=kind, row=number, event=event, pin=f"73915{new}")
        options = {}
        if not reset:
            options = {
                "pin_account": number,
                "pin": self.pin("right" if right else "wrong", number),
            }
        request = self.rig.request_id()
        self.rig.perform([effect], request_id=request, **options)
        self.rig.perform([effect], request_id=request, **options)

    def change_terminal(self, draw):
        name, status = draw(terminals), draw(st.sampled_from((1, 2, 3)))
        flags = 0 if name == "W-1" else KEYPAD
        most = draw(st.sampled_from((0, 400)))
        row, owner = ROW_OF[name], MERCHANT_OF[name]
        self.rig.do([terminal(row, name, owner, flags=flags, status=status, max_amount=most)])

    def change_merchant(self, draw):
        number = draw(st.sampled_from((1, 2, 3, 4)))
        self.rig.do([merchant(number, CATEGORY_OF[number], draw(st.sampled_from((1, 2))))])

    def change_rules(self, draw):
        new = rules(
            meal_limit=draw(st.sampled_from((5_000, 350))),
            pin_max=draw(st.sampled_from((3, 1, 5))),
            water_cap=draw(st.sampled_from((0, 2_000))),
            limit_per_transaction=draw(st.booleans()),
            late_capture_seconds=draw(st.sampled_from((40 * 86_400, 3_600))),
            **self.switches(draw),
        )
        self.rig.do([new])

    def switches(self, draw):
        """Return switches, mostly as they are by default."""
        return {
            "business_days": draw(st.booleans()),
            "fails_until_reset": draw(st.booleans()),
            "pin_session_seconds": draw(st.sampled_from((0, 0, 3, 3_600))),
            "day_cut_minutes": draw(st.sampled_from((0, 0, 1_410, 120))),
        }

    # ---- what waits for its time ----

    def waits(self, draw, kind):
        """Return an effect that is to happen later."""
        due_s = self.rig.now_us // 1_000_000 + draw(st.sampled_from((0, 1, 2, 60, 300, 1_800)))
        expected = {"event": Event.STATE, "unchanged": draw(st.booleans()), "due_s": due_s}
        if kind == "account":
            number = draw(accounts)
            return Effect(
                kind=EffectKind.ACCOUNT_STATUS,
                row=number,
                status=draw(st.sampled_from((AccountStatus.NORMAL, AccountStatus.SUSPENDED))),
                expect_status=draw(
                    st.sampled_from((AccountStatus.NORMAL, AccountStatus.SUSPENDED))
                ),
                **expected,
            )
        if kind == "card":
            flags = st.sampled_from(tuple(map(MediumFlag, range(4))))
            return Effect(
                kind=EffectKind.MEDIUM_STATE,
                row=draw(st.sampled_from((1, 2, 5))),
                status=draw(st.sampled_from((0, 0, 0, MediumState.ACTIVE))),
                flags=draw(flags),
                mask=draw(flags),
                expect_status=draw(st.sampled_from((0, MediumState.ACTIVE))),
                expect_flags=draw(flags),
                **expected,
            )
        if kind == "rules":
            new = Rules(
                day_limit=draw(st.sampled_from((10_000, 700))),
                meal_limit=draw(st.sampled_from((5_000, 350))),
                pin_max=draw(st.sampled_from((3, 5))),
                late_capture_seconds=draw(st.sampled_from((40 * 86_400, 3_600))),
                **self.switches(draw),
            )
            mask = draw(st.integers(0, 0xFFF)) << draw(st.sampled_from((0, 0, 12)))
            return replace(rules(), rules=new, due_s=due_s, mask=mask & 0xFFFF)
        if kind == "meals":
            meals = draw(st.sampled_from((SEED_MEALS, SEED_MEALS[:2], ((1260, 300),))))
            return Effect(kind=EffectKind.MEALS, meals=meals, due_s=due_s)
        flags = draw(st.sampled_from((SEED_CATEGORIES[1], SEED_CATEGORIES[5], Counts(0))))
        return Effect(kind=EffectKind.CATEGORY, category=1, flags=flags, due_s=due_s)

    @rule(
        kinds=st.lists(
            st.sampled_from(("account", "card", "rules", "rules", "meals", "category")),
            min_size=1,
            max_size=3,
        ),
        data=st.data(),
    )
    def schedule(self, kinds, data):
        """Several acts that are to happen later, at once or on their own."""
        self.rig.do([self.waits(data.draw, kind) for kind in kinds])

    @rule(number=accounts, minutes=st.integers(1, 30))
    def suspend_until(self, number, minutes):
        """A sanction with its end: a later act on the account ends that too."""
        status = Effect(kind=EffectKind.ACCOUNT_STATUS, row=number, event=Event.STATUS)
        later = replace(
            status,
            status=AccountStatus.NORMAL,
            expect_status=AccountStatus.SUSPENDED,
            unchanged=True,
            due_s=self.rig.now_us // 1_000_000 + minutes * 60,
        )
        self.rig.do([replace(status, status=AccountStatus.SUSPENDED), later])

    @rule(index=pick, twice=st.integers(0, 5))
    def cancel(self, index, twice):
        known = [*self.rig.model.books.scheduled, len(self.rig.model.books.journal)]
        effect = Effect(kind=EffectKind.CANCEL, scheduled_seq=known[index % len(known)])
        self.rig.perform([effect] * (2 if twice == 0 else 1))

    # ---- terminals and time ----

    @rule(name=terminals)
    def sign_in(self, name):
        self.rig.sign_in(name)

    @rule(name=terminals, back=st.sampled_from((0, 0, 1)))
    def sign_off(self, name, back):
        batch = max(self.rig.batches[name] - back, 1)
        self.keep(self.rig.make_tap(Op.SIGN_OFF, name, batch_no=batch, terminal_seq=0))

    @rule(name=payers, number=cards, back=st.integers(1, 4), edge=edges)
    def older_batch(self, name, number, back, edge):
        """A stored record of an earlier batch, or of one that never was."""
        batch = self.rig.batches[name] - back
        amount = self.amount(edge, number)
        self.keep(
            self.rig.make_tap(
                Op.AUTHORIZE, name, batch_no=max(batch, 1), medium=card(number), amount=amount
            )
        )

    @rule(
        edge=st.sampled_from(
            ("second", "hold", "water", "meal", "midnight", "day", "retire", "key window")
        ),
        shift=st.sampled_from((-1, 0, 1)),
    )
    def time_passes(self, edge, shift):
        """To just before, at or after the next edge of a meal, a day, a deadline, a window."""
        seconds = {
            "second": 1,
            "hold": 1_800,
            "water": 300,
            "day": 86_400,
            "retire": 40 * 86_400,
            "key window": 64 * 86_400,
        }.get(edge)
        if seconds is None:
            local = (self.rig.now_us // 1_000_000 + 28_800) % 86_400
            marks = (0, 86_400) if edge == "midnight" else (18_000, 36_000, 52_200, 75_600)
            seconds = min((mark - local) % 86_400 or 86_400 for mark in marks)
        self.rig.after(max(seconds + shift, 0))

    @rule(without_state=st.booleans())
    def restart(self, without_state):
        self.rig.restart(without_state=without_state)

    @rule()
    def checkpoint(self):
        self.rig.checkpoint()

    @invariant()
    def rows_agree(self):
        if self.rig.model.books.accounts:
            self.rig.settle()
            self.rig.compare_rows()
