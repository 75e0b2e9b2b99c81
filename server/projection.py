"""From blocks to the registry: one function, live and in a rebuild.

Records make and change rows by their after-images; documents give the rows their names. Payments
enter only as totals of their block, which the engine has summed in its header, and where their refusal
is alarming.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from core import documents
from core.blocks import DUE, Outcome, RecordType
from core.calendar import DEFAULT_MEALS
from core.cards import PHYSICAL_CARD
from core.catalogue import BY_NAME
from core.rows import (
    LIMIT_DEFAULT,
    MUST_CHANGE,
    AccountBody,
    MealsBody,
    MediumBody,
    MediumFlag,
    MerchantBody,
    RulesBody,
    ScheduledBody,
    ScheduleState,
    TerminalBody,
)
from server.facts import ANSWER_FACTS
from server.registers import REGISTERS, acts, alerts, cards, holders
from server.registers.base import Command, Scope

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from core.blocks import Block, Record
    from core.ports import HolderKeys
    from server.registers.base import Handler

NO_DOCUMENT: Final = 0
"""Kind of the directory's first act, which has records only."""

_PAPERS: Final = frozenset(
    {
        RecordType.SIGN_IN,
        RecordType.SIGN_OFF,
        RecordType.ACCOUNT,
        RecordType.MEDIUM,
        RecordType.MERCHANT,
        RecordType.TERMINAL,
        RecordType.RULES,
        RecordType.MEALS,
        RecordType.SCHEDULED,
        RecordType.UNSCHEDULED,
        RecordType.DOCUMENT,
    }
)
_GIVEN_UP: Final = {True: ScheduleState.CANCELLED, False: ScheduleState.LAPSED}
_IS_PAPER: Final = bytes(1 if number in _PAPERS else 0 for number in range(256))


