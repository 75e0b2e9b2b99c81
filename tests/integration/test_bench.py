"""`campuscard bench` on a campus too small for figures: that it runs, and the form of its rows."""

import json
import os
import subprocess
import sys
from array import array

import pytest

from bench.workload import TERMINALS, make_campus, open_campus
from server.front import available
from server.offline import verify

SECONDS = 110
COLUMNS = [
    "name", "value", "unit", "raw_limit", "ratio", "p50_ms", "p99_ms", "durable", "accounts",
    "block", "cores",
]  # fmt: skip


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "clients.admin.cli", "--lang", "en", "bench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def rows_of(kind, folder):
    done = bench(kind, "--quick", "--json", "--tiny", "--directory", str(folder))
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)  # nothing else is on standard output
    for row in rows:
        assert list(row)[: len(COLUMNS)] == COLUMNS
        assert row["value"] > 0
        assert row["cores"] == os.cpu_count()
        assert row["p50_ms"] is None or 0 < row["p50_ms"] <= row["p99_ms"]
    assert list(folder.iterdir()) == [], "what a benchmark writes it removes"
    return {row["name"]: row for row in rows}


SHAPES = (
    "unary 1x1",
    "unary 4x8",
    "unary 256x1",
    "unary 8x32",
    "stream 4x256",
    "batch 1000",
    "mtls unary 256x1",
)
NATIVE = {
    f"rpc native {commit}{shape}"
    for commit in ("", "pipelined ")
    for shape in SHAPES
    if available()
}


def test_engine_rows_have_the_raw_disk_beside_them(tmp_path):
    rows = rows_of("engine", tmp_path)
    assert set(rows) == {
        f"engine {how}200x{size}" for how in ("", "pipelined ") for size in (1, 128)
    }
    for row in rows.values():
        assert row["raw_limit"] > 0
        assert row["ratio"] > 0
        assert row["accounts"] == 200
        assert row["detail"]["device_bytes"] >= 128
        assert row["detail"]["cpu_us"] > 0
    assert rows["engine 200x128"]["block"] == 128
    assert rows["engine pipelined 200x128"]["detail"]["commit"] == "pipelined"


def test_replay_counts_every_record(tmp_path):
    row = rows_of("replay", tmp_path)["replay"]
    assert row["unit"] == "records/s"
    assert row["detail"]["records"] >= 8 * 1_024 + 3 * 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("rpc", {"rpc grpcio unary 64x1", "rpc grpcio batch 1000", *NATIVE}),
        ("start", {"start 200", "start engine 200", "checkpoint 200", "memory 200"}),
    ],
)
def test_a_real_server_is_measured(tmp_path, kind, names):
    rows = rows_of(kind, tmp_path)
    assert set(rows) == names
    for name in names & NATIVE:
        told = rows[name]["detail"]
        assert min(told["d_ms"], told["echo_per_s"], told["cpu_us"]) > 0
        half = told["half_load"]
        assert 0 < half["p50_ms"] <= half["p99_ms"] <= half["p999_ms"]


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="the native front end was not built")
def test_payments_are_measured_beside_what_is_in_their_way(tmp_path):
    rows = rows_of("beside", tmp_path)
    assert set(rows) == {"rpc native fairness 20x1", "rpc native beside import 60"}
    assert rows["rpc native fairness 20x1"]["detail"]["greedy_per_s"] > 0
    assert rows["rpc native beside import 60"]["detail"]["reports"] >= 1


@pytest.mark.slow
def test_the_office_is_measured(tmp_path):
    rows = rows_of("registry", tmp_path)
    assert {"import 60", "import again 60", "photos 4"} <= set(rows)
    lookups = [row for name, row in rows.items() if name.startswith("lookup ")]
    assert len(lookups) == 9
    assert all(row["target"] == 5.0 and row["unit"] == "ms" for row in lookups)
    assert rows["import 60"]["detail"]["payments_per_s"] == 100


def test_what_is_in_memory_is_not_durable(tmp_path):
    from bench.disk import is_disk

    memory = "/dev/shm"
    if not os.path.ismount(memory):
        pytest.skip(f"{memory} is not a file system of its own")
    from pathlib import Path

    assert not is_disk(Path(memory))
    rows = rows_of_memory(memory)
    assert not any(row["durable"] for row in rows)


def rows_of_memory(memory):
    done = bench("engine", "--json", "--tiny", "--directory", memory)
    assert done.returncode == 0, done.stderr
    assert "no row of this run is durable" in done.stderr
    return json.loads(done.stdout)


def test_help_teaches():
    done = bench("--help")
    assert done.returncode == 0
    for kind in ("engine", "rpc", "replay", "start", "registry", "beside", "peers", "micro"):
        assert f"\n  {kind} " in done.stdout
    assert "examples:" in done.stdout


def test_an_unknown_kind_is_refused():
    done = bench("enigne")
    assert done.returncode == 2
    assert "there is no benchmark 'enigne'" in done.stderr
    assert done.stdout == ""


def test_the_journal_of_a_benchmark_passes_verify(tmp_path):
    """Figures are of a campus like any other: its books hold, made by hand as they are."""
    paths = make_campus(tmp_path, 300)
    campus = open_campus(paths, 300)
    draws = [array("I", [1 + at * step % most for at in range(600)]) for step, most in
             ((7, 300), (11, TERMINALS))]  # fmt: skip
    done = campus.authorize(4, 150, *draws, array("I", [100 + at for at in range(600)]))
    campus.close()
    assert done["approved"] == 600
    verdict = verify.run(paths["data"], state_hash="every")
    assert verdict.ok, verdict.difference
    assert verdict.types["PURCHASE"] == 600
