"""Sessions: tokens, times, and what ends them."""

import pytest

from core.permissions import Role
from server import sessions as module
from server.identity import Principal
from server.sessions import Sessions

HOUR = 3_600


class Clock:
    def __init__(self):
        self.seconds = 1_000_000

    def now_us(self):
        return self.seconds * 1_000_000


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    return Sessions(clock)


def member(number=1):
    return Principal(actor=f"staff:{number}", number=number, roles=frozenset({Role.AUDITOR}))


def test_a_token_finds_who_it_was_made_for_and_nobody_else(sessions):
    first, second = sessions.open(member(1), HOUR), sessions.open(member(2), HOUR)
    assert sessions.find(first) == member(1)
    assert sessions.find(second) == member(2)
    for text in ("", first[:-1], first + "A", "x" * 10_000, "\ud800"):
        assert sessions.find(text) is None


def test_a_session_ends_at_its_time_however_much_it_is_used(sessions, clock):
    token = sessions.open(member(), 8 * HOUR, idle_seconds=HOUR)
    for _ in range(15):
        clock.seconds += HOUR // 2
        assert sessions.find(token)
    clock.seconds += HOUR // 2 - 1
    assert sessions.find(token)
    clock.seconds += 1
    assert sessions.find(token) is None
    assert len(sessions) == 0


def test_an_unused_session_ends_and_use_puts_it_off(sessions, clock):
    token = sessions.open(member(), 8 * HOUR, idle_seconds=1_800)
    clock.seconds += 1_799
    assert sessions.find(token)
    clock.seconds += 1_799
    assert sessions.find(token)
    clock.seconds += 1_800
    assert sessions.find(token) is None


def test_closing_one_leaves_the_others(sessions):
    first, second = sessions.open(member(), HOUR), sessions.open(member(), HOUR)
    held = sessions.session(first)
    assert sessions.close(first)
    assert held.closed
    assert not sessions.close(first)
    assert sessions.find(first) is None
    assert sessions.find(second)


def test_closing_all_of_an_actor_leaves_other_actors(sessions, clock):
    mine = [sessions.open(member(1), HOUR) for _ in range(3)]
    other = sessions.open(member(2), HOUR)
    assert sessions.close_all("staff:1", keep=mine[1]) == 2
    assert [sessions.find(token) is not None for token in mine] == [False, True, False]
    assert sessions.close_all("staff:1") == 1
    assert sessions.close_all("staff:1") == 0
    assert sessions.find(other)
    clock.seconds += HOUR
    assert sessions.close_all("staff:2") == 0, "it had run out already"


def test_sessions_are_listed_and_ended_by_name(sessions, clock):
    tokens = [sessions.open(member(), HOUR) for _ in range(2)]
    names = [session.name for session in sessions.of("staff:1")]
    assert len(set(names)) == 2
    assert not any(name in token for name in names for token in tokens)
    assert sessions.close_named("staff:2", names[0]) == 0
    assert sessions.close_named("staff:1", names[0]) == 1
    assert sessions.find(tokens[0]) is None
    assert [session.name for session in sessions.of("staff:1")] == names[1:]
    clock.seconds += HOUR
    assert sessions.of("staff:1") == []


def test_one_actor_has_a_few_sessions_and_the_oldest_makes_room(sessions):
    tokens = [sessions.open(member(), HOUR) for _ in range(module.PER_ACTOR_MAX + 1)]
    assert sessions.find(tokens[0]) is None
    assert all(sessions.find(token) for token in tokens[1:])


def test_all_together_are_bounded_and_the_least_used_makes_room(sessions, monkeypatch):
    monkeypatch.setattr(module, "SESSIONS_MAX", 3)
    tokens = [sessions.open(member(number), HOUR) for number in range(3)]
    assert sessions.find(tokens[0])
    tokens.append(sessions.open(member(3), HOUR))
    assert len(sessions) == 3
    assert [sessions.find(token) is not None for token in tokens] == [True, False, True, True]


def test_no_token_is_kept(sessions):
    token = sessions.open(member(), HOUR)
    assert token not in repr(vars(sessions))
    assert token.encode() not in repr(vars(sessions)).encode()
