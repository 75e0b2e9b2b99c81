"""What counts in a segment's file: LMDB 0.9's pages, read from its own description.

A page that is free, and the gap inside a used one, may hold anything. Of a page of the free list
the numbers count; by which commit each came there does not, once there is no reader.
"""

import struct

PAGE = 4096
HEAD = struct.Struct("<QHHHH")
NODE = struct.Struct("<HHHH")
DATABASE = struct.Struct("<IHHQQQQQ")
META_BYTES = 152
TREES_AT = 40  # where a meta page describes the free list's tree, and behind it that of the blocks
NO_PAGE = 2**64 - 1
LEAF, BIG = 2, 1


def page(content, number):
    return content[number * PAGE : (number + 1) * PAGE]


def commits(content):
    """The numbers of the commits that the two meta pages are of."""
    at = META_BYTES - 8
    return [struct.unpack_from("<Q", content, slot * PAGE + at)[0] for slot in (0, 1)]


def newest(content):
    """The meta page that holds."""
    return commits(content).index(max(commits(content)))


def counting(content, *, live):
    """{page: a function that says what in a content of it counts}, for every page in use.

    Where no more is written, not `live`, the free list is not in use either.
    """
    at = newest(content) * PAGE + TREES_AT
    free, blocks = (DATABASE.unpack_from(content, start)[-1] for start in (at, at + DATABASE.size))
    found = dict.fromkeys((0, 1), lambda one: one[:META_BYTES])
    for number, spans in walk(content, blocks):
        found[number] = bytes_at(spans)
    for number, spans in walk(content, free) if live else ():
        found[number] = freed if lists_pages(page(content, number)) else bytes_at(spans)
    return found


def walk(content, number):
    """(page, [(start, end)]) of each page of a tree: the spans in use."""
    if number == NO_PAGE:
        return
    this = page(content, number)
    spans = [(0, HEAD.unpack_from(this)[3])]
    for offset, (low, high, flags, key_bytes) in nodes(this):
        end = offset + NODE.size + key_bytes
        if not leaf(this):
            yield from walk(content, low | high << 16 | flags << 32)
        elif flags & BIG:
            yield from overflow(int.from_bytes(this[end : end + 8], "little"), low | high << 16)
            end += 8
        else:
            end += low | high << 16
        spans.append((offset, end))
    yield number, spans


def overflow(number, length):
    left = HEAD.size + length
    while left > 0:
        yield number, [(0, min(left, PAGE))]
        left -= PAGE
        number += 1


def leaf(one):
    return HEAD.unpack_from(one)[2] == LEAF


def nodes(one):
    for place in range(HEAD.size, HEAD.unpack_from(one)[3], 2):
        offset = int.from_bytes(one[place : place + 2], "little")
        yield offset, NODE.unpack_from(one, offset)


def lists_pages(one):
    return leaf(one) and not any(flags & BIG for _, (_, _, flags, _) in nodes(one))


def freed(one):
    """How many commits a leaf of the free list is about, and which pages they gave up."""
    if not lists_pages(one):
        return one
    found = []
    for offset, (low, high, _, key_bytes) in nodes(one):
        start = offset + NODE.size + key_bytes
        found += struct.unpack_from(f"<{(low | high << 16) // 8 - 1}Q", one, start + 8)
    return HEAD.unpack_from(one)[:4], sorted(found)


def bytes_at(spans):
    return lambda one: [one[start:end] for start, end in spans]
