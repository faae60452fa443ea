"""Read the journal in Redis, including entries of older versions without inputs."""

from collections.abc import Mapping, Sequence
from typing import cast

import redis
from msgspec import Struct

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from adapters.symbol_store.redis import unpacked
from trading.events.decisions import decode
from trading.events.event import correlation_id
from trading.events.journal import Entry
from trading.events.legacy_text import read_decisions
from trading.lifecycle import DesiredState, PositionPolicy

_Raw = tuple[bytes, dict[bytes, bytes]]


class JournalReader(Struct, frozen=True):
    """Reads the journal of one symbol. Every method raises Transient when Redis does not answer."""

    client: redis.Redis
    namespace: str
    symbol: str

    def newest(self, count: int) -> list[Entry]:
        """Return the newest `count` entries, oldest first."""
        with talking_to_redis():
            found = cast("list[_Raw]", self.client.xrevrange(self._key, count=count))
        return self._entries(found[::-1])

    def between(self, from_ms: int | None = None, to_ms: int | None = None) -> list[Entry]:
        """Return the entries of candles that opened at `from_ms` or later and before `to_ms`, oldest first."""
        first = "-" if from_ms is None else f"{max(from_ms, 0)}-0"
        last = "+" if to_ms is None else f"({to_ms}-0"
        if to_ms is not None and to_ms <= 0:
            return []
        with talking_to_redis():
            return self._entries(cast("list[_Raw]", self.client.xrange(self._key, first, last)))

    def until(self, open_ms: int, count: int) -> list[Entry]:
        """Return the newest `count` entries of candles that opened at `open_ms` or before, oldest first."""
        if open_ms < 0:
            return []
        with talking_to_redis():
            found = cast("list[_Raw]", self.client.xrevrange(self._key, f"{open_ms}-0", "-", count=count))
        return self._entries(found[::-1])

    def oldest(self) -> Entry | None:
        """Return the oldest entry; None when the journal is empty."""
        with talking_to_redis():
            found = cast("list[_Raw]", self.client.xrange(self._key, count=1))
        return next(iter(self._entries(found)), None)

    def after(self, open_ms: int) -> Entry | None:
        """Return the oldest entry of a candle that opened after `open_ms`; None when there is none."""
        with talking_to_redis():
            found = cast("list[_Raw]", self.client.xrange(self._key, f"({max(open_ms, 0)}-0", "+", count=1))
        return next(iter(self._entries(found)), None)

    @property
    def _key(self) -> str:
        return keys.journal(self.namespace, self.symbol)

    def _entries(self, found: Sequence[_Raw]) -> list[Entry]:
        return [_entry(self.symbol, int(identity.split(b"-")[0]), fields) for identity, fields in found]


def _entry(symbol: str, open_ms: int, fields: Mapping[bytes, bytes]) -> Entry:
    def text(name: str) -> str:
        return fields.get(name.encode(), b"").decode()

    packed = fields.get(b"candle")
    values = tuple(unpacked([packed]).values[0].tolist()) if packed else None
    close = values[3] if values else float(text("close")) if b"close" in fields else None
    return Entry(
        open_ms,
        decode(fields[b"decisions"]) if b"decisions" in fields else read_decisions(text("decision")),
        text("regime"),
        text("correlation_id") or correlation_id(symbol, text("timeframe"), open_ms),
        values,
        close,
        int(text("as_of_ms")) if text("as_of_ms") else None,
        int(text("at_ms")) if text("at_ms") else None,
        text("timeframe"),
        DesiredState(text("desired") or DesiredState.RUNNING),
        cast("PositionPolicy", text("quarantine")) if text("quarantine") else None,
        text("config"),
    )
