"""Makes the gRPC stubs of proto/ in build/stubs, as the package `campuscard.v1`.

Files whose content did not change keep their time, so nothing after them is rebuilt.
Run it through `make build`. By hand: `--force` generates whatever the times say, and
`--image FILE` writes the resolved descriptors with their comments instead, for buf.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
OUT = ROOT / "build" / "stubs"
INIT = '"""Generated from proto/ by tools/gen_stubs.py."""\n'


def main() -> int:
    """Generate what is missing or older than its source. Returns the exit status."""
    sources = sorted(PROTO.rglob("*.proto"))
    if "--image" in sys.argv:
        image = sys.argv[sys.argv.index("--image") + 1]
        protoc(
            sources, [f"--descriptor_set_out={image}", "--include_imports", "--include_source_info"]
        )
        return 0
    marker = OUT / ".sources"
    listing = "".join(f"{path.relative_to(ROOT)}\n" for path in sources)
    if "--force" not in sys.argv and is_current(marker, listing, sources):
        return 0
    with tempfile.TemporaryDirectory(prefix="campuscard-stubs-") as name:
        fresh = Path(name)
        if sources:
            protoc(sources, generator_flags(fresh))
        add_packages(fresh)
        publish(fresh)
    marker.write_text(listing, encoding="utf-8")
    return 0


def is_current(marker: Path, listing: str, sources: list[Path]) -> bool:
    """Tell whether the stubs were made from exactly these files, after their last change."""
    if not marker.exists() or marker.read_text(encoding="utf-8") != listing:
        return False
    made = marker.stat().st_mtime_ns
    return all(path.stat().st_mtime_ns < made for path in [*sources, Path(__file__)])


def protoc(sources: list[Path], flags: list[str]) -> None:
    """Run protoc over all sources."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}"]
    command += [f"--proto_path={path}" for path in include_paths()]
    command += flags
    command += [str(path) for path in sources]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    # Success says only "Writing mypy to ...": worth no line of a build.
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        raise SystemExit(done.returncode)


def generator_flags(out: Path) -> list[str]:
    """Name the Python, gRPC and type stub generators and where they write."""
    plugins = [
        f"--plugin={name}={find_plugin(name)}"
        for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    ]
    kinds = ("python", "grpc_python", "mypy", "mypy_grpc")
    return [*plugins, *(f"--{kind}_out={out}" for kind in kinds)]


def include_paths() -> list[Path]:
    """Find google/protobuf/*.proto (in grpcio-tools) and google/rpc/*.proto."""
    import grpc_tools  # noqa: PLC0415 - a build tool only a real generation needs
    from google.rpc import status_pb2  # noqa: PLC0415 - see above

    assert grpc_tools.__file__ is not None  # noqa: S101 - for the type checker
    assert status_pb2.__file__ is not None  # noqa: S101 - for the type checker
    return [
        Path(grpc_tools.__file__).parent / "_proto",
        Path(status_pb2.__file__).parent.parent.parent,
    ]


def find_plugin(name: str) -> str:
    """Find a generator beside this interpreter or on PATH (an isolated wheel build)."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is missing: pip install -r requirements-build.txt")
    return found


def add_packages(fresh: Path) -> None:
    """Make every directory down from `campuscard` an ordinary package with types."""
    top = fresh / "campuscard"
    top.mkdir(exist_ok=True)
    for folder in [top, *(path for path in top.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").write_text(INIT, encoding="utf-8")
    (top / "py.typed").touch()


def publish(fresh: Path) -> None:
    """Bring OUT to the fresh content, touching only what differs."""
    wanted = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    for relative in wanted:
        target = OUT / relative
        content = (fresh / relative).read_bytes()
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    for path in (OUT / "campuscard").rglob("*.py*"):
        if path.suffix != ".pyc" and path.is_file() and path.relative_to(OUT) not in wanted:
            path.unlink()


if __name__ == "__main__":
    raise SystemExit(main())
