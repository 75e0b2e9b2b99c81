"""What the server keeps of holders' passwords, sealed under each holder's key.

A sealed text is ``campuscard/password/1/KIND/``, 16 random bytes, the keyed hash of 8 bytes that no
later password may have, then what the password is checked by: of a query password its argon2id
hash, or the 16 bytes of ``core.passwords.query_tag`` while it is an initial one; of a transaction
password nothing, the engine keeps it.

**Source:** regulation 四.3a, 七.2: a stolen journal gives no password.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

from core.password_changes import KnownPasswords, PasswordKind
from core.passwords import HASH_BYTES, KnownNumbers, query_tag
from server.registers import holders, passwords

if TYPE_CHECKING:
    from core.facts import AccountFacts
    from core.password_changes import QueryState
    from core.ports import HolderKeys
    from server.argon import Argon
    from server.registry import Registry

_SALT_BYTES: Final = 16


class HolderPasswords:
    """Seals, reads and checks what is kept.

    Args:
        keys: of the holders.
        argon: hashes query passwords.
    """

    def __init__(self, keys: HolderKeys, argon: Argon) -> None:
        self._keys = keys
        self._key = keys.derive("passwords")
        self._argon = argon

    async def hash(self, password: str) -> bytes:
        """Return the slow hash of a new query password."""
        return (await self._argon.hash(password)).encode("ascii")

    def tag(self, account_no: str, initial: str) -> bytes:
        """Return what an initial query password is checked by."""
        return query_tag(self._key, account_no, initial)

    def seal(
        self, number: int, kind: PasswordKind, keyed: bytes, *, checked_by: bytes = b""
    ) -> bytes:
        """Seal what is kept of a password.

        Args:
            number: of the account.
            kind: of the password.
            keyed: its keyed hash, 8 bytes.
            checked_by: of a query password: hash or tag.

        Raises:
            ValueError: the holder was erased.
        """
        salt = secrets.token_bytes(_SALT_BYTES)
        return self._keys.seal_file(number, _head(kind) + salt + keyed + checked_by)

    def unseal(self, number: int, kind: PasswordKind, sealed: bytes) -> tuple[bytes, bytes]:
        """Return keyed hash and what it is checked by; two empty ones: it cannot be read."""
        head = _head(kind)
        plain = self._keys.unseal_file(number, sealed) or b""
        if not plain.startswith(head):
            return b"", b""
        body = plain[len(head) + _SALT_BYTES :]
        return body[:HASH_BYTES], body[HASH_BYTES:]

    async def is_query_password(
        self, state: QueryState | None, account_no: str, password: str
    ) -> bool:
        """Check a query password: one argon2id and one MAC, whoever asks about whomever.

        Args:
            state: of the account; None: there is none.
            account_no: as asked for.
            password: as typed.
        """
        hashed, tag = "", b""
        if state is not None:
            kept = self.unseal(state.number, PasswordKind.QUERY, state.sealed)[1]
            if not state.initial:
                hashed = kept.decode("ascii")
            else:
                tag = kept if state.sealed else state.tag
        right = await self._argon.verify(hashed, password)
        same = hmac.compare_digest(query_tag(self._key, account_no, password), tag)
        return same if tag else right

    def known(self, registry: Registry, account: AccountFacts) -> KnownPasswords:
        """Return what a new password of a holder is judged by."""
        sql = registry.connection
        kept = holders.secrets(sql, account.number)
        holder = holders.holder_by_number(sql, account.number)
        return KnownPasswords(
            key=self._key,
            numbers=KnownNumbers(
                account_no=account.account_no, phone=holder.phone if holder else ""
            ),
            personal=frozenset(kept.weak_hashes if kept else ()),
            initial_tag=kept.query_tag if kept else b"",
            id_hash=kept.id_hash if kept else b"",
            used={
                kind: tuple(
                    self.unseal(account.number, kind, sealed)[0]
                    for sealed in passwords.used(sql, account.number, kind)
                )
                for kind in PasswordKind
            },
        )


def _head(kind: PasswordKind) -> bytes:
    return f"campuscard/password/1/{kind.name}/".encode("ascii")
