"""Finds the packages, builds the Cython extension and the gRPC stubs.

Metadata is in pyproject.toml. Switches come from the environment:

    CC_DEBUG=1       bounds checks, C asserts, -O1 -g
    CC_SANITIZE=1    address and undefined behaviour sanitizers
    CC_KEEP_GOING=1  build what can be built, skip modules that do not compile
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Command, Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
STUBS = Path("build/stubs")
PACKAGES = ("core", "ext", "server", "clients", "bench")
PARALLEL_JOBS = 2

DEBUG = os.environ.get("CC_DEBUG") == "1"
SANITIZE = os.environ.get("CC_SANITIZE") == "1"
KEEP_GOING = os.environ.get("CC_KEEP_GOING") == "1"
FLAVOR = "sanitize" if SANITIZE else "debug" if DEBUG else "release"

os.chdir(ROOT)


def run_tool(script: str) -> None:
    """Run one of our generators with the interpreter of this build."""
    if Path(script).exists():
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, script], check=True, env=environment)


def flags_of(library: str) -> tuple[list[str], list[str]] | None:
    """Return a system library's compiler and linker flags; None: pkg-config does not know it."""
    pkg_config = shutil.which("pkg-config")
    if pkg_config is None:
        return None
    flags = []
    for question in ("--cflags", "--libs"):
        answer = subprocess.run(
            [pkg_config, question, library], capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            return None
        flags.append(answer.stdout.split())
    return flags[0], flags[1]


def compile_flags() -> list[str]:
    """Return the C compiler's flags for this flavor."""
    flags = ["-std=c11", "-D_GNU_SOURCE", "-fno-strict-aliasing", "-Wall", "-Wextra"]
    # What Cython's own output sets off; our headers are clean of these too.
    flags += ["-Wno-unused-parameter", "-Wno-missing-field-initializers", "-Wno-unused-function"]
    if DEBUG or SANITIZE:
        flags += ["-O1", "-g", "-DCC_DEBUG=1", "-UNDEBUG"]
    else:
        flags += ["-O2"]
    if SANITIZE:
        flags += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    return flags


def cython_directives() -> dict[str, object]:
    """Return the directives of every .pyx: fast in release, checked otherwise."""
    return {
        "language_level": 3,
        "binding": True,
        "boundscheck": DEBUG or SANITIZE,
        "wraparound": False,
        "cdivision": True,
        "initializedcheck": DEBUG or SANITIZE,
        "nonecheck": DEBUG or SANITIZE,
        "overflowcheck": False,
        "embedsignature": False,
        "emit_code_comments": False,
    }


def headers_in(folder: Path) -> list[str]:
    """List what a module of the folder may include or cimport from there."""
    return [str(path) for pattern in ("*.pxd", "*.h") for path in folder.glob(pattern)]


def extension(path: Path, headers: list[str], *flags: tuple[list[str], list[str]]) -> Extension:
    """Make the module of one .pyx, with a C file of the same name (wire.pyx and wire_impl.c)."""
    impl = path.with_name(f"{path.stem}_impl.c")
    return Extension(
        ".".join(path.with_suffix("").parts),
        [str(path), *([str(impl)] if impl.exists() else [])],
        include_dirs=["ext"],
        depends=sorted(headers),
        extra_compile_args=[*(flag for cflags, _ in flags for flag in cflags), *compile_flags()],
        extra_link_args=[
            *(flag for _, libs in flags for flag in libs),
            "-ldl",
            "-lpthread",
            *(["-fsanitize=address,undefined"] if SANITIZE else []),
        ],
        optional=KEEP_GOING,
    )


def extensions() -> list[Extension]:
    """One extension module per .pyx, each its own shared object."""
    engine, front = Path("ext"), Path("ext/front")
    crypto = flags_of("libcrypto") or ([], ["-lcrypto"])
    made = [extension(path, headers_in(engine), crypto) for path in sorted(engine.glob("*.pyx"))]
    http2, tls = flags_of("libnghttp2"), flags_of("openssl")
    if http2 is None or tls is None:
        print("left out: ext.front (libnghttp2-dev or libssl-dev is missing)")
        return made
    headers = [*headers_in(engine), *headers_in(front)]
    return made + [extension(path, headers, http2, tls) for path in sorted(front.glob("*.pyx"))]


class BuildExt(build_ext):
    """Cythonizes only when extensions are really built, into build/cython-FLAVOR."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or PARALLEL_JOBS
        self.build_temp = f"build/temp-{FLAVOR}-{platform.machine()}"

    def run(self) -> None:
        made = {extension.name: extension for extension in self.cythonized()}
        # Cython leaves copies of our headers beside its C, where the compiler would find them
        # first, and renews them by time only: an older header checked out would not count.
        for copy in Path(f"build/cython-{FLAVOR}").rglob("*.h"):
            copy.unlink()
        self.extensions = [e for e in self.extensions or [] if e.name in made]
        for extension in self.extensions:
            public = {k: v for k, v in vars(made[extension.name]).items() if not k.startswith("_")}
            vars(extension).update(public)
        super().run()

    def cythonized(self) -> list[Extension]:
        """Translate to C, all at once or, to keep going after a failure, one at a time."""
        from Cython.Build import cythonize  # noqa: PLC0415 - not needed to read metadata
        from Cython.Compiler.Errors import CompileError  # noqa: PLC0415 - see above

        options = {
            "build_dir": f"build/cython-{FLAVOR}",
            "compiler_directives": cython_directives(),
            "force": bool(self.force),
        }
        if not KEEP_GOING:
            return cythonize(self.extensions or [], nthreads=PARALLEL_JOBS, **options)
        made: list[Extension] = []
        for extension in self.extensions or []:
            try:
                made += cythonize([extension], **options)
            except CompileError:
                print(f"left out: {extension.name}")
        return made


class Annotate(Command):
    """Writes Cython's annotated HTML: yellow lines talk to Python."""

    description = "write annotated HTML of every .pyx to build/annotate"
    user_options: list[tuple[str, str | None, str]] = []  # noqa: RUF012 - setuptools' contract

    def initialize_options(self) -> None:
        """Nothing to set."""

    def finalize_options(self) -> None:
        """Nothing to check."""

    def run(self) -> None:
        from Cython.Build import cythonize  # noqa: PLC0415 - only this command needs it

        cythonize(
            extensions(),
            build_dir="build/annotate",
            annotate=True,
            force=True,
            compiler_directives=cython_directives(),
            nthreads=PARALLEL_JOBS,
        )


run_tool("tools/gen_reasons.py")
run_tool("tools/gen_stubs.py")

setup(
    packages=[
        *find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
        *(find_packages(str(STUBS)) if STUBS.is_dir() else []),
    ],
    include_package_data=False,
    package_dir={"campuscard": str(STUBS / "campuscard")},
    package_data={
        "": ["*.pyi", "py.typed"],
        "bench.peers": ["*.sql", "*.lua"],
        "ext": ["*.pxd", "*.h"],
        "ext.front": ["*.pxd", "*.h"],
    },
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildExt, "annotate": Annotate},
)
