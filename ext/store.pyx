"""The data directory and the key file: making, locking, reading (see store.pxd)."""

import fcntl
import mmap
import os
import secrets
import stat
import time

from ext.errors import DirectoryBusy, EngineError, KeyMismatch

from libc.string cimport memcmp, memcpy, memset

from ext.audit cimport audit_meta, cc_audit
from ext.digest cimport crc32c, key_check_value, wipe
from ext.records cimport CC_FORMAT, CC_MIN_READER, cc_rules_body
from ext.segments cimport (
    SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MIN, cc_fault, cc_pace, segment_create,
)


cdef extern from "<string.h>" nogil:
    char *strerror(int number) noexcept

cdef extern from "<unistd.h>" nogil:
    ssize_t posix_read "read"(int fd, void *data, size_t length) noexcept

IDENTITY = "campuscard"
LOCK = "lock"
JOURNAL = "journal"
# What an interrupted init may have left, and what a fresh file system has.
LEFT_BY_INIT = frozenset({LOCK, JOURNAL, ".campuscard.new", "lost+found"})


# ---- files and directories ----

def _sync_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _make_directories(path):
    """Make a directory and what leads to it, and make sure that the names are on the disk.

    Also the names that are there already: an interrupted init may have left them in memory only.
    """
    os.makedirs(path, mode=0o700, exist_ok=True)
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        try:
            _sync_directory(path)
        except PermissionError:
            return      # not ours: it was there before us


def _write_whole(path, data):
    """Write a file so that it is there whole or not at all, also after a power cut."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    _sync_directory(folder)


def _lock(data_dir):
    """Take the directory's lock; return its file descriptor."""
    path = os.path.join(data_dir, LOCK)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 32).decode(errors="replace").strip()
        os.close(fd)
        who = f"process {holder}" if holder else "another process"
        raise DirectoryBusy(
            f"{data_dir} is in use by {who}; stop it first, or use another directory") from None
    except OSError:
        os.close(fd)
        raise
    # Who holds it is a help for people; the lock itself does not depend on it.
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


# ---- the identity ----

cdef int _identity_check(const cc_identity *identity, path) except -1:
    if identity.magic != CC_IDENTITY_MAGIC:
        raise EngineError(f"{path} is not the identity of a data directory")
    if identity.crc32c != crc32c(0, identity, sizeof(cc_identity) - 4):
        raise EngineError(f"{path} is damaged: restore it from the mirror or a backup")
    if identity.min_reader > CC_FORMAT:
        raise EngineError(f"{path} was made by a newer version of campuscard")
    return 0


cdef int _identity_read(data_dir, cc_identity *identity) except -1:
    path = os.path.join(data_dir, IDENTITY)
    cdef bytes data
    try:
        with open(path, "rb") as file:
            data = file.read(sizeof(cc_identity) + 1)
    except FileNotFoundError:
        raise EngineError(
            f"{data_dir} is not a data directory; make one with: campuscard init") from None
    if len(data) != sizeof(cc_identity):
        raise EngineError(f"{path} is damaged: {len(data)} bytes instead of {sizeof(cc_identity)}")
    memcpy(identity, <const char*>data, sizeof(cc_identity))
    return _identity_check(identity, path)


cdef int store_lock(object data_dir, cc_identity *identity) except -1:
    data_dir = os.path.abspath(os.fsdecode(data_dir))
    if not os.path.exists(os.path.join(data_dir, IDENTITY)):
        # Before the lock: it would make a file in a directory that is not ours.
        raise EngineError(f"{data_dir} is not a data directory; make one with: campuscard init")
    fd = _lock(data_dir)
    try:
        _identity_read(data_dir, identity)
        # An init killed at its end may have left the identity's name in memory only. What is
        # promised from now on must not rest on that.
        _sync_directory(data_dir)
    except BaseException:
        os.close(fd)
        raise
    return fd


# ---- the key ----

