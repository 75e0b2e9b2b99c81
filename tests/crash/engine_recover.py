"""Recovers the engine's directories one after another: a JSON line in, a JSON line out.

{"do": "recover" | "look", "data": PATH, "key": PATH, "plan": PATH}. In a process of its own, so
that a file that kills the process is a finding and not the end of the tests.
"""

import functools
import json
import shutil
import sys
from pathlib import Path
from zlib import crc32

from ext import store
from ext.audit import audit
from ext.errors import EngineError, JournalCorrupt
from server.offline import verify
from tests.crash import plan as plans
from tests.crash.player import OPTIONS, Player, init

NO_CHECKPOINT = 1 << 30

load = functools.cache(plans.load)


def faults(request, plan):
    """Start as after a crash and look at everything; then go on to the end of the plan."""
    data, key = request["data"], request["key"]
    with Player(data, key, checkpoint_records=NO_CHECKPOINT) as player:
        discarded = player.engine.recovered["discarded"]
        records, picture = player.records(), player.picture()
        if player.engine.stats()["ledger_sum"]:
            yield "money appeared or disappeared"
        if records != plan.records[: len(records)]:
            yield "records that were never written"
    yield from verified(data)
    shutil.rmtree(Path(data) / "state")
    with Player(data, key) as player:
        if player.picture() != picture:
            yield f"the state differs from the replay of everything ({discarded})"
        yield from player.play_again(plan, records)
        yield from player.play(plan)
        if player.records() != plan.records:
            yield "going on did not lead to the same journal"


def verified(data):
    """The second reading of the journal, which shares nothing with the engine."""
    verdict = verify.run(Path(data), state_hash="every", requests_max=OPTIONS["requests_max"])
    return [] if verdict.ok else [f"verify: seq {verdict.bad_seq}: {verdict.difference}"]


def led_to(data):
    """The newest seq that the trees of LMDB's newest meta pages hold, before any start."""
    files = sorted(Path(data).glob("journal/[0-9]*/data.mdb"))
    return max((audit(path.read_bytes())[3] for path in files), default=0)


def recover(request):
    data, key, plan = request["data"], request["key"], load(request["plan"])
    try:
        store.read_identity(data)
    except EngineError as error:
        if "not a data directory" not in str(error):
            raise
        init(data, key)
        return {"state": "made"}
    trees_seq = led_to(data)
    with Player(data, key, checkpoint_records=NO_CHECKPOINT) as player:
        last_seq, discarded = player.head, player.engine.recovered["discarded"]
        found = {"state": "recovered", "last_seq": last_seq, "discarded": discarded}
        found["led_to"] = trees_seq
        found["picture"] = {
            str(name): crc32(repr(v).encode()) for name, v in player.picture().items()
        }
        found["faults"] = [] if player.records() == plan.records[:last_seq] else ["other records"]
    if request["do"] == "recover":
        found["faults"] += faults(request, plan)
    return found


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = recover(request)
        except JournalCorrupt as error:
            answer = {"state": "corrupt", "seq": error.seq, "why": error.finding}
        except EngineError as error:
            answer = {"state": "refused", "why": f"{type(error).__name__}: {error}"}
        except Exception as error:  # noqa: BLE001 - the test wants to see it, whatever it is
            answer = {"state": "failed", "why": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
