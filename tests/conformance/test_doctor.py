"""`campuscard doctor` at the doors of a server that runs."""

import fcntl
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from clients.admin import doctor_doors
from clients.admin.findings import Health, Place
from tests.campus import Campus
from tests.conformance.authority import Authority

SOON_S = 0.5


def write(directory, *, days=400):
    """Write a certificate and its key; returns the settings that name them."""
    made = Authority(days=days).server()
    (directory / "key.pem").write_bytes(made.key)
    (directory / "chain.pem").write_bytes(made.chain)
    return {"certificate": str(directory / "chain.pem"), "key": str(directory / "key.pem")}


def place_of(campus, *, directory=None):
    return Place(
        data=campus.data,
        key_file=campus.directory / "campuscard.key",
        address=campus.address,
        front_address=campus.front_address,
        certificate=None if directory is None else directory / "chain.pem",
        key=None if directory is None else directory / "key.pem",
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("plain")) as campus:
        yield campus


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A campus whose terminals need certificates, and where its own is."""
    directory = tmp_path_factory.mktemp("secured")
    ca = directory / "ca.pem"
    ca.write_bytes(Authority().pem)
    front = write(directory) | {"terminal_ca": str(ca)}
    with Campus(directory / "campus", settings={"front": front}) as campus:
        yield campus, directory


def test_both_doors_answer(plain):
    place = place_of(plain)
    for check in (doctor_doors.check_port, doctor_doors.check_terminals_port):
        found = check(place)
        assert (found.health, found.step) == (Health.OK, "")
        assert "something listens" in found.found or "有程序在听" in found.found
    assert doctor_doors.check_certificate(place).health is Health.OK


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_a_door_that_takes_connections_and_says_nothing_has_failed(tmp_path, monkeypatch, secure):
    """As of a server that stands still: it has its directory, the kernel takes connections for it."""
    monkeypatch.setattr(doctor_doors, "ANSWER_S", SOON_S)
    data = tmp_path / "data"
    data.mkdir()
    files = write(tmp_path) if secure else {}
    with socket.create_server(("127.0.0.1", 0)) as silent, (data / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        place = Place(
            data=data,
            key_file=tmp_path / "key",
            address=address,
            front_address=address,
            **{name: Path(path) for name, path in files.items()},
        )
        found = doctor_doors.check_terminals_port(place)
        assert found.health is Health.FAILED
        assert found.step
        assert doctor_doors.check_port(place).health is Health.FAILED


def test_tls_is_spoken_and_with_the_files_certificate(secured):
    """Who renews the file and does not say so has a door that shows the old one."""
    campus, directory = secured
    place = place_of(campus, directory=directory)
    found = doctor_doors.check_terminals_port(place)
    assert (found.health, found.step) == (Health.OK, "")
    assert found.found.endswith("(TLS)")
    write(directory)
    found = doctor_doors.check_terminals_port(place)
    assert found.health is Health.FAILED
    assert found.step == "kill -HUP"


def test_a_door_without_the_tls_that_is_configured_has_failed(plain, secured):
    _, directory = secured
    found = doctor_doors.check_terminals_port(place_of(plain, directory=directory))
    assert found.health is Health.FAILED
    assert "TLS" in found.found


@pytest.mark.parametrize(
    ("days", "health"), [(400, Health.OK), (10, Health.WARNING), (-1, Health.FAILED)]
)
def test_a_certificate_ends_and_says_so_before(plain, tmp_path, days, health):
    write(tmp_path, days=days)
    found = doctor_doors.check_certificate(place_of(plain, directory=tmp_path))
    assert found.health is health
    assert bool(found.step) is (health is not Health.OK)


def test_a_key_that_does_not_fit_is_found(plain, tmp_path):
    write(tmp_path)
    (tmp_path / "key.pem").write_bytes(Authority().server().key)
    found = doctor_doors.check_certificate(place_of(plain, directory=tmp_path))
    assert found.health is Health.FAILED
    assert found.step


def test_a_port_that_somebody_else_has_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        place = Place(
            data=tmp_path / "data",
            key_file=tmp_path / "key",
            address="127.0.0.1:0",
            front_address=taken,
        )
        assert doctor_doors.check_port(place).health is Health.OK
        found = doctor_doors.check_terminals_port(place)
        assert found.health is Health.WARNING
        assert "--front" in found.step


def test_the_command_looks_at_the_doors_of_the_configuration(secured, tmp_path):
    campus, _ = secured
    config = tmp_path / "campuscard.toml"
    front = write(tmp_path)
    config.write_text(
        "\n".join(
            (
                "[server]",
                f'address = "{campus.address}"',
                "[front]",
                f'address = "{campus.front_address}"',
                *(f'{name} = "{path}"' for name, path in front.items()),
                "[data]",
                f'directory = "{campus.data}"',
                f'key_file = "{campus.directory / "campuscard.key"}"',
            )
        ),
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "clients.admin.cli", "doctor", "--config", config, "-o", "json"],
        capture_output=True,
        check=False,
    )
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert found["port"]["health"] == "ok"
    assert found["certificate"]["health"] == "ok"
    assert found["terminals"]["health"] == "failed", "it shows another certificate"
    assert done.returncode != 0