cdef int _key_read(object path, cc_key_file *key) except -1:
    """Read a key file straight into `key`: no copy in Python's memory."""
    cdef ssize_t got
    cdef uint8_t check[16]
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyMismatch(f"the key file {path} cannot be opened: {error.strerror}") from None
    try:
        state = os.fstat(fd)
        got = posix_read(fd, key, sizeof(cc_key_file))
    finally:
        os.close(fd)
    if not stat.S_ISREG(state.st_mode) or state.st_size != sizeof(cc_key_file):
        raise KeyMismatch(f"{path} is not a key file")
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise KeyMismatch(f"{path} may be read by others; run: chmod 600 {path}")
    if got != sizeof(cc_key_file) or key.magic != CC_KEY_MAGIC:
        raise KeyMismatch(f"{path} is not a key file")
    if key_check_value(key.key, check) != 0 or memcmp(check, key.check, 16) != 0:
        raise KeyMismatch(f"the key file {path} is damaged")
    return 0


def _outside(path, data_dir):
    """Refuse a key inside the directory it protects: it would be copied along with it."""
    real, root = os.path.realpath(path), os.path.realpath(data_dir)
    if os.path.commonpath([real, root]) == root:
        raise KeyMismatch(f"the key file {path} must be outside the data directory {data_dir}")


cdef int store_key(
    object key_file, object data_dir, const cc_identity *identity, uint8_t *key, uint8_t *key_id,
) except -1:
    cdef cc_key_file file
    path = os.path.abspath(os.fsdecode(key_file))
    _outside(path, os.fsdecode(data_dir))
    try:
        _key_read(path, &file)
        if memcmp(file.check, identity.key_check, 16) != 0 or file.key_id != identity.key_id:
            raise KeyMismatch(f"{path} is the key of another data directory")
        memcpy(key, file.key, 32)
        key_id[0] = file.key_id
    finally:
        wipe(&file, sizeof(file))
    return 0


cdef int _key_make(path, cc_key_file *key) except -1:
    """Make a new key file, or take the one that an interrupted init has made."""
    _make_directories(os.path.dirname(path))
    if os.path.lexists(path):
        _key_read(path, key)
        _sync_directory(os.path.dirname(path))
        return 0
    memset(key, 0, sizeof(cc_key_file))
    key.magic = CC_KEY_MAGIC
    key.key_id = 1
    cdef bytes random = secrets.token_bytes(32)
    memcpy(key.key, <const char*>random, 32)
    if key_check_value(key.key, key.check) != 0:
        raise OSError("libcrypto failed")
    _write_whole(path, (<const char*>key)[:sizeof(cc_key_file)])
    return 0


# ---- making a directory ----

cdef int _check_unused(segment) except -1:
    """Refuse to remove a journal that holds blocks, whoever has removed its identity."""
    cdef const uint8_t[::1] file
    cdef cc_audit found
    path = os.path.join(segment, "data.mdb")
    if os.path.basename(segment).startswith(".new-") or not os.path.exists(path):
        return 0
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        file = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    finally:
        os.close(fd)
    if audit_meta(&file[0], file.shape[0], &found) != 0 or found.blocks or found.later:
        raise EngineError(
            f"{segment} holds blocks but {IDENTITY} is missing: restore that file from the mirror")
    return 0


def _clear_journal(journal):
    """Remove what an interrupted init has made."""
    segments = [os.path.join(journal, name) for name in os.listdir(journal)]
    for segment in segments:
        _check_unused(segment)
    for segment in segments:
        for name in os.listdir(segment):
            os.unlink(os.path.join(segment, name))
        os.rmdir(segment)
    os.rmdir(journal)


def _prepare(data_dir):
    """Make the directory or check that it may become one; return the lock's descriptor."""
    _make_directories(data_dir)
    if os.path.exists(os.path.join(data_dir, IDENTITY)):
        raise EngineError(f"{data_dir} is a data directory already")
    strangers = set(os.listdir(data_dir)) - LEFT_BY_INIT
    if strangers:
        raise EngineError(f"{data_dir} is not empty: {sorted(strangers)[0]}")
    fd = _lock(data_dir)
    journal = os.path.join(data_dir, JOURNAL)
    try:
        if os.path.isdir(journal):
            _clear_journal(journal)
        os.mkdir(journal, 0o700)
    except BaseException:
        os.close(fd)
        raise
    return fd


