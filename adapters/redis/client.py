"""Redis clients with time limits, whose errors are classified by the reaction they need."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from configs.redis_url import parse_redis_url
from trading.errors import Transient

SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 3.0
BRIEF_TIMEOUT_S = 1.0


def connect(url: str, *, is_single: bool = False) -> redis.Redis:
    """Return a client that returns bytes; it connects at the first command, or at once with one connection.

    A hung server costs at most `SOCKET_TIMEOUT_S`; three retries within half a second bridge a restart.

    Args:
        is_single: Use one connection, which is a fifth faster and allows only one thread.

    Raises:
        Transient: `is_single`, and Redis does not answer.
    """
    with talking_to_redis():
        return redis.Redis.from_url(
            parse_redis_url(url).client_url,
            single_connection_client=is_single,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), retries=3),
        )


def connect_briefly(url: str, *, timeout_s: float = BRIEF_TIMEOUT_S) -> redis.Redis:
    """Return a client without retries, with `timeout_s` to connect and the same for each response."""
    return redis.Redis.from_url(
        parse_redis_url(url).client_url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), retries=0),
    )


@contextmanager
def talking_to_redis() -> Iterator[None]:
    """Raise the errors of Redis and its connection as `Transient`."""
    try:
        yield
    except redis.RedisError as error:
        raise Transient("redis", f"{type(error).__name__}: {error}") from error
