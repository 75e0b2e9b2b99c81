"""The engine as the process under test: a line for every answer.

    engine_driver.py init  DATA KEY
    engine_driver.py write DATA KEY PLAN [--checkpoint RECORDS] [--room BYTES]

`write` plays a plan from where the journal ends, checkpoints running meanwhile, and prints
"ack SEQ" for what it has found there and for the record of each answer.
"""

import argparse
import os
import sys

from ext.errors import EngineError
from tests.crash import plan as plans
from tests.crash.player import Player, init


def tell(seq):
    if seq:
        os.write(1, f"ack {seq}\n".encode())


def write(arguments):
    plan = plans.load(arguments.plan)
    options = {"checkpoint_records": arguments.checkpoint, "journal_bytes_max": arguments.room}
    with Player(arguments.data, arguments.key, told=tell, **options) as player:
        # What a start finds it answers for, acknowledged before or not.
        tell(player.head)
        wrong = player.play(plan)
        if wrong:
            sys.exit(f"answered otherwise: {wrong[0]}")
        try:
            player.engine.checkpoint()
        except EngineError as error:
            os.write(2, f"{error}\n".encode())  # the journal has everything


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
    other.add_argument("--checkpoint", type=int, default=9)
    other.add_argument("--room", type=int, default=0)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
