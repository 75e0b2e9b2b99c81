"""Opens what is fuzzed and runs libFuzzer on it: tools/fuzz.sh starts this with the driver loaded.

python -m tests.fuzz.subject NAME CORPUS [libFuzzer's options]; NAME is one of PLAYED.
"""

import ctypes
import select
import socket
import sys
import tempfile
import threading
from pathlib import Path

SERVICE = b"/campuscard.v1.TerminalService/"
BATCH_BYTES = 1 << 20
MESSAGE_BYTES = 65_536
ACCOUNT_FEN = 100_000_000
QUIET = {
    # What ends a connection of a peer that misbehaves must not hide what comes behind it.
    "frames_burst": 1 << 20,
    "rate": 1_000_000,
    "burst": 1_000_000,
    "handshake_ms": 600_000,
    "connections_max": 1_024,
}


def exported(module, name):
    """Return the address of a C function that a Cython module exports to others."""
    capsule = module.__pyx_capi__[name]
    of_capsule = ctypes.pythonapi
    of_capsule.PyCapsule_GetName.restype = ctypes.c_char_p
    of_capsule.PyCapsule_GetName.argtypes = [ctypes.py_object]
    of_capsule.PyCapsule_GetPointer.restype = ctypes.c_void_p
    of_capsule.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return of_capsule.PyCapsule_GetPointer(capsule, of_capsule.PyCapsule_GetName(capsule))


def open_decoder(driver, _folder):
    from ext import wire_batch, wire_decode

    places = (ctypes.c_void_p * 4).in_dll(driver, "cc_fuzz_wire")
    places[0] = exported(wire_decode, "wire_decode")
    places[1] = exported(wire_decode, "wire_decode_stream")
    places[2] = exported(wire_batch, "wire_batch_open")
    places[3] = exported(wire_batch, "wire_batch_next")


def answer(front, fed):
    """Answer what the front end leaves to Python, well and badly in turn; `fed` with messages before."""
    number = 0
    while True:
        select.select([front.eventfd], [], [])
        for name, method, *_ in front.handed():
            number += 1
            for size in range(number % 4 if method == fed else 0):
                front.write(name, bytes(1_000 * size))
            if number % 2:
                front.respond(name, b"\x08\x01")
            else:
                front.fail(name, 5, b"not%20here", b"CAU")
        front.told()


def open_front(driver, folder):
    from ext.front import door
    from ext.wire import METHODS
    from server.front import words
    from tests.integration.engine_desk import Desk

    desk = Desk(folder)
    desk.open_terminal("POS-1")
    desk.open_account(ACCOUNT_FEN)
    path = str(folder / "door")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    listening.listen(64)
    listening.setblocking(False)
    methods = [
        (SERVICE + name.encode(), door.UNARY, op, MESSAGE_BYTES) for name, op in METHODS.items()
    ]
    methods.append((SERVICE + b"AuthorizeBatch", door.BATCH, 0, BATCH_BYTES))
    methods.append((SERVICE + b"AuthorizeStream", door.STREAM, 0, MESSAGE_BYTES))
    methods.append((SERVICE + b"Heartbeat", door.PASSED, 0, MESSAGE_BYTES))
    methods.append((SERVICE + b"Watch", door.FED, 0, MESSAGE_BYTES))
    front = door.Front(desk.engine, listening, methods, words, QUIET)
    front.start()
    threading.Thread(target=answer, args=(front, len(methods) - 1), daemon=True).start()
    (ctypes.c_char * 108).in_dll(driver, "cc_fuzz_path").value = path.encode()
    return desk, listening, front


def open_tls(driver, folder):
    """The same behind TLS; who shows a certificate is the terminal that pays."""
    from tests.conformance.authority import Authority

    desk, listening, front = open_front(driver, folder)
    authority = Authority()
    server, terminal = authority.server(), authority.terminal("POS-1")
    for name, content in (
        ("chain.pem", server.chain),
        ("key.pem", server.key),
        ("ca.pem", authority.pem),
        ("client.pem", terminal.key + terminal.chain),
    ):
        (folder / name).write_bytes(content)
    front.secure(*(str(folder / name) for name in ("chain.pem", "key.pem", "ca.pem")))
    pem = str(folder / "client.pem")
    (ctypes.c_char * 108).in_dll(driver, "cc_fuzz_pem").value = pem.encode()
    return desk, listening, front


def open_nothing(_driver, _folder):
    pass


def in_driver(name):
    return lambda driver: getattr(driver, f"cc_fuzz_{name}")


def in_python(name):
    def play(_driver):
        from tests.fuzz import meaning

        return meaning.judged(getattr(meaning, name))

    return play


PLAYED = {
    "control": (open_nothing, in_driver("control")),
    "decoder": (open_decoder, in_driver("decoder")),
    "front": (open_front, in_driver("front")),
    "reading": (open_nothing, in_python("reading")),
    "tls": (open_tls, in_driver("tls")),
    "writing": (open_nothing, in_python("writing")),
}


def main():
    subject, *options = sys.argv[1:]
    driver = ctypes.CDLL(None)
    with tempfile.TemporaryDirectory(prefix="campuscard-fuzz-", dir=memory()) as folder:
        opened, played = PLAYED[subject]
        kept = opened(driver, Path(folder))
        arguments = (ctypes.c_char_p * (len(options) + 2))(
            subject.encode(), *(text.encode() for text in options), None
        )
        count = ctypes.c_int(len(options) + 1)
        place = ctypes.cast(arguments, ctypes.POINTER(ctypes.c_char_p))
        # It ends the process itself.
        driver.LLVMFuzzerRunDriver(ctypes.byref(count), ctypes.byref(place), played(driver))
    del kept


def memory():
    """Return a directory whose syncs cost nothing, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    main()
