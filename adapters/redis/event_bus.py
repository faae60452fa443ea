"""Redis event bus: each event goes to a pub/sub channel and to a stream, because pub/sub keeps no history."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import redis

from adapters.clock import now_ms as wall_ms
from adapters.redis import keys
from adapters.redis.client import connect, talking_to_redis
from configs.redis_url import parse_redis_url
from configs.settings import load_settings, resolve_redis_url
from trading.events.event import Event

READ_AT_ONCE = 500
"""Events in one answer of Redis to a follower, who may be far behind."""

_Entry = tuple[bytes, dict[bytes, bytes]]
"""Id and fields of a stream entry, as bytes."""


class RedisEventBus:
    """Publishes events to all subscribers and reads published events."""

    def __init__(
        self, client: redis.Redis, namespace: str, *, events_limit: int, now_ms: Callable[[], int] = wall_ms
    ) -> None:
        self._client = client
        self._key = keys.events(namespace)
        self._events_limit = events_limit
        self._now_ms = now_ms

    def is_connected(self) -> bool:
        """Return whether Redis answers now."""
        try:
            return bool(self._client.ping())
        except redis.RedisError:
            return False

    def publish(self, events: Sequence[Event]) -> None:
        """Append the events to the stream and send them to the channel, all of them in one transaction.

        Raises:
            Transient: Redis did not answer.
        """
        if not events:
            return
        with talking_to_redis(), self._client.pipeline(transaction=True) as pipe:
            for event in events:
                text = event.model_dump_json()
                pipe.xadd(self._key, {"event": text, "at_ms": self._now_ms()}, maxlen=self._events_limit)
                pipe.publish(self._key, text)
            pipe.execute()

    def recent(self, count: int) -> list[tuple[str, int, Event]]:
        """Return the newest `count` events as (stream id, wall time in ms, event), oldest first."""
        with talking_to_redis():
            entries = cast("list[_Entry]", self._client.xrevrange(self._key, count=count))
        return [_read(entry) for entry in reversed(entries)]

    def follow(self, after: str = "$", *, block_s: float = 1.0) -> Iterator[tuple[str, int, Event] | None]:
        """Yield events without end; None after each `block_s` seconds without one, so that a reader can stop."""
        block_ms = int(block_s * 1000)
        if after == "$":  # resolved once: repeated at each turn, it would skip events between two turns
            after = next((identity for identity, _, _ in self.recent(1)), "0-0")
        while True:
            with talking_to_redis():
                answer = cast(
                    "list[tuple[bytes, list[_Entry]]]",
                    self._client.xread({self._key: after}, count=READ_AT_ONCE, block=block_ms),
                )
            if not answer:
                yield None
                continue
            for entry in answer[0][1]:
                after = entry[0].decode()
                yield _read(entry)


class EventBusFactory:
    """Makes the Redis event bus."""

    @staticmethod
    def create_from_env(
        env_config: Mapping[str, str] | None = None, logger: logging.Logger | None = None
    ) -> RedisEventBus:
        """Connect the bus that the environment configures.

        Args:
            env_config: Names and values that override the process environment, such as `TRADING__REDIS_URL`.
            logger: Logs the address of the bus, without the password.
        """
        settings = load_settings(env_config)
        url = resolve_redis_url(settings)
        client = connect(url)
        (logger or logging.getLogger(__name__)).info(
            "event bus on %s, channel %s", parse_redis_url(url).place, keys.events(settings.namespace)
        )
        return RedisEventBus(client, settings.namespace, events_limit=settings.events_max_len)


def _read(entry: _Entry) -> tuple[str, int, Event]:
    identity, fields = entry
    return identity.decode(), int(fields[b"at_ms"]), Event.model_validate_json(fields[b"event"])
