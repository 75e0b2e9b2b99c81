"""Messages as plain values for ``--output json``: numbers stay numbers, enums lose their prefix."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from clients.admin.console import tr
from core.catalogue import BY_NAME

_HOLE = re.compile(r"\s*\{[^}]*\}\s*")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain(message: Message) -> dict[str, Any]:
    """Return every field by its proto name; bytes as hexadecimal, unset messages left out."""
    fields: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        fields[field.name] = _value(field, getattr(message, field.name))
    return fields


def enum_word(enum: EnumDescriptor, number: int) -> str:
    """Return a value's name without the enum's prefix, in lower case: ``approved``."""
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = _WORD_START.sub("_", enum.name).upper() + "_"
    return str(value.name).removeprefix(prefix).lower()


def reason_words(item: Any) -> str:
    """Say why an item was refused, with the reason's name; empty when it was not.

    Args:
        item: a result with ``reason``, and with texts where the server knows the numbers in them.
    """
    if not item.reason:
        return ""
    known = BY_NAME.get(item.reason)
    template = tr(known.zh, known.en) if known is not None else ""
    return f"{tr(item.text_zh, item.text_en) or _HOLE.sub('…', template)} ({item.reason})"


def enum_number(enum: EnumDescriptor, word: str) -> int:
    """Return the number of a value given as ``enum_word`` writes it.

    Raises:
        ValueError: there is no such value; the text lists those there are.
    """
    words = {enum_word(enum, value.number): value.number for value in enum.values if value.number}
    number = words.get(word.lower().replace("-", "_"))
    if number is None:
        raise ValueError(f"{word!r} is none of {', '.join(words)}")
    return int(number)


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [_single(field, item) for item in value]
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        return enum_word(field.enum_type, value)
    return value.hex().upper() if isinstance(value, bytes) else value