class Projection:
    """Applies blocks to one registry connection, inside the caller's transaction.

    Args:
        connection: of the registry.
        keys: unseal the holders' names, and are destroyed with them.

    Attributes:
        erased: since it was last cleared somebody was erased, whose name older pages may hold.
    """

    def __init__(self, connection: sqlite3.Connection, keys: HolderKeys) -> None:
        self.erased = False
        self._sql = connection
        self._keys = keys
        self._scope = Scope(connection, keys)
        self._registers: dict[type[documents.Document], Handler] = {
            kind: handler for register in REGISTERS for kind, handler in register.handlers.items()
        }
        self._of_record: dict[int, Callable[[Record, Block], None]] = {
            RecordType.SIGN_IN: self._sign_in,
            RecordType.SIGN_OFF: self._sign_off,
            RecordType.ACCOUNT: self._account,
            RecordType.MEDIUM: self._medium,
            RecordType.MERCHANT: self._merchant,
            RecordType.TERMINAL: self._terminal,
            RecordType.RULES: self._rules,
            RecordType.MEALS: self._meals,
            RecordType.SCHEDULED: self._scheduled,
        }
        self._of_document: dict[type[documents.Document], Callable[[Command, Any], None]] = {
            documents.AccountOpened: self._account_opened,
            documents.MediumBound: self._medium_bound,
            documents.ToppedUp: self._topped_up,
            documents.HolderErased: self._holder_erased,
            documents.MerchantSet: self._merchant_set,
            documents.TerminalSet: self._terminal_set,
        }

    def apply(self, block: Block) -> None:
        """Apply one block and move the registry's position to its end.

        Raises:
            DocumentError: a document of an unknown kind or version.
            BlockError: bytes that are no block.
        """
        header = block.header
        papers = block.types().translate(_IS_PAPER)
        index = papers.find(1)
        while index >= 0:
            record = block.record(index)
            if record.type == RecordType.DOCUMENT:
                self._document(block, index, record)
            elif record.type == RecordType.UNSCHEDULED:
                cancelled = record.outcome == Outcome.EFFECT
                self._ended(record, block, _GIVEN_UP[cancelled])
            elif record.outcome in {Outcome.APPROVED, Outcome.EFFECT, Outcome.NONE}:
                self._of_record[record.type](record, block)
                if record.flags & DUE:
                    self._ended(record, block, ScheduleState.CARRIED_OUT)
            index = papers.find(1, index + 1)
        alerts.keep_taps(self._sql, block)
        self._sql.execute(
            "INSERT INTO days VALUES (?, 1, ?, ?) ON CONFLICT (business_date) DO UPDATE SET"
            " blocks = blocks + 1, records = records + excluded.records,"
            " moved_fen = moved_fen + excluded.moved_fen",
            (header.business_date, header.count, header.debits),
        )
        self._sql.execute(
            "UPDATE position SET applied_seq = ?, chain = ?", (header.last_seq, block.chain())
        )

    def _document(self, block: Block, index: int, record: Record) -> None:
        pointer = record.document()
        if pointer.kind == NO_DOCUMENT:
            return
        first = index - pointer.effects
        effects = tuple(block.record(i) for i in range(max(first, 0), index))
        if record.outcome == Outcome.DECLINED:
            command = Command(block, effects, record, documents.SYSTEM)
            check = block.record(index - 1) if index else None
            tried = check is not None and check.type == RecordType.PIN_CHECK
            acts.record_act(self._sql, command, (check.account,) if check and tried else ())
            self._request(command, self._refusal_facts(block, index))
            return
        document, by = documents.decode(pointer.kind, block.payload(pointer))
        command = Command(block, effects, record, by)
        acts.record_act(self._sql, command, document.about())
        self._request(command, self._facts(command, document))

    def _facts(self, command: Command, document: documents.Document) -> dict[str, Any]:
        """Write what a document says; returns what its answer says."""
        handler = self._registers.get(type(document))
        if handler is not None:
            return handler(self._scope, command, document)
        writes = self._of_document.get(type(document))
        if writes is not None:
            writes(command, document)
        return ANSWER_FACTS[type(document)](command.effects, command.record, document)

    def _request(self, command: Command, facts: dict[str, Any]) -> None:
        header, record = command.block.header, command.record
        self._sql.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                record.document().request_id,
                record.seq,
                record.fingerprint.to_bytes(8, "big"),
                header.time_us,
                header.business_date,
                record.reason,
                json.dumps(facts, ensure_ascii=False, separators=(",", ":")),
            ),
        )

    def _refusal_facts(self, block: Block, index: int) -> dict[str, Any]:
        """Say how many tries are left: the PIN_CHECK record stands right before the document's."""
        check = block.record(index - 1) if index else None
        if check is None or check.reason != BY_NAME["PIN_WRONG"].number:
            return {}
        row = self._sql.execute("SELECT body FROM parameters WHERE name = 'rules'").fetchone()
        rules = RulesBody() if row is None else RulesBody.unpack(row[0])
        return {"tries_left": max(0, rules.pin_max - check.money().pin_fails)}

    # ---- records: rows by their after-images ----

    def _sign_in(self, record: Record, _: Block) -> None:
        self._set_batch(record.terminal, record.batch_no)

    def _sign_off(self, record: Record, _: Block) -> None:
        self._set_batch(record.terminal, 0)

    def _set_batch(self, terminal: int, batch_no: int) -> None:
        self._sql.execute(
            "UPDATE terminals SET batch_no = ? WHERE number = ?", (batch_no, terminal)
        )

    def _account(self, record: Record, block: Block) -> None:
        body = AccountBody.unpack(record.body)
        self._sql.execute(
            "INSERT INTO accounts (number, kind, status, day_limit, meal_limit, must_change,"
            " open_time_us) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET"
            " kind = excluded.kind, status = excluded.status, day_limit = excluded.day_limit,"
            " meal_limit = excluded.meal_limit, must_change = excluded.must_change",
            (
                record.account,
                body.kind,
                body.status,
                None if body.day_limit == LIMIT_DEFAULT else body.day_limit,
                None if body.meal_limit == LIMIT_DEFAULT else body.meal_limit,
                body.flags & MUST_CHANGE,
                block.header.time_us,
            ),
        )

    def _medium(self, record: Record, _: Block) -> None:
        body = MediumBody.unpack(record.body)
        self._sql.execute(
            "INSERT INTO media (number, account_number, key, state, flags, expires_day)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET"
            " account_number = excluded.account_number, key = excluded.key,"
            " state = excluded.state, flags = excluded.flags, expires_day = excluded.expires_day",
            (record.medium, record.account, body.key, body.state, body.flags, body.expires_day),
        )
        if not body.flags & MediumFlag.LOST:
            self._sql.execute(
                "UPDATE media SET lost_seq = 0, lost_time_us = 0 WHERE number = ? AND lost_seq",
                (record.medium,),
            )

    def _merchant(self, record: Record, _: Block) -> None:
        body = MerchantBody.unpack(record.body)
        self._sql.execute(
            "INSERT INTO merchants (number, category, status, changed_seq) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (number) DO UPDATE SET category = excluded.category,"
            " status = excluded.status, changed_seq = excluded.changed_seq",
            (record.merchant, body.category, body.status, record.seq),
        )

    def _terminal(self, record: Record, _: Block) -> None:
        body = TerminalBody.unpack(record.body)
        self._sql.execute(
            "INSERT INTO terminals (number, terminal_id, merchant_number, flags, max_amount, status,"
            " changed_seq) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET"
            " merchant_number = excluded.merchant_number, flags = excluded.flags,"
            " max_amount = excluded.max_amount, status = excluded.status,"
            " changed_seq = excluded.changed_seq",
            (
                record.terminal,
                body.name,
                record.merchant,
                body.flags,
                body.max_amount,
                body.status,
                record.seq,
            ),
        )

    def _rules(self, record: Record, _: Block) -> None:
        self._parameter("rules", record.body, RulesBody.unpack(record.body).version)

    def _meals(self, record: Record, _: Block) -> None:
        meals = MealsBody.unpack(record.body)
        self._parameter("meals", record.body, meals.version)
        if meals.periods == MealsBody(DEFAULT_MEALS).named(_numbered(meals)).periods:
            self._meal_names(tuple(meal.name for meal in DEFAULT_MEALS))
        if record.flags & DUE:
            self._sql.execute(
                "UPDATE parameters SET names = s.names FROM scheduled s"
                " WHERE parameters.name = 'meals' AND s.seq = ? AND s.names != ''",
                (record.original_seq,),
            )

    def _scheduled(self, record: Record, _: Block) -> None:
        body = ScheduledBody.unpack(record.body)
        self._sql.execute(
            "INSERT INTO scheduled (seq, kind, due_s, account_number, medium_number, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (record.seq, body.kind, body.due_s, record.account, record.medium, record.body),
        )

    def _ended(self, record: Record, block: Block, state: ScheduleState) -> None:
        self._sql.execute(
            "UPDATE scheduled SET state = ?, ended_seq = ?, ended_time_us = ? WHERE seq = ?",
            (state, record.seq, block.header.time_us, record.original_seq),
        )

    def _parameter(self, name: str, body: bytes, version: int) -> None:
        self._sql.execute(
            "INSERT INTO parameters (name, body, version) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET body = excluded.body, names = '[]',"
            " version = excluded.version",
            (name, body, version),
        )

    def _meal_names(self, names: tuple[str, ...]) -> None:
        text = json.dumps(names, ensure_ascii=False)
        self._sql.execute("UPDATE parameters SET names = ? WHERE name = 'meals'", (text,))

    # ---- documents: names and what no record has a place for ----

    def _account_opened(self, command: Command, document: documents.AccountOpened) -> None:
        number = command.effect(RecordType.ACCOUNT).account
        person = self._keys.unseal(number, document.sealed)
        holders.write_person(self._sql, number, document.account_no, person, command.seq)
        if document.medium_type == PHYSICAL_CARD:
            cards.add_card(
                self._scope,
                command,
                command.effect(RecordType.MEDIUM),
                uid=document.medium_token,
                card_no=cards.next_card_no(self._sql),
            )
        elif document.medium_type:
            self._name_medium(command, document.medium_type, document.medium_token)

    def _holder_erased(self, command: Command, _: documents.HolderErased) -> None:
        """Destroy the key before the registry can commit: after a crash this runs again."""
        number = command.effect(RecordType.ACCOUNT).account
        self._keys.destroy(number)
        holders.forget(self._sql, number)
        self.erased = True

    def _medium_bound(self, command: Command, document: documents.MediumBound) -> None:
        self._name_medium(command, document.medium_type, document.medium_token)

    def _name_medium(self, command: Command, medium_type: int, token: bytes) -> None:
        number = command.effect(RecordType.MEDIUM).medium
        self._sql.execute(
            "UPDATE media SET type = ?, token = ? WHERE number = ?", (medium_type, token, number)
        )

    def _topped_up(self, command: Command, document: documents.ToppedUp) -> None:
        self._sql.execute(
            "INSERT INTO channel_txns VALUES (?, ?, ?)",
            (document.source, document.channel_txn_id, command.record.seq),
        )

    def _merchant_set(self, command: Command, document: documents.MerchantSet) -> None:
        self._sql.execute(
            "UPDATE merchants SET merchant_id = ?, name = ? WHERE number = ?",
            (document.merchant_id, document.name, command.effect(RecordType.MERCHANT).merchant),
        )

    def _terminal_set(self, command: Command, document: documents.TerminalSet) -> None:
        number = command.effect(RecordType.TERMINAL).terminal
        self._sql.execute(
            "UPDATE terminals SET place = ? WHERE number = ?", (document.place, number)
        )


def _numbered(meals: MealsBody) -> tuple[str, ...]:
    return tuple(meal.name for meal in meals.periods)
