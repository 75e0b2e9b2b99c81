"""What every purchase, hold and refusal must satisfy.

**Source:** docs/reference/decisions.md; regulation 四.3c-e (limits and passwords), 五.3 (no overdraft).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server.offline import layout as at
from server.offline.findings import Difference, demand_equal
from server.offline.rows import Hold

if TYPE_CHECKING:
    from server.offline.books import Books
    from server.offline.layout import Entry
    from server.offline.rows import Account

OVER: Final = at.F_OVER_DAY | at.F_OVER_MEAL
COUNTS: Final = at.F_COUNTS_DAY | at.F_COUNTS_MEAL
COUNTER_MAX: Final = 0xFFFF_FFFF
LIMIT_REASONS: Final = (at.R_PIN_REQUIRED, at.R_PIN_WRONG, at.R_PIN_LOCKED)
SAYS_NO_AMOUNT: Final = (at.RELEASE, at.SIGN_OFF, at.PIN_CHECK)


def now(books: Books, e: Entry) -> None:
    """The record is of the block's own day and meal."""
    if e.day_key != books.day_key or e.meal_key != books.meal_key:
        here = (books.day_key, books.meal_key)
        raise Difference(e.seq, f"day and meal {(e.day_key, e.meal_key)} are not now: {here}")


def limits_of(books: Books, account: Account) -> tuple[int, int]:
    """Return the day and meal limit in force for the account."""
    rules = books.rules
    day = rules.day_limit if account.day_limit == at.LIMIT_DEFAULT else account.day_limit
    meal = rules.meal_limit if account.meal_limit == at.LIMIT_DEFAULT else account.meal_limit
    return day, meal


def used(books: Books, account: Account) -> tuple[int, int]:
    """Return what is counted in the present day and meal."""
    day = account.day_used if account.day_key == books.day_key else 0
    here = books.is_meal(account, books.day_key, books.meal_key)
    return day, account.meal_used if here else 0


def over(books: Books, account: Account, before: tuple[int, int], amount: int, counts: int) -> int:
    """Return which limits an amount passes: strictly greater, cumulative (四.3c-d)."""
    day, meal = limits_of(books, account)
    meal_before = 0 if books.rules.meal_scope else before[1]
    flags = 0
    if counts & at.F_COUNTS_DAY and before[0] + amount > day:
        flags |= at.F_OVER_DAY
    if counts & at.F_COUNTS_MEAL and meal_before + amount > meal:
        flags |= at.F_OVER_MEAL
    return flags


# ---- refusals ----


def refusal(books: Books, e: Entry, account: Account | None) -> None:
    """Nothing moves, and the record says what the account stood at."""
    if e.outcome not in (at.DECLINED, at.PIN_REQUIRED) or e.reason == 0:
        raise Difference(e.seq, f"outcome {e.outcome} with reason {e.reason}")
    if e.outcome == at.PIN_REQUIRED and e.reason != at.R_PIN_REQUIRED:
        raise Difference(e.seq, "PIN_REQUIRED for another reason")
    if e.amount or e.debit_wallet or e.credit_wallet:
        raise Difference(e.seq, "a refusal moved money")
    if e.flags & (COUNTS | at.F_PARTIAL | at.F_LATE | at.F_FORCED | at.F_EXCESS):
        raise Difference(e.seq, "a refusal with the flags of a movement")
    if e.type in SAYS_NO_AMOUNT and e.aux:
        raise Difference(e.seq, "an amount asked where none is sent")
    now(books, e)
    if e.terminal and e.merchant != books.terminals[e.terminal].merchant:
        raise Difference(e.seq, "a refusal names another merchant than its terminal's")
    online = account.online if account else 0
    if e.debit_after != online:
        demand_equal(e.seq, "ONLINE", e.debit_after, online)
    told = credit_after_refusal(books, e, account)
    if e.credit_after != told:
        demand_equal(e.seq, "credit_after of a refusal", e.credit_after, told)
    if e.reason == at.R_PIN_WRONG and not e.flags & at.F_PIN_BAD:
        raise Difference(e.seq, "PIN_WRONG without a wrong password")
    if account and e.reason == at.R_PIN_REQUIRED:
        asked_for_a_password(books, e, account)


