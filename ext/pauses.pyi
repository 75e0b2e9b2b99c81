"""How long a machine keeps a thread from its core: for benchmarks."""

def pauses(ns: int) -> tuple[int, int]:
    """Do nothing but read the clock for so long, without the interpreter's lock.

    Returns:
        Nanoseconds lost in pauses of half a millisecond or more, and those of the longest pause.
    """
