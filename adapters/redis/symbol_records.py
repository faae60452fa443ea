"""Symbol records in Redis, with optimistic locking: a write based on an older version is rejected."""

from typing import cast

import redis
from pydantic import TypeAdapter

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from trading.orchestration.symbol_port import SymbolRecord
from trading.structs import replace

_RECORD = TypeAdapter(SymbolRecord)


class RedisSymbolRecords:
    """Reads and writes symbol records. Each method raises Transient when Redis does not answer."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def read(self, symbol: str) -> SymbolRecord:
        with talking_to_redis():
            found = cast("bytes | None", self._client.get(keys.symbol_record(self._namespace, symbol)))
        return SymbolRecord() if found is None else _RECORD.validate_json(found)

    def write(self, symbol: str, record: SymbolRecord) -> bool:
        """Write `record` as the next version, and return whether its own version was still the newest."""
        key = keys.symbol_record(self._namespace, symbol)
        with talking_to_redis(), self._client.pipeline(transaction=True) as pipe:
            pipe.watch(key)  # type: ignore[no-untyped-call]  # redis-py ships no type for it
            found = cast("bytes | None", pipe.get(key))
            if (0 if found is None else _RECORD.validate_json(found).version) != record.version:
                return False
            pipe.multi()
            pipe.set(key, _RECORD.dump_json(replace(record, version=record.version + 1)))
            try:
                pipe.execute()
            except redis.WatchError:
                return False
        return True
