"""What ``campuscard access`` takes from the command line before it calls anybody."""

import pytest
import typer
from typer.testing import CliRunner

from campuscard.v1 import access_service_pb2 as pb
from clients.admin.access import app
from clients.admin.access_hours import read_days, read_windows, write_day, write_windows

GROUP = ("set-group", "g", "--name", "g", "--window")
ZONE = ("set-zone", "z", "--name", "z", "--kind", "GATE")


@pytest.mark.parametrize(
    "arguments",
    [
        (*GROUP, "FRI-MON 06:00-23:00"),
        (*GROUP, "MON 06:00-23:00", "--day", "2024-13-01"),
        (*ZONE, "--passback", "sometimes"),
        ("check", "GATE-1"),
        ("check", "GATE-1", "--card", "xy"),
        ("check", "GATE-1", "--qr", "a", "--face", "00"),
        ("check", "GATE-1", "--face", "xy"),
        ("emergency", "D1", "burning", "--reason", "x"),
        ("enrol-face", "1", "--token", "xy", "--born", "2000-01-01", "--text-version", "1"),
    ],
)
def test_wrong_usage(arguments):
    assert CliRunner().invoke(app, list(arguments)).exit_code == 2


def triples(texts):
    return [(w.weekday, w.start_minute, w.end_minute) for w in read_windows(texts)]


def test_windows_as_they_are_typed():
    assert triples(["mon 06:30-23:00"]) == [(1, 390, 1_380)]
    assert triples(["SAT/MON-TUE 22:00-06:00"]) == [(d, 1_320, 360) for d in (6, 1, 2)]
    assert triples(["DAILY 00:00-24:00"]) == [(d, 0, 1_440) for d in range(1, 8)]
    assert triples(["SUN 20:00-00:00"]) == [(7, 1_200, 1_440)]


@pytest.mark.parametrize(
    "text",
    ["", "MON", "MON 6:00-7:00", "MON 06:60-07:00", "MON 24:00-07:00", "MON 06:00-24:01", "FUN 06:00-07:00"],
)  # fmt: skip
def test_windows_that_are_none(text):
    with pytest.raises(typer.BadParameter):
        read_windows([text])


@pytest.mark.parametrize(
    "text", ["DAILY 06:00-23:00", "MON-FRI 22:00-06:00", "MON/WED 00:00-24:00, TUE 08:00-09:00"]
)
def test_windows_are_written_as_they_are_read(text):
    assert write_windows(read_windows(text.split(", "))) == text


def test_exception_days():
    days = read_days(["2024-10-01", "2024-10-02 08:00-12:00", "2024-10-02 22:00-02:00"])
    assert [write_day(day, "closed") for day in days] == [
        "2024-10-01 closed",
        "2024-10-02 08:00-12:00, 22:00-02:00",
    ]
    assert days[0] == pb.ExceptionDay(day=19_997)
