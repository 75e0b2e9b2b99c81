"""Recovers directories one after another and says what it found, a JSON line each.

In a process of its own, so that a file that kills the process is a finding and not the end of
the tests. A line in: {"do": "recover" | "look" | "again", "data": PATH, "key": PATH, ...}.
"""

import hashlib
import json
import sys

from ext import mirror, store
from ext.errors import EngineError, JournalCorrupt
from tests.crash import content


def seen(journal):
    """Check everything; the digests of all blocks."""
    journal.verify()
    digests, seq = [], 1
    while seq <= journal.last_seq:
        for block in journal.blocks(seq):
            digests.append(hashlib.sha256(block).hexdigest())
            seq = content.last_seq(block) + 1
    return digests


def recover(request):
    """Start as after a crash, then go on writing: a recovered journal must be a working one."""
    data, key = request["data"], request["key"]
    try:
        store.read_identity(data)
    except EngineError as error:
        if "not a data directory" not in str(error):
            raise
        store.init(data, key, segment_bytes=262144)
        return {"state": "made", "digests": []}
    store.check_key(data, key)
    with mirror.Mirror(data, write=True) as journal:
        digests = seen(journal)
        head = journal.last_seq
        for index in range(2):
            more = content.block(-1, index, journal.last_seq + 1, journal.last_chain)
            journal.append(more)
        if seen(journal)[: len(digests)] != digests:
            raise AssertionError("what was recovered changed with the next block")
    return {"state": "recovered", "last_seq": head, "digests": digests}


def look(request):
    """Open without writing and read everything."""
    with mirror.Mirror(request["data"], write=request.get("write", False)) as journal:
        return {"state": "recovered", "last_seq": journal.last_seq, "digests": seen(journal)}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = recover(request) if request["do"] == "recover" else look(request)
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
