"""What `make bench-peers` writes: the chart, and the part of README.md between the marks."""

import pytest
from PIL import Image

from bench.peers.__main__ import BEGIN, END, README, line, section, write_readme
from bench.peers.chart import draw_chart
from bench.rows import Row

FACTS = {
    "date": "2026-11-23T18:00:00Z",
    "commit": "abc",
    "cpu": "CPU",
    "cores": 2,
    "load_before": 0.1,
}


def row(name, clients, per_s):
    half = {"per_s": per_s / 2, "p50_ms": 0.5, "p99_ms": 1.5, "p999_ms": None}
    return Row(
        name=f"peer {name} {clients}",
        value=per_s,
        unit="authorizations/s",
        p50_ms=0.4,
        p99_ms=1.2,
        detail={"clients": clients, "half_load": half, "d_ms": 0.26},
    )


ROWS = [row("redis", 1, 900.0), row("redis", 64, 31_000.4), row("campuscard native", 64, 61_234.0)]


def test_a_row_of_the_table_has_its_figures():
    assert line(ROWS[1]) == "| redis | 64 | 31,000 | 0.4 | 1.2 | 0.5 | 1.5 |  |\n"


def test_the_page_changes_between_its_marks_only(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_readme(page, section(ROWS, FACTS))
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n![")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| campuscard native | 64 | 61,234 |" in text
    write_readme(page, section(ROWS, FACTS))
    assert page.read_text(encoding="utf-8") == text


def test_a_page_without_marks_is_refused(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="no place"):
        write_readme(page, "text")
    assert BEGIN in README.read_text(encoding="utf-8")


def test_the_chart_is_a_picture_with_bars(tmp_path):
    draw_chart(ROWS, tmp_path / "chart.png", "title")
    with Image.open(tmp_path / "chart.png") as chart:
        assert chart.format == "PNG"
        colours = chart.convert("RGB").getcolors(1 << 16)
    assert max(colours)[1] == (255, 255, 255)
    assert len(colours) > 5
