"""The whole engine as what is driven: real commands, checkpoints, real starts.

CC_SHARE=2/8 looks at the second of every eight boundaries and moments instead of some picked at
random, so that the eight shares of one seed look at all.
"""

import re

from tests.crash import harness
from tests.crash import plan as plans
from tests.crash.player import Player

COMMITS = ("full", "pipelined")


class EngineSubject(harness.Subject):
    """Plays a plan; after any fault the journal must be a first part of the plan's records.

    So nothing acknowledged is lost, no key has two effects, and nothing is made up. And what is
    acknowledged LMDB's own trees lead to: nobody has to find it again in pages left over.
    """

    recovers = "engine_recover.py"
    ahead = False

    def __init__(
        self, folder, *, commit="full", seed=1, rounds=6, modules=harness.ROOT, extra=None
    ):
        self.commit, self.modules, self.extra = commit, modules, extra or {}
        self.plan = plans.make(seed, rounds)
        self.plan_file = folder / "plan"
        plans.save(self.plan, self.plan_file)

    def init(self, root):
        return [*self.python("engine_driver.py"), "init", f"{root}/data", f"{root}/keys/key"]

    def write(self, root, *more):
        where = [f"{root}/data", f"{root}/keys/key", str(self.plan_file)]
        how = ["--commit", self.commit]
        return [*self.python("engine_driver.py"), "write", *where, *how, *more]

    def finished(self, result):
        assert result.returncode == 0, result.stderr
        assert harness.acknowledged(result.stdout)[-1] == len(self.plan.records)

    def play_until(self, root, cut):
        """Play the plan's first steps in this process, and make a checkpoint."""
        with Player(root / "data", root / "keys/key") as player:
            wrong = player.play(self.plan, last=cut)
            assert not wrong, wrong
            player.engine.checkpoint()

    def request(self, do, root):
        return super().request(do, root) | {"plan": str(self.plan_file)}

    def complaint(self, acked, found):
        if found["state"] == "made":
            return f"no directory, although {acked} was acknowledged" if acked else ""
        if found["state"] != "recovered":
            return f"{found['state']}: {found}"
        if found["last_seq"] < acked:
            return f"ends at {found['last_seq']}, {acked} acknowledged"
        if found["led_to"] < acked:
            return f"the trees end at {found['led_to']}, {acked} acknowledged"
        return "; ".join(found["faults"])


def brought(result):
    """How many blocks of a whole run were made durable by the commit of a later one."""
    blocks, syncs = map(
        int, re.findall(r"^(\d+) blocks, (\d+) syncs$", result.stderr, re.MULTILINE)[0]
    )
    return blocks - syncs


def journal_files(root):
    """Names for strace: the files and folders of the journal, those to come included."""
    segments = [root / "data/journal" / f"{n:06d}" for n in range(1, 7)]
    made = [root / "data/journal" / f".new-{n:06d}" for n in range(1, 7)]
    folders = [root / "data/journal", *segments, *made]
    return [*folders, *(folder / "data.mdb" for folder in [*segments, *made])]


def state_files(root):
    """Names for strace: what a checkpoint writes."""
    return [root / "data/state", root / "data/state/data.mdb"]
