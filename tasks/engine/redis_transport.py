"""Kombu's Redis transport, with one client for each channel where kombu makes one for each operation.

A `redis.Redis` is a connection pool and a table of some hundred callbacks; building the table took 0.3 ms here with
redis-py 8.1, and the four steps of a chain do it some eighteen times. It is safe to keep: it holds no connection of its
own and is made for many threads. What a channel sends, and when, stays as kombu has it.
"""

import redis
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis


class Channel(kombu_redis.Channel):
    """A channel that keeps its client as long as it keeps its pool, which a fork and a lost connection end."""

    _kept: redis.Redis | None = None

    def _create_client(self, asynchronous: bool = False) -> redis.Redis:
        kept = self._kept
        if asynchronous:  # kombu makes it once itself: it comes to own a connection
            return self._new_client(asynchronous=True)
        if kept is None or kept.connection_pool is not self.pool:
            kept = self._kept = self._new_client(asynchronous=False)
        return kept

    def _new_client(self, *, asynchronous: bool) -> redis.Redis:
        client: redis.Redis = super()._create_client(asynchronous)  # type: ignore[no-untyped-call]
        return client


class Transport(kombu_redis.Transport):
    """What `redis://` and `rediss://` mean to Celery once `register` was called."""

    Channel = Channel


def register() -> None:
    """Have broker addresses of Redis open this transport in this process."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:{Transport.__qualname__}"))
