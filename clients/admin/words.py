"""Names of states and kinds for people at a counter; what is typed and what JSON says stays English."""

from __future__ import annotations

from google.protobuf.descriptor import EnumDescriptor

from campuscard.v1 import options_pb2
from clients.admin.console import tr
from clients.admin.plain import enum_word


def label(enum: EnumDescriptor, number: int) -> str:
    """Return a value's name in the person's language; where Chinese has none, as ``enum_word``."""
    word = enum_word(enum, number)
    value = enum.values_by_number.get(number)
    zh = value.GetOptions().Extensions[options_pb2.zh] if value else ""
    return tr(zh or word, word)
