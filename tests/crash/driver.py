"""The process under test: a data directory, a journal, an acknowledgement per line.

    driver.py init  DATA KEY [--segment BYTES]
    driver.py write DATA SEED BLOCKS [--shape small|large] [--ahead] [--room BYTES]

`write` goes on where the journal ends and prints "ack SEQ" for what it has found there and when the
append of a block has returned. That line is the promise the tests hold it to.
"""

import argparse
import os

from ext import mirror, store
from tests.crash import content


def write(arguments):
    with mirror.Mirror(arguments.data, write=True, journal_bytes_max=arguments.room) as journal:
        if journal.last_seq:
            # What a start finds it answers for, acknowledged before or not.
            os.write(1, f"ack {journal.last_seq}\n".encode())
        known = content.sequence(arguments.seed, arguments.blocks, arguments.shape)
        for index in range(content.index_after(known, journal.last_seq), arguments.blocks):
            journal.append(
                content.block(
                    arguments.seed,
                    index,
                    journal.last_seq + 1,
                    journal.last_chain,
                    arguments.shape,
                )
            )
            os.write(1, f"ack {journal.last_seq}\n".encode())
            if arguments.ahead and journal.prepare():
                os.write(2, b"made ahead\n")


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("init")
    command.add_argument("data")
    command.add_argument("key")
    command.add_argument("--segment", type=int, default=262144)
    command.set_defaults(run=lambda a: store.init(a.data, a.key, segment_bytes=a.segment))
    command = commands.add_parser("write")
    command.add_argument("data")
    command.add_argument("seed", type=int)
    command.add_argument("blocks", type=int)
    command.add_argument("--shape", default="small")
    command.add_argument("--ahead", action="store_true")
    command.add_argument("--room", type=int, default=0)
    command.set_defaults(run=write)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
