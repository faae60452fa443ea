"""The last error of each symbol, in Redis: it stays visible after the symbol has recovered."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

import redis

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from trading.services.status import ErrorKind, LastError
from trading.structs import asdict


def record_error(client: redis.Redis, namespace: str, symbol: str, error: LastError, *, kept_s: int) -> None:
    """Record an error as the symbol's last one, for `kept_s` seconds; each error within that time adds to the count.

    `error.count` is ignored. Each symbol has one writer at a time: the worker of its queue.

    Raises:
        Transient: Redis did not answer.
    """
    key = keys.last_error(namespace, symbol)
    fields = {name: value for name, value in asdict(error).items() if name != "count"}
    with talking_to_redis(), client.pipeline(transaction=True) as pipe:
        pipe.hset(key, "last", json.dumps(fields))
        pipe.hincrby(key, "count", 1)
        pipe.expire(key, kept_s)
        pipe.execute()


def read_errors(client: redis.Redis, namespace: str, symbols: Sequence[str]) -> dict[str, LastError | None]:
    """Return the last error of each symbol, None without one, in one round trip.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis(), client.pipeline(transaction=False) as pipe:
        for symbol in symbols:
            pipe.hgetall(keys.last_error(namespace, symbol))
        answers = cast("list[dict[bytes, bytes]]", pipe.execute())
    return {symbol: _parsed(found) for symbol, found in zip(symbols, answers, strict=True)}


def _parsed(found: Mapping[bytes, bytes]) -> LastError | None:
    if b"last" not in found:
        return None
    fields = json.loads(found[b"last"])
    return LastError(**{**fields, "kind": ErrorKind(fields["kind"]), "count": int(found[b"count"])})
