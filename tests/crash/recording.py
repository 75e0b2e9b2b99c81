"""Reads what recorder.c has written."""

import struct
from dataclasses import dataclass
from enum import IntEnum

HEAD = struct.Struct("<IIQQII")


class Kind(IntEnum):
    WRITE = 1
    SYNC_BEGIN = 2
    SYNC_END = 3
    SYNC_FAILED = 4
    CREATE = 5
    TRUNCATE = 6
    MKDIR = 7
    RENAME = 8
    UNLINK = 9
    RMDIR = 10
    OUTPUT = 11


@dataclass(frozen=True, slots=True)
class Event:
    kind: Kind
    path: str
    other: str = ""
    offset: int = 0
    data: bytes = b""
    flags: int = 0

    def __str__(self):
        size = f" {self.offset}+{len(self.data)}" if self.kind == Kind.WRITE else ""
        durable = " O_DSYNC" if self.kind == Kind.WRITE and self.flags else ""
        target = f" -> {self.other}" if self.other else ""
        text = self.data.decode().strip() if self.kind == Kind.OUTPUT else self.path
        return f"{self.kind.name} {text}{target}{size}{durable}"


def read(path):
    data = path.read_bytes()
    at, events = 0, []
    while at < len(data):
        kind, flags, offset, length, path_len, other_len = HEAD.unpack_from(data, at)
        at += HEAD.size
        name = data[at : at + path_len].decode()
        at += path_len
        other = data[at : at + other_len].decode()
        at += other_len
        written = length if kind in (Kind.WRITE, Kind.OUTPUT) else 0
        events.append(Event(Kind(kind), name, other, offset, data[at : at + written], flags))
        at += written
    return events
