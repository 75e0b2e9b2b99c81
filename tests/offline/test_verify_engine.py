"""verify, dump, follow and restore on journals the engine wrote: two readings of one page agree."""

import asyncio
import io
import json
import shutil

import pytest

from server.offline import dump, restore, verify
from server.offline.files import DirectoryInUse
from tests.model.rig import PIN
from tests.offline.scenario import play_day
from tests.property.engine_rig import OPTIONS, EngineRig

REQUESTS_MAX = OPTIONS["requests_max"]


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """An engine's directory after a day with everything in it; closed."""
    rig = EngineRig(tmp_path_factory.mktemp("engine"))
    try:
        play_day(rig)
        with pytest.raises(DirectoryInUse):
            verify.run(rig.folder / "data")
        head = rig.engine.head()
    finally:
        rig.close()
    return rig, head


def test_the_engines_journal_is_right_to_the_last_row(rig):
    rig, head = rig
    verdict = verify.run(rig.folder / "data", state_hash="every", requests_max=REQUESTS_MAX)
    assert verdict.ok, f"seq {verdict.bad_seq}: {verdict.difference}"
    assert verdict.head_seq == head["acknowledged_seq"]
    assert verdict.chain == head["chain"]
    assert verdict.state_hash == head["state_hash"]
    assert verdict.checked["state hashes"] >= verdict.blocks
    assert set(verdict.types) >= {"PURCHASE", "HOLD", "CAPTURE", "REVERSAL", "TOMBSTONE", "REFUND"}


def test_passwords_are_in_no_line_of_a_dump(rig):
    rig, head = rig
    out = io.StringIO()
    result = dump.run(rig.folder / "data", out)
    assert result.records == head["acknowledged_seq"]
    assert PIN not in out.getvalue()
    for text in out.getvalue().splitlines():
        assert json.loads(text)["seq"]


def test_an_engine_starts_on_a_restored_directory(rig, tmp_path):
    rig, head = rig
    copy = tmp_path / "copy"
    shutil.copytree(rig.folder / "data", copy, ignore=shutil.ignore_patterns("state", "lock"))
    result = restore.run(copy, tmp_path / "new", key_file=rig.folder / "campus.key")
    assert result.ok
    rig.data = str(tmp_path / "new")
    rig.loop = asyncio.new_event_loop()
    rig.open()
    try:
        assert rig.engine.head()["state_hash"] == head["state_hash"]
        assert rig.engine.head()["chain"] == head["chain"]
        rig.buy(1)
    finally:
        rig.shut()
        rig.loop.close()
    assert verify.run(tmp_path / "new", requests_max=REQUESTS_MAX).ok
