"""core decides papers, ext decides money, server opens doors, clients hold no rule."""

import ast
import re
import sys

LAYERS = {"core", "ext", "server", "clients", "bench", "tests", "tools", "demo"}
IO_MODULES = {"asyncio", "grpc", "lmdb", "socket", "sqlite3", "starlette"}
CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))", re.MULTILINE)

# The only parts of core that are vocabulary or a public standard, not rules: anyone may use them.
VOCABULARY = {"core.catalogue", "core.certificates", "core.ids", "core.money", "core.totp"}

# Commands that work on a stopped directory, start the server, or look at the build: not over gRPC.
OFFLINE_COMMANDS = {
    "clients/admin/local.py": {"bench", "ext", "server"},
    "clients/admin/offline.py": {"server"},
    "clients/admin/doctor.py": {"ext"},
}


def test_core_does_no_input_or_output(files, read):
    allowed = (sys.stdlib_module_names - IO_MODULES) | {"core"}
    assert not [
        f"{path}:{line} imports {name}"
        for path, line, name in imports(files, read, "core")
        if name.split(".")[0] not in allowed
    ], "core is the standard library without input and output, and itself"


def test_ext_knows_nobody(files, read):
    found = [
        f"{path}:{line} imports {name}"
        for path, line, name in imports(files, read, "ext")
        if name.split(".")[0] in (LAYERS | {"campuscard"}) - {"ext"}
    ]
    for path in files:
        if path.parts[0] == "ext" and path.suffix in {".pyx", ".pxd"}:
            for match in CYTHON_IMPORT.finditer(read(path)):
                name = match.group(1) or match.group(2)
                if name.split(".")[0] in (LAYERS | {"campuscard"}) - {"ext"}:
                    found.append(f"{path} imports {name}")
    assert not found, "the engine stands alone"


def test_server_knows_no_client(files, read):
    assert not [
        f"{path}:{line} imports {name}"
        for path, line, name in imports(files, read, "server")
        if name.split(".")[0] in {"clients", "bench", "tests", "tools", "demo"}
    ]


def test_clients_hold_no_rule(files, read):
    found = []
    for path, line, name in imports(files, read, "clients"):
        layer = name.split(".")[0]
        if layer not in LAYERS - {"clients"} or name in VOCABULARY:
            continue
        if layer not in OFFLINE_COMMANDS.get(path.as_posix(), ()):
            found.append(f"{path}:{line} imports {name}")
    assert not found, "clients speak gRPC; a new offline command is declared in OFFLINE_COMMANDS"


def test_only_tests_and_benches_import_tests(files, read):
    assert not [
        f"{path}:{line}"
        for layer in ("core", "server", "clients", "bench", "tools", "demo")
        for path, line, name in imports(files, read, layer)
        if name.split(".")[0] == "tests"
    ]


def imports(files, read, layer):
    """Yield (path, line, absolute module name) of every import in one layer's Python files."""
    for path in files:
        if path.parts[0] != layer or path.suffix not in {".py", ".pyi"}:
            continue
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield path, node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                yield from from_import(path, node)


def from_import(path, node):
    base = list(path.parent.parts)[: len(path.parent.parts) - node.level + 1] if node.level else []
    module = ".".join([*base, *([node.module] if node.module else [])])
    if module in LAYERS:  # `from core import money` means core.money
        for alias in node.names:
            yield path, node.lineno, f"{module}.{alias.name}"
    else:
        yield path, node.lineno, module
