"""The engine as the process under test: a line for every answer.

    engine_driver.py init  DATA KEY
    engine_driver.py write DATA KEY PLAN [--commit HOW] [--checkpoint RECORDS] [--room BYTES]

`write` plays a plan from where the journal ends, checkpoints running meanwhile, and prints
"ack SEQ" for what it has found there, for the record of each answer and for what head and journal
show to others meanwhile, and at its end how many blocks and syncs of their own that took.
"""

import argparse
import os
import struct
import sys
import threading

from ext.errors import EngineError
from tests.crash import plan as plans
from tests.crash.player import Player, init

ALL_BYTES = 1 << 30
LOOK_S = 0.0002


def tell(seq):
    if seq:
        os.write(1, f"ack {seq}\n".encode())


class Onlooker(threading.Thread):
    """Whoever looks at head and journal: what is shown to them is promised too."""

    def __init__(self, engine):
        super().__init__(daemon=True)
        self.engine, self.seen, self.ended = engine, 0, threading.Event()

    def look(self):
        shown = self.engine.head()["decided_seq"]
        for block in self.engine.read_blocks(self.seen + 1, ALL_BYTES):
            shown = max(shown, struct.unpack_from("<Q", plans.records_of(block)[-1])[0])
        if shown > self.seen:
            self.seen = shown
            tell(shown)

    def run(self):
        while not self.ended.wait(LOOK_S):
            self.look()

    def end(self):
        self.ended.set()
        self.join()
        self.look()


def write(arguments):
    plan = plans.load(arguments.plan)
    options = {
        "commit": arguments.commit,
        "checkpoint_records": arguments.checkpoint,
        "journal_bytes_max": arguments.room,
    }
    with Player(arguments.data, arguments.key, told=tell, **options) as player:
        # What a start finds it answers for, acknowledged before or not.
        tell(player.head)
        onlooker = Onlooker(player.engine)
        onlooker.start()
        wrong = player.play(plan)
        onlooker.end()
        if wrong:
            sys.exit(f"answered otherwise: {wrong[0]}")
        try:
            player.engine.checkpoint()
        except EngineError as error:
            os.write(2, f"{error}\n".encode())  # the journal has everything
        stats = player.engine.stats()
        os.write(2, f"{stats['blocks']} blocks, {stats['syncs']} syncs\n".encode())


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("init")
    command.set_defaults(run=lambda a: init(a.data, a.key))
    other = commands.add_parser("write")
    other.set_defaults(run=write)
    for each in (command, other):
        each.add_argument("data")
        each.add_argument("key")
    other.add_argument("plan")
    other.add_argument("--commit", default="full")
    other.add_argument("--checkpoint", type=int, default=9)
    other.add_argument("--room", type=int, default=0)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