cdef int _make(data_dir, const cc_identity *identity) except -1:
    """An empty journal, then the identity that makes it count."""
    cdef cc_fault fault
    cdef cc_pace pace = [NULL, NULL]
    cdef bytes journal = os.fsencode(os.path.join(data_dir, JOURNAL))
    cdef const char *path = journal
    cdef int rc
    fd = _prepare(data_dir)
    try:
        memset(&fault, 0, sizeof(fault))
        with nogil:
            rc = segment_create(path, 1, identity.segment_bytes, &pace, &fault)
        if rc != 0:
            detail = strerror(rc).decode(errors="replace") if rc > 0 else f"LMDB {rc}"
            raise EngineError(f"{data_dir}: {fault.what.decode()}: {detail}")
        # The journal's name before the identity that vouches for it.
        _sync_directory(data_dir)
        _write_whole(
            os.path.join(data_dir, IDENTITY), (<const char*>identity)[:sizeof(cc_identity)])
    finally:
        os.close(fd)
    return 0


def init(
    data_dir, key_file, *, bint test=False, segment_bytes=SEGMENT_BYTES_DEFAULT,
    bytes rules=b"", bytes meals=b"",
):
    """Make a data directory and a key file (mode 0600, outside it).

    The journal is empty; the first opening writes its first block, with `rules` (a packed
    cc_rules_body) and `meals` (cc_meals_body) or the defaults. Interrupted at any point it can be
    repeated: without an identity there is no directory.

    Raises EngineError when the directory holds something, KeyMismatch when the key file is inside
    the directory or exists and is no key file.
    """
    cdef cc_identity identity
    cdef cc_key_file key
    data_dir = os.path.abspath(os.fsdecode(data_dir))
    key_file = os.path.abspath(os.fsdecode(key_file))
    if not SEGMENT_BYTES_MIN <= segment_bytes < 2**40:
        raise ValueError(f"a segment has at least {SEGMENT_BYTES_MIN} bytes")
    if not {len(rules), len(meals)} <= {0, sizeof(cc_rules_body)}:
        raise ValueError("rules and meals are packed structs of 56 bytes")
    _outside(key_file, data_dir)
    memset(&identity, 0, sizeof(identity))
    identity.magic = CC_IDENTITY_MAGIC
    identity.format = CC_FORMAT
    identity.min_reader = CC_MIN_READER
    identity.flags = CC_I_TEST if test else 0
    identity.created_us = time.time_ns() // 1000
    identity.segment_bytes = segment_bytes
    cdef bytes uuid = secrets.token_bytes(16)
    memcpy(identity.uuid, <const char*>uuid, 16)
    memcpy(&identity.rules, <const char*>rules, len(rules))
    memcpy(&identity.meals, <const char*>meals, len(meals))
    if os.path.exists(os.path.join(data_dir, IDENTITY)):
        raise EngineError(f"{data_dir} is a data directory already")
    try:
        _key_make(key_file, &key)
        memcpy(identity.key_check, key.check, 16)
        identity.key_id = key.key_id
    finally:
        wipe(&key, sizeof(key))
    identity.crc32c = crc32c(0, &identity, sizeof(identity) - 4)
    _make(data_dir, &identity)


def init_copy(data_dir, bytes identity not None):
    """Make a data directory with the identity of another one, for its blocks to be copied into."""
    cdef cc_identity read
    data_dir = os.path.abspath(os.fsdecode(data_dir))
    if len(identity) != sizeof(cc_identity):
        raise EngineError("not an identity")
    memcpy(&read, <const char*>identity, sizeof(cc_identity))
    _identity_check(&read, "the identity given")
    _make(data_dir, &read)


def read_identity(data_dir):
    """Return the identity as a dictionary, with its bytes under "raw"."""
    cdef cc_identity identity
    _identity_read(os.path.abspath(os.fsdecode(data_dir)), &identity)
    return {
        "uuid": (<char*>identity.uuid)[:16],
        "format": identity.format,
        "test": bool(identity.flags & CC_I_TEST),
        "created_us": identity.created_us,
        "segment_bytes": identity.segment_bytes,
        "key_check": (<char*>identity.key_check)[:16],
        "key_id": identity.key_id,
        "raw": (<char*>&identity)[:sizeof(cc_identity)],
    }


def check_key(data_dir, key_file):
    """Raise KeyMismatch unless the key file is there, well kept and the directory's."""
    cdef cc_identity identity
    cdef uint8_t key[32]
    cdef uint8_t key_id
    _identity_read(os.path.abspath(os.fsdecode(data_dir)), &identity)
    try:
        store_key(key_file, data_dir, &identity, key, &key_id)
    finally:
        wipe(key, 32)
