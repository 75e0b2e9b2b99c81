"""Sealed secrets, keyed hashes, and argon2id in its pool."""

import asyncio

import pytest

from core.refusals import Refusal
from server.argon import WAITING_MAX, Argon
from server.keys import Keyring
from server.staff_secrets import StaffSecrets, new_one_time


@pytest.fixture
def secrets(tmp_path):
    return StaffSecrets(Keyring(tmp_path / "keys"))


def test_a_sealed_secret_opens_for_its_member_and_purpose_only(secrets, tmp_path):
    sealed = secrets.seal(7, "totp", b"0123456789")
    assert b"0123456789" not in sealed
    assert secrets.unseal(7, "totp", sealed) == b"0123456789"
    assert secrets.unseal(8, "totp", sealed) == b""
    assert secrets.unseal(7, "password", sealed) == b""
    assert StaffSecrets(Keyring(tmp_path / "other")).unseal(7, "totp", sealed) == b""
    assert secrets.unseal(7, "totp", sealed[:-1]) == b""
    assert secrets.unseal(7, "totp", b"") == b""
    assert secrets.seal(7, "totp", b"0123456789") != sealed


def test_one_time_secrets_are_read_as_people_type_them(secrets):
    text = new_one_time()
    mac = secrets.one_time_mac(text)
    assert len(text.replace("-", "")) == 24
    assert text != new_one_time()
    for typed in (text.lower(), text.replace("-", ""), text.replace("-", " "), f" {text} "):
        assert secrets.one_time_mac(typed) == mac
    assert secrets.one_time_mac(text[:-1]) != mac
    assert text.encode() not in mac


async def test_passwords_are_hashed_and_checked_off_the_loop():
    argon = Argon(memory_kib=8, passes=1)
    encoded = await argon.hash("battery staple")
    assert encoded.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await argon.hash("battery staple") != encoded
    assert await argon.verify(encoded, "battery staple")
    assert not await argon.verify(encoded, "battery staples")
    assert not await argon.verify("", "")
    assert not await argon.verify("nonsense", "x")
    argon.close()


async def test_the_loop_goes_on_while_a_password_is_hashed():
    argon = Argon(memory_kib=16_384, passes=4)
    encoded = await argon.hash("battery staple")
    for work in (argon.hash("x"), argon.verify(encoded, "x"), argon.verify("", "x")):
        working, turns = asyncio.create_task(work), 0
        while not working.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 10, "on the loop it would be two"
    argon.close()


async def test_the_queue_of_passwords_is_bounded():
    argon = Argon(memory_kib=1_024, passes=4)
    tries = [asyncio.create_task(argon.hash("x")) for _ in range(WAITING_MAX + 5)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    refused = [error for error in done if isinstance(error, Refusal)]
    assert len(refused) == 5
    assert {error.reason.name for error in refused} == {"QUEUE_FULL"}
    assert await argon.hash("x"), "there is room again"
    argon.close()
