"""The check of rules on a real engine and registry: no false alarm, and no difference overlooked."""

import asyncio
import os
import uuid

import pytest

from core.blocks import Block
from core.calendar import DEFAULT_MEALS, MealPeriod
from core.ids import make_request_id
from core.plans import EffectKind
from core.rows import CategoryBody, MealsBody, RulesBody, RulesField
from core.rule_ledger import RuleLedger
from ext.engine import Effect
from server.config import IntegritySettings
from server.integrity import Integrity
from server.keys import Keyring
from server.projection import NO_DOCUMENT
from server.projector import Projector
from server.trust import Trust
from tests.integration.engine_desk import START_US, Desk

START_S = START_US // 1_000_000
RULES_TABLE = 9
CHANGES = 150
CHECKS = 5


def effects(number):
    """Return the effects of one act that changes rules, each kind in its turn."""
    meals = MealsBody((*DEFAULT_MEALS[:3], MealPeriod("N", 1_260, 300 + number % 60)))
    return [
        [Effect(EffectKind.RULES, body=RulesBody(day_limit=number).pack())],
        [
            Effect(
                EffectKind.RULES,
                due_s=START_S,
                mask=RulesField.MEAL_LIMIT,
                body=RulesBody(meal_limit=number).pack(),
            )
        ],
        [Effect(EffectKind.MEALS, body=meals.pack())],
        [
            Effect(EffectKind.CATEGORY, body=CategoryBody(category=7, flags=number % 64).pack()),
            Effect(EffectKind.RULES, due_s=START_S, body=RulesBody().pack()),
        ],
    ][number % 4]


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path) as desk:
        desk.document_kind = NO_DOCUMENT
        yield desk


class Checked:
    """A checker of a desk's engine, or of what stands in its place."""

    def __init__(self, desk, engine=None, *, projector):
        self.lost = []
        self.trust = Trust(lambda: self.lost.append(True))
        settings = IntegritySettings(rules_seconds=1, journal_seconds=3_600)
        self.integrity = Integrity(engine or desk.engine, projector, self.trust, settings)
        self.loop = desk.loop

    def run(self, work):
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))


@pytest.fixture
def projector(desk):
    projector = Projector(
        desk.engine, desk.folder / "registry.db", keys=Keyring(desk.folder / "keys")
    )
    projector.start()
    yield projector
    projector.stop()


def test_the_journal_says_what_the_engine_has(desk):
    for number in range(1, 13):
        desk.act(*effects(number))
    desk.open_account()  # what was due has happened before it
    ledger = RuleLedger()
    for raw in desk.engine.read_blocks(1, 1 << 24):
        ledger.take(Block(raw))
    assert len(ledger.tables) == 56 + 56 + 16
    assert desk.engine.state_dump(RULES_TABLE) == ledger.tables


def test_changes_under_way_are_no_alarm(desk, projector):
    checked = Checked(desk, projector=projector)

    enough = asyncio.Event()

    async def change():
        number = 0
        while number <= CHANGES or not enough.is_set():
            number += 1
            future = desk.loop.create_future()
            request_id = uuid.UUID(make_request_id(START_US // 1_000, os.urandom(10))).bytes
            desk.engine.office(
                b"",
                effects(number),
                future,
                request_id=request_id,
                fingerprint=1,
                document_kind=NO_DOCUMENT,
            )
            await future

    async def both():
        changing = asyncio.create_task(change())
        for _ in range(CHECKS):
            await checked.integrity.check()
            assert not changing.done()
        enough.set()
        await changing
        await checked.integrity.check()

    checked.run(both())
    assert (checked.trust.broken, projector.error) == ("", "")
    assert desk.engine.head()["rule_version"] > CHANGES
    checked.run(checked.integrity.stop())


class Changed:
    """An engine whose memory of the rules has one flipped bit."""

    def __init__(self, engine, place):
        self._engine, self._place = engine, place

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def state_dump(self, table):
        raw = bytearray(self._engine.state_dump(table))
        raw[self._place] ^= 1
        return bytes(raw)


@pytest.mark.parametrize("place", [4, 56, 112 + 7])
def test_an_engine_with_other_rules_is_not_trusted(desk, projector, place):
    checked = Checked(desk, Changed(desk.engine, place), projector=projector)
    checked.run(checked.integrity.check())
    assert checked.trust.broken.startswith("engine:")
    assert checked.lost == [True]
    checked.run(checked.integrity.stop())
