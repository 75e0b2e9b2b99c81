"""Builds the journal with deliberate faults in it, so that the harness can show it finds them."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = ("segments", "journal", "committer")
DIRECTIVES = ("boundscheck=False", "wraparound=False", "cdivision=True", "initializedcheck=False")


def build():
    """Return a folder whose `ext` is ours but for the sabotaged modules."""
    ext = ROOT / "ext"
    sources = sorted(p for p in ext.iterdir() if p.suffix in {".pyx", ".pxd", ".h", ".so"})
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.name.encode() + path.read_bytes())
    folder = ROOT / "build" / "sabotage" / digest.hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several runs may want it at once
        if not (folder / "done").exists():
            make(folder)
    return folder


def make(folder):
    for old in folder.parent.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    ext = ROOT / "ext"
    (folder / "ext").mkdir(parents=True)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for path in [*ext.glob("*.so"), *ext.glob("*.py")]:
        if path.name not in {module + suffix for module in MODULES}:
            (folder / "ext" / path.name).symlink_to(path)
    for module in MODULES:
        compile_one(folder, module, suffix)
    (folder / "done").touch()


def compile_one(folder, module, suffix):
    c_file = folder / f"{module}.c"
    directives = [word for one in DIRECTIVES for word in ("-X", one)]
    cython = [sys.executable, "-m", "cython", "-3", *directives, "-I", str(ROOT)]
    source = str(ROOT / "ext" / f"{module}.pyx")
    subprocess.run(
        [*cython, "--module-name", f"ext.{module}", "-o", str(c_file), source],
        check=True,
        cwd=ROOT,
    )
    includes = [f"-I{ROOT / 'ext'}", f"-I{sysconfig.get_paths()['include']}"]
    flags = ["-shared", "-fPIC", "-O1", "-std=c11", "-D_GNU_SOURCE", "-fno-strict-aliasing", "-w"]
    target = str(folder / "ext" / (module + suffix))
    compiler = [os.environ.get("CC", "gcc"), *flags, "-DCC_SABOTAGE", *includes]
    libraries = ["-lcrypto", "-ldl", "-lpthread"]
    subprocess.run([*compiler, str(c_file), "-o", target, *libraries], check=True)
