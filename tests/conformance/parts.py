"""What a server has counted of each part of the commands' way, between two readings."""

import time

from tests.campus import CALL_S

ENGINE = ("queue", "decide", "hash", "commit")
PARTS = ("parse", *ENGINE, "reply")
TICK_S = 256e-9  # of the clock that commands in the queue are stamped with
ROUNDING_S = 1e-6  # of sums of seconds as text


def named(part, of):
    prefix = "" if part in ENGINE else "front_"
    return f'campuscard_{prefix}command_seconds_{of}{{part="{part}"}}'


def slack(commands):
    return commands * TICK_S + ROUNDING_S


class Grown:
    """What a campus has counted since this was made; `counted` reads again."""

    def __init__(self, campus):
        self._campus = campus
        self._before = self._after = campus.metrics()

    def counted(self, commands=None, parts=PARTS):
        """Read until so many commands, or some, have passed all parts and the last turn has ended."""
        ends = time.monotonic() + CALL_S
        while True:
            self._after = self._campus.metrics()
            counts = {part: self.of(named(part, "count")) for part in parts}
            some, *others = set(counts.values())
            ended = "reply" not in parts or self.way >= self.engine - slack(some)
            whole = not others and ended and some > 0 and commands in {None, some}
            if whole or time.monotonic() > ends:
                return counts
            time.sleep(0.01)

    def of(self, name):
        return self._after[name] - self._before[name]

    def seconds(self, part):
        return self.of(named(part, "sum"))

    def work(self, name):
        return self.of(f"campuscard_{name}_seconds_total")

    @property
    def way(self):
        return sum(map(self.seconds, PARTS))

    @property
    def engine(self):
        """From turn to turn, by the front end's own clock."""
        return self.work("front_engine")