def credit_after_refusal(books: Books, e: Entry, account: Account | None) -> int:
    """Return what a refusal tells beside ONLINE: the numbers of its reason."""
    if account is None:
        return 0
    if e.reason in LIMIT_REASONS:
        day, meal = limits_of(books, account)
        value = day | meal << 32
        return value - (1 << 64) if value >> 63 else value
    if e.reason == at.R_INSUFFICIENT and e.type == at.PURCHASE:
        category = books.categories.get(books.merchants[e.merchant].category, 0)
        return account.subsidy if category & at.C_SUBSIDY else 0
    if e.reason == at.R_WATER_CAP:
        return books.rules.water_cap
    return left_to_refund(books, e) if e.reason == at.R_REFUND_EXCEEDS_ORIGINAL else 0


def left_to_refund(books: Books, e: Entry) -> int:
    """Return what of an original was not refunded yet, seeing that less was left than asked."""
    original = books.lookup(e.original_seq)
    parts = original.parts if original.type == at.PURCHASE else 1
    paid = sum(books.lookup(original.seq + part).amount for part in range(parts))
    undo = books.undos.get(original.seq)
    left = paid - (undo.refunded if undo else 0)
    if original.type not in (at.PURCHASE, at.CAPTURE) or original.part != 1 or e.aux <= left:
        raise Difference(e.seq, f"refused a refund of {e.aux} where {left} was left")
    return left


def asked_for_a_password(books: Books, e: Entry, account: Account) -> None:
    """A password is asked for only above a limit; what is asked is at least what would pass."""
    counts = books.counts_of(e.merchant)
    passed = over(books, account, used(books, account), e.aux, counts)
    if not e.flags & OVER or e.flags & OVER & ~passed:
        raise Difference(e.seq, "a password was asked for within the limits")


# ---- purchases and holds ----


def usable(books: Books, e: Entry, account: Account, right: int) -> int:
    """Check card, account, merchant and terminal of an approval; returns the category's bits."""
    terminal = books.terminals[e.terminal]
    if terminal.status != at.TS_IN_SERVICE or terminal.merchant != e.merchant:
        raise Difference(e.seq, "approved at a terminal out of service, or of another merchant")
    merchant = books.merchants.get(e.merchant)
    if merchant is None or merchant.status != at.TS_IN_SERVICE:
        raise Difference(e.seq, "approved at a merchant out of service")
    medium = books.media.get(e.medium)
    if medium is None or medium.account != e.account:
        raise Difference(e.seq, "approved on a medium that is not the account's")
    expired = medium.expires_day and books.today >= medium.expires_day
    if medium.state != at.MS_ACTIVE or medium.flags or expired:
        raise Difference(e.seq, "approved on a medium that is lost, frozen, expired or void")
    if account.status != at.AS_NORMAL:
        raise Difference(e.seq, "approved on an account that is not in use")
    category = books.categories.get(merchant.category, 0)
    if not category & right:
        raise Difference(e.seq, "approved at a category that does not allow it")
    ceiling = terminal.max_amount or at.AMOUNT_MAX
    if not e.flags & at.F_WATER and not 1 <= e.aux <= min(ceiling, at.AMOUNT_MAX):
        raise Difference(e.seq, "approved an amount out of range")
    return category


def asked_and_given(e: Entry, total: int, available: int) -> None:
    """All that was asked, or with PARTIAL all there was."""
    if total > available:
        raise Difference(e.seq, "approved more than was available")
    if e.flags & at.F_PARTIAL:
        if total != available or total >= e.aux:
            raise Difference(e.seq, "PARTIAL, but not all that was available")
    elif e.type == at.PURCHASE and total != e.aux:
        raise Difference(e.seq, f"approved {total} of {e.aux} asked")


def within_limits(
    books: Books, e: Entry, account: Account, before: tuple[int, int], total: int
) -> None:
    """Above a limit only with a right password, and the flags say which."""
    counts = books.counts_of(e.merchant)
    if e.flags & COUNTS != counts:
        raise Difference(e.seq, "the COUNTS flags are not the category's")
    passed = over(books, account, before, total, counts)
    if e.flags & OVER != passed:
        raise Difference(e.seq, "the OVER flags are not what the limits say")
    given = bool(e.flags & at.F_PIN_OK) + bool(e.pin_marks & at.P_BY_SESSION)
    if bool(passed) != given or e.flags & at.F_PIN_BAD:
        raise Difference(e.seq, "above a limit without a password, or a password without need")
    if max(before) + total > COUNTER_MAX:
        raise Difference(e.seq, "a counter beyond 32 bits")


