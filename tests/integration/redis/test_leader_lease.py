"""The lease of the leading beat: one leads, another takes over, and the epoch tells them apart."""

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from adapters.redis import keys
from adapters.redis.client import connect
from adapters.redis.leader_lease import Leadership
from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import Transient

NAMESPACE = "lease"
LONG_S = 600.0
SHORT_S = 0.15


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    client = connect(redis_url)
    yield client
    client.close()


def until(acquire: Callable[[], int], *, limit_s: float = 60.0) -> int:
    """Ask until the answer is not 0, and return it."""
    deadline = time.monotonic() + limit_s
    while not (answer := acquire()):
        assert time.monotonic() < deadline, "nobody took over"
    return answer


def test_leader_first_to_acquire_leads_and_the_others_wait(client: redis.Redis) -> None:
    first, second, third = (Leadership(client, NAMESPACE, lease_s=LONG_S) for _ in range(3))

    assert [one.epoch() for one in (first, second, third, first, second)] == [1, 0, 0, 1, 0]


def test_leader_that_renews_keeps_the_lease_and_its_epoch(client: redis.Redis) -> None:
    first, second = (Leadership(client, NAMESPACE, lease_s=LONG_S) for _ in range(2))
    first.epoch()
    client.pexpire(keys.beat_leader(NAMESPACE), 60_000)

    assert first.epoch() == 1
    remaining_ms = client.pttl(keys.beat_leader(NAMESPACE))
    assert isinstance(remaining_ms, int)
    assert remaining_ms > LONG_S * 900
    assert second.epoch() == 0


def test_leader_that_is_silent_loses_the_lease_and_the_epoch_grows(client: redis.Redis) -> None:
    first, second = (Leadership(client, NAMESPACE, lease_s=SHORT_S) for _ in range(2))
    assert first.epoch() == 1

    assert until(second.epoch) == 2
    assert until(first.epoch) == 3


def test_leader_that_comes_back_late_does_not_lead(client: redis.Redis) -> None:
    first = Leadership(client, NAMESPACE, lease_s=SHORT_S)
    second = Leadership(client, NAMESPACE, lease_s=LONG_S)
    first.epoch()
    assert until(second.epoch) == 2

    assert first.epoch() == 0
    assert second.epoch() == 2


def test_leader_whose_lease_was_lost_with_redis_leads_under_a_new_epoch(client: redis.Redis) -> None:
    first = Leadership(client, NAMESPACE, lease_s=LONG_S)
    first.epoch()
    client.delete(keys.beat_leader(NAMESPACE))

    assert first.epoch() == 2


def test_leader_of_another_namespace_is_another(client: redis.Redis) -> None:
    assert [Leadership(client, name, lease_s=LONG_S).epoch() for name in ("one", "two")] == [1, 1]


def test_leader_without_redis_is_transient(own_redis: RedisServer) -> None:
    client = connect(own_redis.url)
    leadership = Leadership(client, NAMESPACE)
    own_redis.kill()

    with pytest.raises(Transient):
        leadership.epoch()
    client.close()
