"""Programs of other makers that tests run: where one is missing, the test says which."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {  # program: package of Debian
    "clang": "clang",
    "curl": "curl",
    "g++": "g++",
    "grpc_cpp_plugin": "protobuf-compiler-grpc",
    "h2load": "nghttp2-client",
    "nghttp": "nghttp2-client",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "pkg-config": "pkg-config",
    "protoc": "protobuf-compiler",
}
RUN_S = 60


def need(*programs):
    """Skip the test, saying which package is missing; `make setup` installs them where it can."""
    missing = sorted({PACKAGES[name] for name in programs if shutil.which(name) is None})
    if (
        not missing
        and "node" in programs
        and not (ROOT / "examples/terminal/node_modules").is_dir()
    ):
        missing = ["the packages of examples/terminal (npm ci)"]
    if missing:
        pytest.skip(f"lacking: {', '.join(missing)}")


def outcome(*command, timeout=RUN_S, **options):
    """Run a program to its end; returns how it ended and what it wrote.

    What our own build is loaded with, as a sanitizer, is not theirs.
    """
    theirs = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return subprocess.run(
        list(map(str, command)),
        env=theirs,
        capture_output=True,
        check=False,
        timeout=timeout,
        **options,
    )


def run(*command, **options):
    """Run a program to its end; returns what it wrote. It must end well."""
    done = outcome(*command, **options)
    assert done.returncode == 0, (command, done.stdout[-4_000:], done.stderr[-4_000:])
    return done
