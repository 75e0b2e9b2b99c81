"""Reading cards and cases walks indexes, never whole tables: what it costs does not grow."""

import sqlite3

import pytest

from core.cards import CardState
from core.replacement import CaseState
from server.registers import cards, cases
from server.registers.cards import CardFilter
from server.registry import Registry

SOME = frozenset({"2023级1班"})


class Recorded:
    """A connection that keeps what is asked of it."""

    def __init__(self, connection):
        self.connection = connection
        self.asked = []

    def execute(self, query, values=()):
        self.asked.append((query, values))
        return self.connection.execute(query, values)


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    registry = Registry(tmp_path_factory.mktemp("registry") / "registry.db")
    yield registry.connection
    registry.close()


def cards_by(**wanted):
    return lambda sql: cards.list_cards(sql, CardFilter(**wanted), after=7, limit=51)


def cases_by(**wanted):
    asked = {"state": None, "classes": None, **wanted}
    return lambda sql: cases.list_cases(sql, before=9, limit=51, **asked)


READS = {
    "card": lambda sql: cards.card(sql, 1),
    "card of medium": lambda sql: cards.card_of_medium(sql, 1),
    "newest card": lambda sql: cards.newest_card(sql, 1),
    "live card": lambda sql: cards.live_card(sql, 1),
    "next card number": cards.next_card_no,
    "cards of batch": lambda sql: cards.cards_of_batch(sql, 1, (CardState.PRODUCED,), limit=8),
    "count of batch": lambda sql: cards.count_of_batch(sql, 1, (CardState.PRODUCED,)),
    "batches": lambda sql: cards.batches(sql, before=9, limit=51),
    "all cards": cards_by(),
    "class": cards_by(classes=SOME),
    "account": cards_by(account_no="007"),
    "state": cards_by(state=CardState.RETURNED),
    "batch": cards_by(batch=1),
    "lost": cards_by(lost=True),
    "lost of class": cards_by(lost=True, classes=SOME),
    "expiring": cards_by(expires_before=20_000),
    "still out": lambda sql: cards.still_out(sql, "2023级1班", limit=51),
    "left": lambda sql: cards.left_us(sql, 1),
    "leavers": lambda sql: cards.leavers(sql, until_us=1, class_name="", after=1, limit=51),
    "override": lambda sql: cards.override_for(sql, 1, "UNLOSS", 1),
    "case": lambda sql: cases.case(sql, 1),
    "newest case": lambda sql: cases.newest_case(sql, 1),
    "case of old card": lambda sql: cases.case_of_old_card(sql, 1),
    "cases": cases_by(),
    "cases of class": cases_by(classes=SOME),
    "cases in state": cases_by(state=CaseState.OPEN),
    "receipt": lambda sql: cases.receipt_used(sql, "R-778"),
    "notices": lambda sql: cases.list_notices(sql, classes=SOME, unread=True, before=9, limit=51),
    "certificate": lambda sql: cases.certificate(sql, 1),
    "certificate in force": lambda sql: cases.certificate_in_force(sql, 1),
    "revoked": cases.revoked,
}


@pytest.mark.parametrize("name", READS)
def test_no_read_walks_a_table(connection: sqlite3.Connection, name):
    recorded = Recorded(connection)
    READS[name](recorded)
    assert recorded.asked
    for query, values in recorded.asked:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
        walked = [
            step for step in plan if step.startswith("SCAN") and not step.startswith(HARMLESS)
        ]
        assert not walked, plan


HARMLESS = (
    "SCAN CONSTANT ROW",
    "SCAN json_each",
    "SCAN media USING INDEX media_lost",
    "SCAN certificates USING COVERING INDEX certificates_revoked",
)
"""One row, the values given, and partial indexes that hold just what is asked for."""
