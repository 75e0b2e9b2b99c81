"""A key per holder: what identifies a person is readable only as long as its key exists.

``keys/NNNNNN.keys`` holds the AES-256 keys of 4,096 holders, 32 bytes each, made at random and
synced before the first of them is used, so that sealing writes nothing. A slot of zeros is a
destroyed key: its holder is erased from the journal, its copies and its backups at once. The
directory is primary data; back it up apart from the journal, and apply erasures to that backup.

``keys/server.key`` holds 32 random bytes for page tokens and fingerprints of requests.

**Source:** regulation 七.2; PIPL art. 47 (erasure), 51 (encryption).
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import threading
from hashlib import blake2b
from hmac import digest as hmac_digest
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.passwords import HASH_BYTES
from core.ports import Person

KEY_BYTES: Final = 32
KEYS_PER_FILE: Final = 4_096
NONCE_BYTES: Final = 12
PADDING: Final = 64
"""Sealed texts are padded to multiples of this many bytes, so that lengths say little."""

_DESTROYED: Final = bytes(KEY_BYTES)


class Keyring:
    """The holders' keys of one data directory. Safe to use from several threads.

    Args:
        directory: made when it is missing, mode 0700.

    Attributes:
        fresh: there were no keys before. On a directory with accounts their names cannot be read:
            either the keys were not brought along, or they were given up.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._files: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self.fresh = not (directory / "server.key").exists()
        self._server_key = self._load_server_key()

    def seal(self, number: int, person: Person) -> bytes:
        """Seal a person under the key of holder ``number``.

        Returns:
            Nonce, ciphertext and tag.

        Raises:
            ValueError: the key was destroyed.
        """
        key = self._key(number, make=True)
        if key is None:
            raise ValueError(f"the key of holder {number} was destroyed")
        plain = _written(person)
        plain += b" " * (-len(plain) % PADDING)
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(key).encrypt(nonce, plain, _bound_to(number))

    def unseal(self, number: int, sealed: bytes) -> Person | None:
        """Return the person, or None when the key is destroyed, missing or another one."""
        key = self._key(number, make=False)
        if key is None or len(sealed) <= NONCE_BYTES:
            return None
        nonce, cipher = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            plain = AESGCM(key).decrypt(nonce, cipher, _bound_to(number))
        except InvalidTag:
            return None
        return _read(plain)

    def seal_file(self, number: int, content: bytes) -> bytes:
        """Seal a file under the key of holder ``number``: the same content gives the same bytes.

        The nonce is a keyed hash of the content, so that nothing is ever sealed twice under one.

        Raises:
            ValueError: the key was destroyed.
        """
        key = self._key(number, make=True)
        if key is None:
            raise ValueError(f"the key of holder {number} was destroyed")
        own = _file_key(key)
        nonce = blake2b(content, key=own, digest_size=NONCE_BYTES, person=b"nonce").digest()
        return nonce + AESGCM(own).encrypt(nonce, content, _bound_to(number))

    def unseal_file(self, number: int, sealed: bytes) -> bytes | None:
        """Return a file's content, or None when the key is destroyed, or the bytes are damaged."""
        key = self._key(number, make=False)
        if key is None or len(sealed) <= NONCE_BYTES:
            return None
        nonce, cipher = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return AESGCM(_file_key(key)).decrypt(nonce, cipher, _bound_to(number))
        except InvalidTag:
            return None

    def destroy(self, number: int) -> None:
        """Overwrite a holder's key for ever; returns when that is synced."""
        file, slot = divmod(number, KEYS_PER_FILE)
        with self._lock:
            path = self._path(file)
            if not path.exists():
                return
            with path.open("r+b", buffering=0) as stream:
                stream.seek(slot * KEY_BYTES)
                stream.write(_DESTROYED)
                os.fsync(stream.fileno())
            self._files.pop(file, None)

    def has_key(self, number: int) -> bool:
        """Tell whether a holder's key exists and was not destroyed."""
        return self._key(number, make=False) is not None

    def derive(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for one purpose of the server itself."""
        return hmac_digest(self._server_key, purpose.encode("ascii"), "sha256")

    def _key(self, number: int, *, make: bool) -> bytes | None:
        file, slot = divmod(number, KEYS_PER_FILE)
        keys = self._files.get(file)
        if keys is None:
            with self._lock:
                keys = self._load(file, make=make)
        if keys is None:
            return None
        key = keys[slot * KEY_BYTES : (slot + 1) * KEY_BYTES]
        return None if key == _DESTROYED else key

    def _load(self, file: int, *, make: bool) -> bytes | None:
        path = self._path(file)
        if not path.exists():
            if not make:
                return None
            write_synced(path, secrets.token_bytes(KEYS_PER_FILE * KEY_BYTES))
        keys = path.read_bytes()
        if len(keys) != KEYS_PER_FILE * KEY_BYTES:
            raise ValueError(f"{path} has {len(keys)} bytes, not {KEYS_PER_FILE * KEY_BYTES}")
        self._files[file] = keys
        return keys

    def _load_server_key(self) -> bytes:
        path = self._directory / "server.key"
        if not path.exists():
            write_synced(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise ValueError(f"{path} has {len(key)} bytes, not {KEY_BYTES}")
        return key

    def _path(self, file: int) -> Path:
        return self._directory / f"{file:06d}.keys"


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file that is whole or absent after any crash, mode 0600."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    Path(temporary).rename(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _written(person: Person) -> bytes:
    """Write what is known of a person as JSON; what is empty takes no place."""
    values = {
        "class": person.class_name,
        "id": person.id_hash.hex(),
        "name": person.name,
        "phone": person.phone,
        "query": person.query_tag.hex(),
        "weak": b"".join(person.weak_hashes).hex(),
    }
    kept = {key: value for key, value in values.items() if value or key in {"class", "name"}}
    text = json.dumps(kept, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8")


def _read(plain: bytes) -> Person:
    values: dict[str, str] = json.loads(plain)
    weak = bytes.fromhex(values.get("weak", ""))
    return Person(
        name=values["name"],
        class_name=values["class"],
        phone=values.get("phone", ""),
        id_hash=bytes.fromhex(values.get("id", "")),
        weak_hashes=tuple(weak[i : i + HASH_BYTES] for i in range(0, len(weak), HASH_BYTES)),
        query_tag=bytes.fromhex(values.get("query", "")),
    )


def _file_key(key: bytes) -> bytes:
    """Return the key of a holder's files: another one, because nonces are made another way."""
    return blake2b(b"", key=key, digest_size=KEY_BYTES, person=b"files").digest()


def _bound_to(number: int) -> bytes:
    return f"campuscard/holder/1/{number}".encode("ascii")
