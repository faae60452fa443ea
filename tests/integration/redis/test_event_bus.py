"""The Redis event bus: a channel for those who listen now, a stream for those who come later."""

import logging
import os
from collections.abc import Iterator

import pytest
import redis

from adapters.redis import keys
from adapters.redis.client import connect
from adapters.redis.event_bus import READ_AT_ONCE, EventBusFactory, RedisEventBus
from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import Transient
from trading.events.event import Event, EventType

NAMESPACE = "bus"
NOW_MS = 1_800_000_000_000


def event(number: int) -> Event:
    return Event(type=EventType.ORDER_FILLED, symbol="XAUUSD", market_ms=number, details={"price": number / 3})


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    client = connect(redis_url)
    yield client
    client.close()


@pytest.fixture
def bus(client: redis.Redis) -> RedisEventBus:
    return RedisEventBus(client, NAMESPACE, events_limit=1_000, now_ms=lambda: NOW_MS)


def test_bus_published_events_are_read_back_in_order_with_their_wall_time(bus: RedisEventBus) -> None:
    bus.publish([event(1), event(2)])
    bus.publish([event(3)])

    assert [(at_ms, found) for _, at_ms, found in bus.recent(10)] == [(NOW_MS, event(number)) for number in (1, 2, 3)]
    assert [found for _, _, found in bus.recent(2)] == [event(2), event(3)]


def test_bus_recent_of_a_bus_without_events_is_empty(bus: RedisEventBus) -> None:
    bus.publish([])

    assert bus.recent(10) == []


def test_bus_sends_each_event_to_the_channel(bus: RedisEventBus, client: redis.Redis) -> None:
    channel = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    channel.subscribe(keys.events(NAMESPACE))
    channel.get_message(timeout=60)
    bus.publish([event(1), event(2)])

    received = [channel.get_message(timeout=60) for _ in range(2)]

    channel.close()
    assert [Event.model_validate_json(one["data"]) for one in received if one] == [event(1), event(2)]


def test_bus_keeps_no_more_events_than_it_may(client: redis.Redis) -> None:
    small = RedisEventBus(client, NAMESPACE, events_limit=100)
    for number in range(10):
        small.publish([event(100 * number + part) for part in range(100)])

    kept = small.recent(2_000)

    assert 100 <= len(kept) < 400  # Redis cuts whole nodes of a stream
    assert kept[-1][2] == event(999)


def test_bus_followed_from_now_misses_nothing_that_comes_between_two_turns(bus: RedisEventBus) -> None:
    bus.publish([event(1)])
    following = bus.follow(block_s=0.02)
    assert next(following) is None

    bus.publish([event(2)])
    bus.publish([event(3)])

    found = [next(following) for _ in range(2)]
    assert [one[2] for one in found if one] == [event(2), event(3)]
    assert next(following) is None


def test_bus_followed_from_now_while_it_is_empty_sees_the_first_event(bus: RedisEventBus) -> None:
    following = bus.follow(block_s=0.02)
    assert next(following) is None
    bus.publish([event(1)])

    first = next(following)

    assert first is not None
    assert first[2] == event(1)


def test_bus_followed_after_an_event_sees_what_came_later(bus: RedisEventBus) -> None:
    bus.publish([event(number) for number in range(4)])
    identity = bus.recent(4)[1][0]
    following = bus.follow(identity, block_s=0.02)

    found = [next(following) for _ in range(2)]
    assert [one[2] for one in found if one] == [event(2), event(3)]


def test_bus_followed_from_far_behind_reads_a_bounded_number_at_once_and_every_event_in_order(
    bus: RedisEventBus, client: redis.Redis
) -> None:
    count = READ_AT_ONCE + 10
    bus.publish([event(number) for number in range(count)])
    before = client.info("stats")["total_net_output_bytes"]
    following = bus.follow("0-0", block_s=0.02)

    first = next(following)
    half = client.info("stats")["total_net_output_bytes"] - before
    found = [first, *(next(following) for _ in range(count - 1))]
    whole = client.info("stats")["total_net_output_bytes"] - before

    assert [one[2] for one in found if one] == [event(number) for number in range(count)]
    assert half < whole - len(event(count - 1).model_dump_json()) * 10


def test_bus_without_its_server_is_transient(own_redis: RedisServer) -> None:
    client = connect(own_redis.url)
    bus = RedisEventBus(client, NAMESPACE, events_limit=100)
    own_redis.kill()

    for method_call in (lambda: bus.publish([event(1)]), lambda: bus.recent(1), lambda: next(bus.follow(block_s=0.02))):
        with pytest.raises(Transient):
            method_call()
    client.close()


def test_factory_connects_the_bus_that_the_environment_names_and_reports_no_password(
    redis_server: RedisServer, redis_url: str, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {"TRADING__REDIS_URL": redis_url, "TRADING__NAMESPACE": "made"}
    before = dict(os.environ)
    logger = logging.getLogger("factory-test")
    with caplog.at_level(logging.INFO, logger.name):
        made = EventBusFactory.create_from_env(environment, logger)
    made.publish([event(7)])

    password = client.connection_pool.connection_kwargs.get("password")
    assert client.xlen(keys.events("made")) == 1
    assert dict(os.environ) == before
    assert password
    assert str(redis_server.port) in caplog.text
    assert password not in caplog.text
