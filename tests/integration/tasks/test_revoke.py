"""The waiting messages of a symbol's queue, counted and dropped: real messages, as beat and the steps send them."""

from collections.abc import Iterator

import pytest
import redis
from celery import Celery

from adapters.redis.client import connect_briefly
from tasks.engine.revoke import count_queued, drop_queued
from tasks.engine.routing import PRIORITY_STEPS, route
from tasks.engine.send_tick import send_tick
from tasks.engine.stages import RECONCILE, STAGES
from tests.fixtures.servers.redis_server import WAIT_S


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("steps-test", broker=redis_url, set_as_current=False)
    app.conf.task_routes = (route,)
    app.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS)}
    app.conf.result_backend = None
    yield app
    app.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    client = connect_briefly(redis_url, timeout_s=WAIT_S)
    yield client
    client.close()


def test_queue_of_a_symbol_is_dropped_whatever_the_priority_and_no_other(app: Celery, client: redis.Redis) -> None:
    for slot in range(3):
        send_tick(app, "XAUUSD", tick_id=f"tick:XAUUSD:{slot}", life_s=60)
    app.send_task(RECONCILE, args=["XAUUSD"])
    app.send_task(STAGES[-1], kwargs={"message": "{}", "symbol": "XAUUSD", "deadline_ms": 1})
    send_tick(app, "XAUUSD2", tick_id="tick:XAUUSD2:1", life_s=60)
    client.hset("unacked", "tag", "a message that a worker has")

    assert count_queued(client, "XAUUSD") == 5
    assert drop_queued(client, "XAUUSD") == 5

    assert drop_queued(client, "XAUUSD") == 0
    assert [count_queued(client, symbol) for symbol in ("XAUUSD", "XAUUSD2")] == [0, 1]
    assert client.hlen("unacked") == 1
