"""Acts about holders' two passwords: what a new one may be, changing, resetting, counting tries.

The transaction password is the engine's: it keeps it, checks it and counts wrong ones. The query
password is the registry's. Each has its own counter and its own lock. What passwords were is known
by keyed hashes alone.

**Source:** regulation 三.2c, 四.3a-b, 四.4, 五.2a-b.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from core.accounts import refuse_closed
from core.cards import CardState, describe, legal_events
from core.documents import passwords as documents
from core.ids import InitialPassword, initial_password
from core.passwords import (
    KnownNumbers,
    id_hash,
    is_well_formed,
    keyed_hash,
    query_tag,
    query_weakness,
    weakness,
)
from core.plans import EffectKind, EffectPlan, Expect, Plan
from core.refusals import Refusal, invalid
from core.rows import KEYPAD, RowEvent, ServiceStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.facts import AccountFacts, TerminalFacts
    from core.media import Carrier
    from core.parameters import Values

QUERY_MAX: Final = 64
"""Characters of a query password at most."""
HISTORY_MAX: Final = 10
"""Passwords remembered of each kind: what the parameter ``password_history`` can ask for."""
_SECOND_US: Final = 1_000_000


class PasswordKind(IntEnum):
    """Which of a holder's two passwords."""

    TRANSACTION = 1
    QUERY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPasswords:
    """What a new password of a holder is judged by.

    Attributes:
        key: 32 bytes, the server's own for passwords.
        numbers: what can be read of the holder.
        personal: keyed hashes of the numbers seen at the import.
        initial_tag: ``core.passwords.query_tag`` of the initial password; empty where none is known.
        id_hash: ``core.passwords.id_hash`` of the ID number; empty where none is known.
        used: keyed hashes of the passwords of each kind, the present one first; none while the
            first initial one is in use.
    """

    key: bytes = field(repr=False)
    numbers: KnownNumbers = field(repr=False)
    personal: frozenset[bytes] = field(repr=False)
    initial_tag: bytes = field(repr=False)
    id_hash: bytes = field(repr=False)
    used: Mapping[PasswordKind, tuple[bytes, ...]] = field(repr=False)

    def hash_of(self, text: str) -> bytes:
        """Return the keyed hash of a text for this holder."""
        return keyed_hash(self.key, self.numbers.account_no, text)

    def is_personal(self, digits: str) -> bool:
        """Tell whether six digits come from the ID number or date of birth."""
        return self.hash_of(digits) in self.personal

    def is_initial(self, text: str) -> bool:
        """Tell whether a text is the initial password."""
        tag = query_tag(self.key, self.numbers.account_no, text)
        return bool(self.initial_tag) and hmac.compare_digest(tag, self.initial_tag)

    def is_present(self, kind: PasswordKind, text: str) -> bool:
        """Tell whether a text is the present password of a kind."""
        used = self.used[kind]
        return self.hash_of(text) == used[0] if used else self.is_initial(text)

    def was_before(self, kind: PasswordKind, text: str, *, count: int) -> bool:
        """Tell whether a text is among the last ``count`` passwords, the present one counted in.

        The present one itself is not looked at: whether the old one was given is asked elsewhere, and
        saying so here would let guesses go uncounted.
        """
        used = self.used[kind]
        if self.hash_of(text) in used[1:count]:
            return True
        return bool(used) and len(used) < count and self.is_initial(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryState:
    """A query password as it stands.

    Attributes:
        number: of the account.
        account_no: as printed.
        sealed: what it is checked by; empty: ``tag``.
        tag: of the initial password of the import; empty: none.
        initial: nobody has changed it since it was given out.
        fails: wrong tries since the last right one.
        locked_until_us: self-service is locked until then; 0: it is not.
    """

    number: int
    account_no: str
    sealed: bytes = field(repr=False)
    tag: bytes = field(repr=False)
    initial: bool
    fails: int
    locked_until_us: int

    def locked_at(self, now_us: int) -> bool:
        """Tell whether self-service is locked."""
        return now_us < self.locked_until_us


def judge_transaction(old: str, new: str, known: KnownPasswords, values: Values) -> str:
    """Judge a new transaction password.

    Args:
        old: the present one as typed, six digits.
        new: the wanted one, six digits.
        known: of the holder.
        values: in force.

    Returns:
        The rule broken where the parameter ``weak_password_mode`` only warns; else empty.

    Raises:
        Refusal: WEAK_PASSWORD, PASSWORD_UNCHANGED, PASSWORDS_EQUAL.

    **Source:** regulation 四.3a, 五.2a-b.
    """
    rule = weakness(new, known.numbers, is_personal=known.is_personal)
    _refuse_weak(rule, values)
    if new == old:
        raise Refusal("PASSWORD_UNCHANGED")
    if known.is_present(PasswordKind.QUERY, new):
        raise Refusal("PASSWORDS_EQUAL")
    return rule or _used_before(PasswordKind.TRANSACTION, new, known, values)


def check_six_digits(field_name: str, password: str) -> None:
    """Check the form of a transaction password; full-width digits are none.

    Raises:
        Refusal: FIELD_INVALID.
    """
    if not is_well_formed(password):
        raise invalid(field_name, "six digits")


def judge_query(old: str, new: str, known: KnownPasswords, values: Values) -> str:
    """Judge a new query password; arguments and answer as of ``judge_transaction``.

    Raises:
        Refusal: FIELD_INVALID, WEAK_PASSWORD, PASSWORD_UNCHANGED, PASSWORDS_EQUAL.

    **Source:** regulation 四.4, 五.2a-b; NIST SP 800-63B 5.1.1.2 (length, no composition).
    """
    check_query_form(new)
    rule = query_weakness(new, known.numbers, is_personal=known.is_personal)
    _refuse_weak(rule, values)
    if new == old:
        raise Refusal("PASSWORD_UNCHANGED")
    if known.is_present(PasswordKind.TRANSACTION, new):
        raise Refusal("PASSWORDS_EQUAL")
    shortest = values.number("query_password_min")
    if len(new) < shortest:
        raise Refusal("WEAK_PASSWORD", rule="TOO_SHORT", shortest=shortest)
    return rule or _used_before(PasswordKind.QUERY, new, known, values)


def check_query_form(password: str) -> None:
    """Check the form of a new query password: printable ASCII without spaces.

    Full-width digits are refused: another keyboard would not make them.

    Raises:
        Refusal: FIELD_INVALID.
    """
    if not 1 <= len(password) <= QUERY_MAX or any(not "!" <= char <= "~" for char in password):
        raise invalid("new_password", f"1 to {QUERY_MAX} ASCII characters without spaces")


def check_repeated(new: str, confirm: str) -> None:
    """Check that a new password was typed twice alike.

    Raises:
        Refusal: PASSWORD_MISMATCH.

    **Source:** regulation 四.4 "再次输入新密码".
    """
    if new != confirm:
        raise Refusal("PASSWORD_MISMATCH")


def refuse_gone(account: AccountFacts) -> None:
    """Refuse acts about the passwords of somebody who is not there any more.

    Raises:
        Refusal: HOLDER_ERASED, ACCOUNT_CLOSED.
    """
    if account.erased:
        raise Refusal("HOLDER_ERASED")
    refuse_closed(account)


def initial_of(id_number: str, known: KnownPasswords, values: Values) -> str:
    """Return the initial password that the counter gives back, the holder's document before it.

    Args:
        id_number: as read from the document; it must be the one on file where one is.
        known: of the holder.
        values: in force.

    Raises:
        Refusal: IDENTITY_MISMATCH.

    **Source:** regulation 四.3b, 五.5; D4.
    """
    typed = id_number.strip().upper()
    if known.id_hash and not hmac.compare_digest(id_hash(known.key, typed), known.id_hash):
        raise Refusal("IDENTITY_MISMATCH")
    return initial_password(typed, InitialPassword(values.text("initial_password_rule")))


def check_keypad(terminal: TerminalFacts, carrier: Carrier) -> None:
    """Check that a transaction password may be changed at a terminal, a medium before it.

    Args:
        terminal: where.
        carrier: what was presented.

    Raises:
        Refusal: CHANNEL_NOT_ALLOWED, CARD_STATE unless the medium may be used.

    **Source:** regulation 五.2a (消费机), 五.4.
    """
    usable = terminal.status is ServiceStatus.IN_SERVICE and terminal.flags & KEYPAD
    if not usable or not terminal.batch_no:
        raise Refusal("CHANNEL_NOT_ALLOWED", allowed="TERMINAL, signed in, with a keypad")
    flags = carrier.medium.flags
    if carrier.state is not CardState.ACTIVE or flags:
        legal = ", ".join(event.name for event in legal_events(carrier.state, flags)) or "-"
        state = describe(carrier.state, flags)
        raise Refusal("CARD_STATE", state=state, wanted="CHANGE_PIN", legal=legal)


def set_transaction(account: AccountFacts, *, old: str, new: str, sealed: bytes) -> Plan:
    """Change the transaction password; the engine checks the old one and counts the try.

    Args:
        account: as it stands.
        old: the present one.
        new: judged.
        sealed: what is kept of the new one.

    **Source:** regulation 五.2a.
    """
    effect = _pin_effect(account, EffectKind.PIN_SET, RowEvent.PIN_SET, new)
    document = documents.TransactionPasswordSet(account=account.number, sealed=sealed)
    return Plan(document=document, effects=(effect,), pin_account=account.number, pin=old)


def reset_transaction(account: AccountFacts, *, initial: str, sealed: bytes) -> Plan:
    """Give back an initial transaction password; unlocks it and asks for a change.

    **Source:** regulation 四.3b.
    """
    effect = _pin_effect(account, EffectKind.PIN_RESET, RowEvent.PIN_RESET, initial)
    document = documents.TransactionPasswordReset(account=account.number, sealed=sealed)
    return Plan(document=document, effects=(effect,))


def set_query(account: AccountFacts, *, sealed: bytes) -> Plan:
    """Change the query password, the old one checked and the new one judged.

    **Source:** regulation 四.4.
    """
    document = documents.QueryPasswordSet(account=account.number, sealed=sealed)
    return Plan(document=document, effects=())


def reset_query(account: AccountFacts, *, sealed: bytes) -> Plan:
    """Give back an initial query password; ends the lock and asks for a change.

    **Source:** regulation 四.3b, 三.2c.
    """
    document = documents.QueryPasswordReset(account=account.number, sealed=sealed)
    return Plan(document=document, effects=())


def fail_query(state: QueryState, *, now_us: int, values: Values) -> Plan:
    """Count a wrong query password; the last one locks self-service, and nothing else.

    After the lock the count begins again.

    **Source:** regulation 三.2c.
    """
    begun_again = state.locked_until_us and not state.locked_at(now_us)
    fails = 1 if begun_again else state.fails + 1
    locked = fails >= values.number("query_tries")
    until_us = now_us + values.number("query_lock_seconds") * _SECOND_US if locked else 0
    document = documents.QueryPasswordFailed(
        account=state.number, fails=fails, locked_until_us=until_us
    )
    return Plan(document=document, effects=())


def _pin_effect(account: AccountFacts, kind: EffectKind, event: RowEvent, pin: str) -> EffectPlan:
    return EffectPlan(
        kind=kind,
        row=account.number,
        event=event,
        expect=Expect.STATUS,
        expect_status=account.status,
        pin=pin,
    )


def _refuse_weak(rule: str, values: Values) -> None:
    if rule and values.text("weak_password_mode") == "ENFORCE":
        raise Refusal("WEAK_PASSWORD", rule=rule)


def _used_before(kind: PasswordKind, new: str, known: KnownPasswords, values: Values) -> str:
    count = values.number("password_history")
    rule = "RECENT" if known.was_before(kind, new, count=count) else ""
    _refuse_weak(rule, values)
    return rule
