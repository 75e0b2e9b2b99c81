"""The command queue: bounded, all or nothing, in order, from any number of threads."""

import threading

import pytest

from ext.ring import Ring

PRODUCERS = 4
EACH = 20_000


def test_size_is_a_power_of_two_and_at_least_what_was_asked():
    assert Ring(100).size == 128
    assert Ring(128).size == 128
    assert Ring(1).size == 16


def test_takes_in_the_order_of_putting():
    ring = Ring(16)
    assert ring.take() is None
    assert all(ring.put(token) for token in range(10))
    assert ring.depth() == 10
    assert [ring.take() for _ in range(11)] == [*range(10), None]
    assert ring.depth() == 0


def test_full_refuses_and_takes_again_after_one_was_taken():
    ring = Ring(16)
    assert all(ring.put(token) for token in range(16))
    assert not ring.put(16)
    assert ring.take() == 0
    assert ring.put(16)
    assert [ring.take() for _ in range(16)] == list(range(1, 17))


def test_a_batch_is_queued_whole_or_not_at_all():
    ring = Ring(16)
    assert ring.put(*range(10))
    assert not ring.put(*range(10, 17))
    assert ring.depth() == 10
    assert ring.put(*range(10, 16))
    assert [ring.take() for _ in range(16)] == list(range(16))


def test_an_unpublished_place_holds_back_what_came_after_it():
    ring = Ring(16)
    place = ring.reserve()
    assert ring.put(2)
    assert ring.take() is None
    ring.publish(place, 1)
    assert ring.take() == 1
    assert ring.take() == 2


def test_wraps_around_many_times():
    ring = Ring(16)
    for token in range(1000):
        assert ring.put(token)
        assert ring.take() == token


@pytest.mark.parametrize("together", [1, 7])
def test_threads_lose_nothing_and_each_keeps_its_order(together):
    ring = Ring(64)
    producers = [
        threading.Thread(target=ring.put_many, args=(number * EACH, EACH, together))
        for number in range(PRODUCERS)
    ]
    for thread in producers:
        thread.start()
    taken = ring.take_many(PRODUCERS * EACH)
    for thread in producers:
        thread.join()
    for number in range(PRODUCERS):
        own = [token for token in taken if token // EACH == number]
        assert own == list(range(number * EACH, (number + 1) * EACH))
    assert ring.take() is None


def test_a_sleeping_consumer_is_woken():
    ring = Ring(16)
    taken = []
    consumer = threading.Thread(target=lambda: taken.extend(ring.take_many(3)))
    consumer.start()
    for token in range(3):
        consumer.join(0.02)  # let it fall asleep
        assert ring.put(token)
    consumer.join(10)
    assert taken == [0, 1, 2]
