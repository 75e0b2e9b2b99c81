"""The blocks that the driver writes: block i of a seed is the same in every process."""

import hashlib
import random
import struct

from ext import blocks

SHAPES = {
    # records per block
    "one": (1,),
    "small": (1, 1, 2, 3, 14, 15, 16, 17),
    "large": (1, 60, 150, 200),
}


def block(seed, index, first_seq, previous, shape="small"):
    rng = random.Random(f"{seed}/{index}")
    count = rng.choice(SHAPES[shape])
    records = b"".join(struct.pack("<Q", first_seq + i) + rng.randbytes(120) for i in range(count))
    payload = rng.randbytes(rng.choice((0, 0, 9, 700)))
    return blocks.seal(
        records,
        payload,
        first_seq=first_seq,
        previous=previous,
        state=rng.randrange(2**128),
        time_us=1_700_000_000_000_000 + index,
    )


def last_seq(sealed):
    return struct.unpack_from("<Q", sealed, 32)[0]


def chain(sealed):
    return sealed[-48:-16]


def index_after(sequence, seq):
    """How many blocks of a sequence end at or before seq."""
    return sum(last <= seq for last, _ in sequence)


def sequence(seed, count, shape="small"):
    """[(last seq, SHA-256)] of the first `count` blocks."""
    found, seq, previous = [], 1, bytes(32)
    for index in range(count):
        sealed = block(seed, index, seq, previous, shape)
        seq, previous = last_seq(sealed) + 1, chain(sealed)
        found.append((seq - 1, hashlib.sha256(sealed).hexdigest()))
    return found
