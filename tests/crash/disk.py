"""A disk with a page cache: what a power cut may leave of the files a process has written.

What is promised: data that a completed fsync or fdatasync of the file has covered, a write through
an O_DSYNC descriptor that has returned, names that a completed fsync of their directory has
covered. Nothing else: every 512-byte sector may hold any of the contents it had since it was last
synced, whatever happened to its neighbours, and of a directory's changes any first part may be
there. After a sync that failed, the pages it was to write may never reach the disk, even if a
later sync returns well (Linux marks them clean), until they are written to again.
"""

import random
from dataclasses import dataclass, field

from tests.crash.recording import Kind

SECTOR = 512
PAGE = 4096


@dataclass
class Version:
    """One content of one sector, from one write."""

    write: int
    data: bytes


class File:
    def __init__(self):
        self.cache = bytearray()
        self.disk = bytearray()
        self.versions: dict[int, list[Version]] = {}
        self.sizes: list[tuple[int, int]] = []  # (write, size) not yet durable
        self.stuck: set[int] = set()  # pages that a failed sync has marked clean

    def write(self, number, offset, data, *, durable):
        end = offset + len(data)
        if end > len(self.cache):
            self.cache.extend(bytes(end - len(self.cache)))
            self.sizes.append((number, end))
        self.cache[offset:end] = data
        for sector in range(offset // SECTOR, (end + SECTOR - 1) // SECTOR):
            self.stuck.discard(sector * SECTOR // PAGE)
            content = bytes(self.cache[sector * SECTOR : (sector + 1) * SECTOR])
            self.versions.setdefault(sector, []).append(Version(number, content))
        if durable:
            self.settle(number, range(offset // SECTOR, (end + SECTOR - 1) // SECTOR))

    def truncate(self, number, size):
        del self.cache[size:]
        self.cache.extend(bytes(size - len(self.cache)))
        self.sizes.append((number, size))
        for sector in [s for s in self.versions if s * SECTOR >= size]:
            del self.versions[sector]

    def settle(self, upto, sectors=None):
        """Everything written up to a write number is on the disk now."""
        wanted = list(self.versions) if sectors is None else sectors
        for sector in wanted:
            if sector * SECTOR // PAGE in self.stuck and sectors is None:
                continue
            known = self.versions.get(sector, [])
            done = [v for v in known if v.write <= upto]
            if done:
                put(self.disk, sector, done[-1].data)
                self.versions[sector] = [v for v in known if v.write > upto]
                if not self.versions[sector]:
                    del self.versions[sector]
        sizes = [size for write, size in self.sizes if write <= upto]
        if sizes:
            resize(self.disk, sizes[-1])
            self.sizes = [s for s in self.sizes if s[0] > upto]

    def fail(self, upto):
        for sector, known in self.versions.items():
            if any(v.write <= upto for v in known):
                self.stuck.add(sector * SECTOR // PAGE)

    def image(self, choose):
        """One content the disk may have; `choose` picks a version of a sector, or None."""
        content = bytearray(self.disk)
        for sector, known in sorted(self.versions.items()):
            version = choose(known)
            if version is not None:
                put(content, sector, version.data)
        return bytes(content)

    def fork(self):
        copy = File()
        copy.cache, copy.disk = bytearray(self.cache), bytearray(self.disk)
        copy.versions = {s: list(v) for s, v in self.versions.items()}
        copy.sizes, copy.stuck = list(self.sizes), set(self.stuck)
        return copy


def put(content, sector, data):
    start = sector * SECTOR
    if len(content) < start + len(data):
        content.extend(bytes(start + len(data) - len(content)))
    content[start : start + len(data)] = data


def resize(content, size):
    del content[size:]
    content.extend(bytes(size - len(content)))


@dataclass
class Folder:
    cache: dict = field(default_factory=dict)
    disk: dict = field(default_factory=dict)
    changes: list = field(default_factory=list)  # (number, operation, names...) not yet durable

    def change(self, number, *operation):
        apply(self.cache, operation)
        self.changes.append((number, *operation))

    def settle(self, upto):
        for number, *operation in self.changes:
            if number <= upto:
                apply(self.disk, operation)
        self.changes = [c for c in self.changes if c[0] > upto]


def apply(entries, operation):
    match operation:
        case ("add", name, node):
            entries[name] = node
        case ("remove", name):
            entries.pop(name, None)
        case ("rename", old, new):
            if old in entries:
                entries[new] = entries.pop(old)


class Disk:
    """Follows the events; `image` gives the files after a power cut."""

    def __init__(self):
        self.root = Folder()
        self.number = 0
        self.begun: dict[int, int] = {}
        self.acknowledged: list[int] = []
        self.output = b""

    def node(self, path):
        node = self.root
        for name in filter(None, path.split("/")):
            node = node.cache[name]
        return node

    def parent(self, path):
        folder, _, name = path.rpartition("/")
        return self.node(folder), name

    def follow(self, event):
        self.number += 1
        match event.kind:
            case Kind.WRITE:
                self.file(event.path).write(
                    self.number, event.offset, event.data, durable=bool(event.flags)
                )
            case Kind.TRUNCATE:
                self.file(event.path).truncate(self.number, event.offset)
            case Kind.CREATE:
                self.file(event.path)
            case Kind.SYNC_BEGIN:
                self.begun[event.flags] = self.number
            case Kind.SYNC_END:
                self.node(event.path).settle(self.begun.pop(event.flags))
            case Kind.SYNC_FAILED:
                self.node(event.path).fail(self.begun.pop(event.flags))
            case Kind.MKDIR:
                folder, name = self.parent(event.path)
                folder.change(self.number, "add", name, Folder())
            case Kind.UNLINK | Kind.RMDIR:
                folder, name = self.parent(event.path)
                folder.change(self.number, "remove", name)
            case Kind.RENAME:
                self.rename(event)
            case Kind.OUTPUT:
                self.output += event.data
                *lines, self.output = self.output.split(b"\n")
                self.acknowledged += [int(line.split()[1]) for line in lines if line]

    def rename(self, event):
        folder, old = self.parent(event.path)
        target, new = self.parent(event.other)
        if folder is not target:
            raise NotImplementedError("a rename between directories")
        folder.change(self.number, "rename", old, new)

    def file(self, path):
        folder, name = self.parent(path)
        if name not in folder.cache:
            folder.change(self.number, "add", name, File())
        return folder.cache[name]

    def image(self, style, rng):
        """{path: bytes or None for a directory} after a cut; styles: none, all, random ones."""
        return dict(walk(self.root, "", chooser(style, rng, self.number), style, rng))


def chooser(style, rng, upto):
    """How a sector's content is picked from its versions."""
    if style == "none":
        return lambda _known: None
    if style == "all":
        return lambda known: known[-1]
    if style == "one":  # a single write got through
        lucky = rng.randint(max(upto - 6, 0), upto)
        return lambda known: next((v for v in known if v.write == lucky), None)
    if style == "lost":  # a single write did not
        unlucky = rng.randint(max(upto - 6, 0), upto)
        return lambda known: next((v for v in reversed(known) if v.write != unlucky), None)
    if style == "writes":  # each write as a whole or not at all
        fates = random.Random(rng.randrange(2**32))
        fate = {}

        def whole(known):
            kept = [v for v in known if fate.setdefault(v.write, fates.random() < 1 / 2)]
            return kept[-1] if kept else None

        return whole
    return lambda known: rng.choice([None, *known])  # torn


def walk(folder, path, choose, style, rng):
    entries = dict(folder.disk)
    kept = {"none": 0, "all": len(folder.changes)}.get(style)
    if kept is None:
        kept = rng.randint(0, len(folder.changes))
    for _number, *operation in folder.changes[:kept]:
        apply(entries, operation)
    for name, node in sorted(entries.items()):
        below = f"{path}/{name}" if path else name
        if isinstance(node, Folder):
            yield below, None
            yield from walk(node, below, choose, style, rng)
        else:
            yield below, node.image(choose)
