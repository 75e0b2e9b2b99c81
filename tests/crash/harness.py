"""Runs the process under test, alone, under strace or recorded, and recovers what it leaves."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.crash import content, recording

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CALLS = "pwrite64,writev,write,fdatasync,fsync,rename,ftruncate,mkdir,unlink,rmdir"
DEADLINE_S = 60
SHARE, SHARES = map(int, os.environ.get("CC_SHARE", "0/0").split("/"))
LONG = SHARES > 0
TIMEOUT_S = 3_600 if LONG else 900  # of a test, on a machine with other work
EXIT_FATAL = 70
if LONG and not 1 <= SHARE <= SHARES:
    raise ValueError(f"CC_SHARE={SHARE}/{SHARES} is none: 1/{SHARES} to {SHARES}/{SHARES}")


def some(places, count, rng):
    """Those of the places that are looked at: a few of chance, or a share, each in its turn."""
    places = list(places)
    if LONG:
        return places[SHARE - 1 :: SHARES]
    return places if len(places) <= count else sorted(rng.sample(places, count))


def environment(extra=None, *, modules=ROOT):
    path = os.pathsep.join([str(modules), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


class Subject:
    """What is driven: here journal and store alone; engine_subject has the engine.

    `write` prints "ack SEQ" for what it promises, a recoverer of its own tells what is there after
    a fault, and `complaint` judges that.
    """

    recovers = "recover.py"

    def __init__(self, *, seed=1, blocks=12, shape="small", ahead=False, modules=ROOT, extra=None):
        self.seed, self.blocks, self.shape, self.ahead = seed, blocks, shape, ahead
        self.modules, self.extra = modules, extra or {}
        self.sequence = content.sequence(seed, blocks, shape)

    def init(self, root):
        return [*self.python("driver.py"), "init", f"{root}/data", f"{root}/keys/key"]

    def write(self, root, *more):
        ahead = ["--ahead"] if self.ahead else []
        seed, blocks = str(self.seed), str(self.blocks)
        shape = ["--shape", self.shape]
        where = [f"{root}/data", seed, blocks]
        return [*self.python("driver.py"), "write", *where, *shape, *ahead, *more]

    def finished(self, result):
        """Check that a run without a fault did and promised everything."""
        assert result.returncode == 0, result.stderr
        assert ("made ahead" in result.stderr) == self.ahead
        assert acknowledged(result.stdout) == [last for last, _ in self.sequence]

    def complaint(self, acked, found):
        """What is wrong with a recovered state, or "" when every promise was kept."""
        if found["state"] == "made":
            return f"no directory, although {acked} was acknowledged" if acked else ""
        if found["state"] != "recovered":
            return f"{found['state']}: {found}"
        known = [digest for _last, digest in self.sequence]
        there = found["digests"]
        if there != known[: len(there)]:
            return "blocks that were never written"
        promised = content.index_after(self.sequence, acked)
        if len(there) < promised:
            return f"{len(there)} blocks, {promised} acknowledged"
        if len(there) > promised + 1:
            return f"{len(there)} blocks, only {promised} acknowledged"
        return ""

    def request(self, do, root):
        """What a recoverer is asked."""
        return {"do": do, "data": f"{root}/data", "key": f"{root}/keys/key"}

    def python(self, script):
        return [sys.executable, str(HERE / script)]

    def run(self, command, **options):
        extra = {**self.extra, **options.pop("extra", {})}
        return subprocess.run(
            command,
            env=environment(extra, modules=self.modules),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
            **options,
        )

    def recoverer(self):
        return Recoverer(self)


class Recoverer:
    """One process that recovers directory after directory."""

    def __init__(self, subject):
        self.subject = subject
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.stop()

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait(DEADLINE_S)
            self.process = None

    def start(self):
        self.process = subprocess.Popen(
            self.subject.python(self.subject.recovers),
            env=environment(modules=self.subject.modules),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do, root, **more):
        if self.process is None:
            self.start()
        request = self.subject.request(do, root) | more
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait(DEADLINE_S)
        self.process = None
        return {"state": "failed", "why": f"the process died: {code}"}


def acknowledged(output):
    """The seqs of complete "ack" lines."""
    return [int(seq) for seq in re.findall(r"^ack (\d+)$", output, re.MULTILINE)]


# ---- strace ----


def traced(command, *inject, log, paths=()):
    """A command under strace: each of `inject` is an -e inject= expression.

    With `paths` only calls on these files and folders are seen, counted and disturbed.
    """
    words = [word for one in inject for word in ("-e", f"inject={one}")]
    words += [word for path in paths for word in ("-P", str(path))]
    return ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", f"trace={CALLS}", *words, *command]


def boundaries(log):
    """Names of the traced calls in order."""
    return re.findall(r"^\d+ +(\w+)\(", Path(log).read_text(), re.MULTILINE)


def boundaries_of_threads(log):
    """{thread: how many traced calls it made}."""
    return Counter(re.findall(r"^(\d+) +\w+\(", Path(log).read_text(), re.MULTILINE))


def hit_while_making_ahead(log):
    """Whether the call made to fail was for a segment that nothing has been written to yet."""
    return re.search(r"/journal(/\.new-\d+(/data\.mdb)?)?>.*INJECTED", Path(log).read_text())


def sizes(log, call):
    """What the traced calls of one name returned: bytes written."""
    pattern = rf"^\d+ +{call}\(.*\) += (\d+)$"
    return [int(size) for size in re.findall(pattern, Path(log).read_text(), re.MULTILINE)]


# ---- recording ----


def build_recorder(folder):
    library = folder / "recorder.so"
    flags = ["-shared", "-fPIC", "-O1", "-std=gnu11", "-w"]
    source = str(HERE / "recorder.c")
    subprocess.run(["gcc", *flags, "-o", str(library), source, "-ldl", "-lpthread"], check=True)
    return library


def record(subject, library, root, command, *, log):
    """Run a command recorded; its events, paths relative to root."""
    log.unlink(missing_ok=True)
    # Behind what is preloaded already: a sanitizer wants to be first.
    preload = f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()
    extra = {"LD_PRELOAD": preload, "CC_RECORD_ROOT": str(root), "CC_RECORD_LOG": str(log)}
    result = subject.run(command, extra=extra)
    return result, recording.read(log)


def materialize(image, root):
    """Write an image's files below root, which is emptied first."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path, data in image.items():
        if data is None:
            (root / path).mkdir(exist_ok=True)
        else:
            (root / path).write_bytes(data)
            (root / path).chmod(0o600)
