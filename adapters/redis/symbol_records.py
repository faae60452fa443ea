"""How each symbol stands, in Redis: written by whoever saw the newest version, refused to all others."""

from dataclasses import replace
from typing import cast

import redis
from pydantic import TypeAdapter

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from trading.orchestration.symbol_port import Standing

_STANDING = TypeAdapter(Standing)


class RedisStandings:
    """Reads and writes standings. Each method raises Transient when Redis does not answer."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def read(self, symbol: str) -> Standing:
        with talking_to_redis():
            found = cast("bytes | None", self._client.get(keys.standing(self._namespace, symbol)))
        return Standing() if found is None else _STANDING.validate_json(found)

    def write(self, symbol: str, standing: Standing) -> bool:
        """Write `standing` as the version after its own, and return whether its own was still the newest."""
        key = keys.standing(self._namespace, symbol)
        with talking_to_redis(), self._client.pipeline(transaction=True) as pipe:
            pipe.watch(key)  # type: ignore[no-untyped-call]  # redis-py ships no type for it
            found = cast("bytes | None", pipe.get(key))
            if (0 if found is None else _STANDING.validate_json(found).version) != standing.version:
                return False
            pipe.multi()
            pipe.set(key, _STANDING.dump_json(replace(standing, version=standing.version + 1)))
            try:
                pipe.execute()
            except redis.WatchError:
                return False
        return True
