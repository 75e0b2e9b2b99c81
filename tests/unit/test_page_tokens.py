import base64

import pytest

from core.refusals import Refusal
from server.page_tokens import PageTokens

TOKENS = PageTokens(bytes(32))


def test_a_token_opens_for_its_query_only():
    token = TOKENS.make(b"list|class=1", "200571020316")
    assert TOKENS.open(b"list|class=1", token) == "200571020316"
    for query in (b"list|class=2", b"", b"list|class=1 "):
        with pytest.raises(Refusal) as caught:
            TOKENS.open(query, token)
        assert caught.value.reason.name == "PAGE_TOKEN_INVALID"


def test_no_token_is_the_beginning():
    assert TOKENS.open(b"q", "") == ""


def test_every_changed_byte_is_noticed():
    raw = base64.urlsafe_b64decode(TOKENS.make(b"q", "x"))
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(Refusal):
            TOKENS.open(b"q", base64.urlsafe_b64encode(changed).decode())


@pytest.mark.parametrize("token", ["x", "====", "§", "a" * 4000, "AAAA", "!!!!"])
def test_garbage_is_refused(token):
    with pytest.raises(Refusal):
        TOKENS.open(b"q", token)


def test_another_server_makes_other_tokens():
    with pytest.raises(Refusal):
        PageTokens(b"\x01" * 32).open(b"q", TOKENS.make(b"q", "x"))
