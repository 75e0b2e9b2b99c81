"""The peers as a picture: bars of rates and of 99th percentiles, both on logarithmic scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from bench.rows import Row, shown

WIDTH: Final = 1_180
_TWICE: Final = 2  # drawn so many times as large, then made small: smooth edges
_LEFT: Final = 190
_PANEL: Final = 430
_BETWEEN: Final = 110
_BAR: Final = 15
_GAP: Final = 20
_TOP: Final = 96
_INK, _FAINT, _PAPER = "#1f2933", "#c9d1d9", "#ffffff"
_COLOURS: Final = ("#b9d3e6", "#6ba2c9", "#1f5f8b")
_OWN: Final = ("#f3cfa6", "#e39a45", "#b8620f")


class Panel:
    """One scale and its bars, from ``at`` to the right."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, at: int, values: Sequence[float], bottom: int
    ) -> None:
        self._draw = draw
        self._at = at
        self._first = math.floor(math.log10(min(values)) - 0.1)
        self._last = math.ceil(math.log10(max(values)) + 0.1)
        for power in range(self._first, self._last + 1):
            x = self._x(10.0**power)
            draw.line((x, _TOP * _TWICE, x, bottom), fill=_FAINT, width=_TWICE)
            text(draw, (x / _TWICE, _TOP - 16), label(10.0**power), 12, "mm")

    def _x(self, value: float) -> float:
        share = (math.log10(value) - self._first) / (self._last - self._first)
        return (self._at + share * _PANEL) * _TWICE

    def bar(self, y: int, value: float, colour: str) -> None:
        """Draw one, with its value behind it."""
        end = self._x(value)
        self._draw.rectangle(
            (self._at * _TWICE, y * _TWICE, end, (y + _BAR - 2) * _TWICE), fill=colour
        )
        text(self._draw, (end / _TWICE + 5, y + _BAR / 2 - 1), shown(value), 11, "lm")


def draw_chart(rows: Sequence[Row], path: Path, title: str) -> None:
    """Draw rates on the left, 99th percentiles at half of the rate on the right; write a PNG."""
    systems = list(dict.fromkeys(system_of(row) for row in rows))
    clients = sorted({row.detail["clients"] for row in rows})
    group = len(clients) * _BAR + _GAP
    height = _TOP + group * len(systems) + 44
    image = Image.new("RGB", (WIDTH * _TWICE, height * _TWICE), _PAPER)
    draw = ImageDraw.Draw(image)
    text(draw, (20, 24), title, 17, "lm")
    second = _LEFT + _PANEL + _BETWEEN
    text(draw, (_LEFT, 56), "authorizations a second, closed loop", 13, "lm")
    text(draw, (second, 56), "99th percentile in ms, open loop at half of that rate", 13, "lm")
    bottom = (height - 44) * _TWICE
    for at, value in ((_LEFT, _rate), (second, _p99)):
        panel = Panel(draw, at, [value(row) for row in rows], bottom)
        for row in rows:
            place = clients.index(row.detail["clients"])
            y = _TOP + group * systems.index(system_of(row)) + _BAR * place
            colours = _OWN if system_of(row).startswith("campuscard") else _COLOURS
            panel.bar(y, value(row), colours[place % len(colours)])
    for at, name in enumerate(systems):
        text(draw, (_LEFT - 14, _TOP + group * at + (group - _GAP) / 2), name, 13, "rm")
    legend = ", ".join(map(str, clients)) + " clients from light to dark; scales are logarithmic"
    text(draw, (_LEFT, height - 20), legend, 12, "lm")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize((WIDTH, height), Image.Resampling.LANCZOS).quantize(128).save(path, optimize=True)


def _rate(row: Row) -> float:
    return row.value


def _p99(row: Row) -> float:
    return float(row.detail["half_load"]["p99_ms"])


def system_of(row: Row) -> str:
    """Return what was measured, without the number of its clients."""
    return row.name.removeprefix("peer ").rpartition(" ")[0]


def label(value: float) -> str:
    """Write a power of ten for an axis."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    return f"{value / 1_000:g} k" if value >= 1_000 else f"{value:g}"


def text(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], words: str, size: int, anchor: str
) -> None:
    """Write words; ``anchor`` is Pillow's."""
    font = ImageFont.load_default(size * _TWICE)
    place = (at[0] * _TWICE, at[1] * _TWICE)
    draw.text(place, words, fill=_INK, font=font, anchor=anchor)
