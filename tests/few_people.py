"""The demo's files with fewer people, for tests that load them."""

import csv
from pathlib import Path

FILES = Path(__file__).resolve().parents[1] / "demo"


def write_few(directory, *, students, staff):
    """Write the first people of the demo with their cards, and everything else whole."""
    directory.mkdir()
    numbers = set()
    for name, count in (("roster.csv", students), ("staff.csv", staff)):
        rows = rows_of(FILES / name)[: count + 1]
        numbers |= {row[1] for row in rows[1:]}
        write(directory / name, rows)
    cards = rows_of(FILES / "cards.csv")
    write(directory / "cards.csv", [cards[0], *(row for row in cards if row[0] in numbers)])
    for name in ("merchants.csv", "terminals.csv"):
        write(directory / name, rows_of(FILES / name))
    (directory / "rules.toml").write_bytes((FILES / "rules.toml").read_bytes())


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
