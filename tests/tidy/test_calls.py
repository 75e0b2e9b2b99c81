"""Calls that look right and are not, with what to call instead."""

import re

BANNED = {
    r"asyncio\.wait_for\(": "asyncio.timeout: in Python 3.11 wait_for loses a cancellation that "
    "comes with the result, and its task never ends",
}
PRODUCT = ("bench", "clients", "core", "ext", "server", "tools")


def test_nothing_banned_is_called(files, read):
    found = [
        f"{path}:{number} {instead}"
        for path in files
        if path.suffix == ".py" and path.parts[0] in PRODUCT
        for number, line in enumerate(read(path).splitlines(), start=1)
        for pattern, instead in BANNED.items()
        if re.search(pattern, line)
    ]
    assert not found
