"""Durations counted in bounded memory, exact to a thousandth: an HDR histogram."""

from typing import Self

from typing_extensions import disjoint_base

@disjoint_base
class Histogram:
    """Nothing counted yet. Longer than 2^40 ns (18 minutes) counts as that; 250 KB of memory."""

    def __new__(cls) -> Self: ...
    @property
    def total(self) -> int:
        """How many durations were counted."""

    @property
    def longest(self) -> int:
        """The longest of them in nanoseconds, 0 without any."""

    def add(self, ns: int) -> None:
        """Count one duration in nanoseconds; less than 0 counts as 0."""

    def add_all(self, other: Histogram) -> None:
        """Count what another has counted."""

    def at(self, parts: int) -> int:
        """Return the nanoseconds that so many of a million durations do not exceed.

        Args:
            parts: 0 to 1,000,000; 500,000 is the median, 990,000 the 99th percentile.

        Returns:
            At most a thousandth too long; 0 without any duration.

        Raises:
            ValueError: ``parts`` is out of range.
        """
