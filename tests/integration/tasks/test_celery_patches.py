"""The Redis transport that keeps its clients: what it keeps, for how long, and that messages go through it."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.transport import redis as kombu_redis

from tasks import app
from tasks.engine import celery_patches
from tests.fixtures.servers.redis_server import RedisServer

LIMIT_S = 60


@pytest.fixture
def connection(own_redis: RedisServer) -> Iterator[Connection]:
    celery_patches.register_transport()
    with Connection(own_redis.url, transport_options={"socket_timeout": LIMIT_S}) as connection:
        yield connection


@pytest.fixture
def channel(connection: Connection) -> Any:
    return connection.default_channel


def clients_made(monkeypatch: pytest.MonkeyPatch, channel: Any) -> list[redis.Redis]:
    """Return a list that grows with each client that the channel makes."""
    made: list[redis.Redis] = []
    make = channel.Client

    def counted(**options: Any) -> redis.Redis:
        made.append(make(**options))
        return made[-1]

    monkeypatch.setattr(channel, "Client", counted)
    return made


def send_and_receive(connection: Connection, text: str) -> None:
    with connection.SimpleQueue(Queue("TESTED", routing_key="TESTED")) as queue:
        queue.put(text)
        message = queue.get(timeout=LIMIT_S)
        message.ack()
        assert message.payload == text


def test_broker_address_of_the_app_opens_our_transport() -> None:
    for scheme in ("redis", "rediss"):
        with Connection(f"{scheme}://nowhere.invalid") as connection:
            assert type(connection.transport) is celery_patches.Transport
    with app.connection_for_write() as connection:
        assert type(connection.transport) is celery_patches.Transport


def test_channel_makes_one_client_where_kombu_makes_one_for_each_operation(
    connection: Connection, channel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clients_made(monkeypatch, channel)
    for number in range(3):
        send_and_receive(connection, f"message {number}")
    with_ours = len(made)

    monkeypatch.setattr(celery_patches.Channel, "_create_client", kombu_redis.Channel._create_client)
    send_and_receive(connection, "one more")

    assert with_ours <= 2, "one for commands, one that waits"
    assert len(made) - with_ours > 2, "this test no longer tells the two apart: does kombu keep its clients now?"


def test_channel_whose_pool_is_gone_gets_another_client(channel: Any) -> None:
    first = channel._create_client()
    assert channel._create_client() is first

    channel._disconnect_pools()

    second = channel._create_client()
    assert second is not first
    assert second.connection_pool is channel.pool
    assert second.ping()


def test_client_that_waits_for_messages_is_never_the_one_that_sends(channel: Any) -> None:
    assert channel._create_client(asynchronous=True) is not channel._create_client(asynchronous=True)
    assert channel.client is not channel._create_client()
    assert channel.client.connection_pool is not channel._create_client().connection_pool


def test_messages_go_through_after_redis_was_killed_and_came_back(
    connection: Connection, channel: Any, own_redis: RedisServer
) -> None:
    kept = channel._create_client()
    assert kept.ping()
    own_redis.kill()
    with pytest.raises(connection.connection_errors):
        channel._size("TESTED")

    own_redis.start()

    assert channel._create_client() is kept
    assert channel._size("TESTED") == 0
    send_and_receive(connection, "after")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # billiard forks like this too
def test_process_that_was_forked_has_connections_of_its_own(channel: Any) -> None:
    ours = channel._create_client().client_id()
    reading_end, writing_end = os.pipe()
    child = os.fork()
    if not child:  # says which connection it talks on, and ends without what pytest does at an end
        signal.alarm(LIMIT_S)
        try:
            os.write(writing_end, b"%d" % channel._create_client().client_id())
        finally:
            os._exit(0)
    os.close(writing_end)

    theirs = os.read(reading_end, 100)
    os.close(reading_end)
    assert os.waitpid(child, 0)[1] == 0
    assert int(theirs) != ours
    assert channel._create_client().client_id() == ours
