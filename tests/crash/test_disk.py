"""The disk the power cuts are played on, and that no fault of the tests' is shipped."""

import random
from pathlib import Path

from tests.crash.disk import Disk
from tests.crash.recording import Event, Kind

EXT = Path(__file__).parents[2] / "ext"


def test_no_fault_is_compiled_into_what_is_shipped():
    shipped = sorted(EXT.glob("*.so"))
    assert shipped
    for path in shipped:
        content = path.read_bytes()
        assert b"CC_SABOTAGE" not in content, path.name


def test_the_disk_keeps_only_what_was_synced():
    """The model itself: names, data, O_DSYNC, a sync that failed."""
    rng = random.Random(1)
    disk = Disk()

    def write(path, data, *, durable=False):
        disk.follow(Event(Kind.WRITE, path, data=data, flags=int(durable)))

    def sync(path, kind=Kind.SYNC_END):
        disk.follow(Event(Kind.SYNC_BEGIN, path))
        disk.follow(Event(kind, path))

    write("a", b"1" * 1024)
    assert disk.image("none", rng) == {}
    sync("a")
    assert disk.image("none", rng) == {}, "the name is not on the disk"
    sync("")
    assert disk.image("none", rng) == {"a": b"1" * 1024}
    write("a", b"2" * 512)
    assert disk.image("none", rng)["a"] == b"1" * 1024
    assert disk.image("all", rng)["a"] == b"2" * 512 + b"1" * 512
    write("a", b"3" * 512, durable=True)
    assert disk.image("none", rng)["a"] == b"3" * 512 + b"1" * 512
    write("a", b"4" * 512)
    sync("a", Kind.SYNC_FAILED)
    sync("a")
    assert disk.image("none", rng)["a"][:1] == b"3", "marked clean, never written"
    write("a", b"5" * 512)
    sync("a")
    assert disk.image("none", rng)["a"][:1] == b"5"