def purchase(books: Books, e: Entry, account: Account | None) -> None:
    """Charges wallets in their order, in one record each (SUBSIDY, then ONLINE)."""
    if e.outcome != at.APPROVED:
        refusal(books, e, account)
        return
    if account is None or e.parts > 2:
        raise Difference(e.seq, "an approved purchase without account, or of too many parts")
    now(books, e)
    if e.part == 1:
        category = usable(books, e, account, at.C_SPEND)
        subsidy = account.subsidy if category & at.C_SUBSIDY else 0
        if account.online < 0:
            raise Difference(e.seq, "approved on an account in debt")
        books.sale = (e.flags, 0, subsidy, *used(books, account))
    flags, given, subsidy, day, meal = books.sale
    if e.flags != flags:
        raise Difference(e.seq, "the parts of a purchase have different flags")
    total = given + e.amount
    if e.part == e.parts:
        asked_and_given(e, total, account.online - account.held + subsidy)
        within_limits(books, e, account, (day, meal), total)
    wanted = at.SUBSIDY if e.part == 1 and subsidy > 0 else at.ONLINE
    if e.debit_wallet != wanted or e.credit_wallet != at.PAYABLE:
        raise Difference(e.seq, "not SUBSIDY before ONLINE, or not to the merchant")
    if wanted == at.SUBSIDY and e.amount != subsidy and e.parts == 2:
        raise Difference(e.seq, "ONLINE was charged before SUBSIDY was used up")
    if e.debit_wallet == at.ONLINE and e.amount > account.online - account.held:
        raise Difference(e.seq, "ONLINE was charged below what is held")
    books.count(account, e.amount, e.flags)
    books.movement(e)
    if e.debit_wallet == at.SUBSIDY and account.subsidy < 0:
        raise Difference(e.seq, "SUBSIDY below zero")
    books.sale = (flags, total, subsidy, day, meal)


def hold(books: Books, e: Entry, account: Account | None) -> None:
    """Reserves on ONLINE; nothing moves yet."""
    if e.outcome != at.APPROVED:
        refusal(books, e, account)
        return
    if account is None:
        raise Difference(e.seq, "an approved hold without account")
    now(books, e)
    category = usable(books, e, account, at.C_HOLD)
    water = bool(e.flags & at.F_WATER)
    if account.online < 0:
        raise Difference(e.seq, "approved on an account in debt")
    if water:
        water_hold(books, e, account, category)
    before = used(books, account)
    if e.amount < 1:
        raise Difference(e.seq, "a hold of nothing")
    asked_and_given(e, e.amount, account.online - account.held)
    if not water and not e.flags & at.F_PARTIAL and e.amount != e.aux:
        raise Difference(e.seq, f"held {e.amount} of {e.aux} asked")
    within_limits(books, e, account, before, e.amount)
    seconds = books.rules.water_hold_seconds if water else books.rules.hold_seconds
    demand_equal(e.seq, "ONLINE", e.debit_after, account.online)
    demand_equal(e.seq, "expiry", e.credit_after, books.time_us // 1_000_000 + seconds)
    wallets = (at.ONLINE, at.WATER if water else at.PAYABLE)
    demand_equal(e.seq, "wallets", (e.debit_wallet, e.credit_wallet), wallets)
    account.held += e.amount
    books.count(account, e.amount, e.flags)
    open_hold(books, e, account)


def water_hold(books: Books, e: Entry, account: Account, category: int) -> None:
    """A transfer to the water purse: a fixed amount, one at a time, up to the purse's cap."""
    merchant = books.merchants[e.merchant]
    if merchant.category != at.CAT_WATER or not category:
        raise Difference(e.seq, "a water transfer at another category")
    demand_equal(e.seq, "amount", e.amount, books.rules.water_tap)
    if account.water_hold:
        raise Difference(e.seq, "a second water transfer while one is open")
    if books.rules.water_cap and account.water + e.amount > books.rules.water_cap:
        raise Difference(e.seq, "the water purse above its cap")


def open_hold(books: Books, e: Entry, account: Account) -> None:
    """Enter the reservation."""
    water = 1 if e.flags & at.F_WATER else 0
    counts = (e.flags & at.F_COUNTS_DAY != 0) | (e.flags & at.F_COUNTS_MEAL != 0) << 1
    books.holds[e.seq] = Hold(
        seq=e.seq,
        amount=e.amount,
        due_s=e.credit_after,
        account=e.account,
        medium=e.medium,
        merchant=e.merchant,
        terminal=e.terminal,
        card_counter=e.aux if water else 0,
        day_key=e.day_key,
        meal_key=e.meal_key,
        state=at.HELD,
        water=water,
        counts=counts,
    )
    books.weights.holds.add(e.seq)
    if water:
        account.water_hold = e.seq
