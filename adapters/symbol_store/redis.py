"""Symbol store in Redis: cursor, candle window and journal, at two round trips per candle."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import redis

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from trading.events.decisions import encode, has_no_signal
from trading.events.event import Event
from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState, PositionPolicy
from trading.market.candles import CLOSE, Candles
from trading.market.feed_health import FeedHistory, FeedSnapshot
from trading.ports.symbol_store import Commit, SymbolSnapshot

_PACKED = np.dtype([("open_ms", "<i8"), ("values", "<f8", 5)])
_STATE_FIELDS = ("cursor_ms", "desired", "exposure", "regime", "generation", "timeframe", "quarantine")
FEED_FIELDS = ("market_ms", "newest_ms", "is_over", "moved_at_ms", "fetched_at_ms", "cursor_ms")
_LUA = Path(__file__).parent / "lua"


class RedisSymbolStore:
    """The `SymbolStore` port on Redis."""

    def __init__(
        self,
        client: redis.Redis,
        namespace: str,
        *,
        window_limit: int,
        journal_limit: int,
        events_limit: int,
        now_ms: Callable[[], int],
    ) -> None:
        """Create a store.

        Args:
            window_limit: Candles kept per symbol; more where a commit needs more.
            journal_limit: Decisions kept per symbol.
            events_limit: Events kept in the stream of all symbols.
            now_ms: The wall clock, recorded with decisions and events.
        """
        self._client = client
        self._namespace = namespace
        self._limits = (window_limit, journal_limit, events_limit)
        self._now_ms = now_ms
        self._commit = client.register_script((_LUA / "commit.lua").read_text(encoding="utf-8"))
        self._record_fetch = client.register_script((_LUA / "note_fetch.lua").read_text(encoding="utf-8"))
        self._discard_future = client.register_script((_LUA / "discard_future.lua").read_text(encoding="utf-8"))
        self._seed = client.register_script((_LUA / "seed.lua").read_text(encoding="utf-8"))

    def load(self, symbol: str) -> SymbolSnapshot:
        with talking_to_redis():
            fields = cast("list[bytes | None]", self._client.hmget(self._state(symbol), _STATE_FIELDS))
        cursor_ms, desired, exposure, regime, generation, timeframe, quarantine = fields
        age = int(generation or 0)
        if cursor_ms is None or desired is None or regime is None:
            return SymbolSnapshot(None, DesiredState.RUNNING, True, Regime.UNKNOWN, age)
        return SymbolSnapshot(
            int(cursor_ms),
            DesiredState(desired.decode()),
            exposure != b"0",
            Regime(regime.decode()),
            age,
            (timeframe or b"").decode(),
            cast("PositionPolicy", quarantine.decode()) if quarantine else None,
        )

    def window(self, symbol: str, count: int, *, until_ms: int) -> Candles:
        with talking_to_redis():
            found = unpacked(self._newest(symbol, count)).until(until_ms)
            if len(found) < count:  # fewer are stored, or later ones displaced them in the part that was read
                found = unpacked(self._newest(symbol, 0)).until(until_ms)
        return found[-count:]

    def seed(self, symbol: str, history: Candles, *, timeframe: str, cursor_ms: int, desired: DesiredState) -> None:
        with talking_to_redis():
            self._seed(
                keys=[self._state(symbol), keys.window(self._namespace, symbol), keys.prices(self._namespace)],
                args=[cursor_ms, desired.value, timeframe, symbol, _last_close(history), *_pack(history)],
            )

    def refill(self, symbol: str, history: Candles, *, cursor_ms: int) -> bool:
        """Replace the stored window by a longer one; return False, without a change, when the cursor has moved."""
        key = keys.window(self._namespace, symbol)
        with talking_to_redis(), self._client.pipeline(transaction=True) as pipe:
            pipe.watch(self._state(symbol))  # type: ignore[no-untyped-call]  # redis-py ships no type for it
            if int(cast("bytes | None", pipe.hget(self._state(symbol), "cursor_ms")) or 0) != cursor_ms:
                return False
            pipe.multi()
            pipe.delete(key)
            pipe.rpush(key, *_pack(history))
            try:
                pipe.execute()
            except redis.WatchError:
                return False
        return True

    def mark_exposed(self, symbol: str) -> None:
        with talking_to_redis():
            self._client.hset(self._state(symbol), "exposure", "1")

    def set_desired(self, symbol: str, state: DesiredState) -> None:
        with talking_to_redis():
            self._client.hset(self._state(symbol), "desired", state.value)

    def set_quarantine(self, symbol: str, policy: PositionPolicy | None) -> None:
        with talking_to_redis():
            self._client.hset(self._state(symbol), "quarantine", policy or "")

    def latest_prices(self) -> Mapping[str, float]:
        with talking_to_redis():
            found = cast("Mapping[bytes, bytes]", self._client.hgetall(keys.prices(self._namespace)))
        return {symbol.decode(): float(close) for symbol, close in found.items()}

    def request_restart(self, symbol: str) -> None:
        with talking_to_redis():
            self._client.hincrby(self._state(symbol), "generation", 1)

    def discard_future(self, symbol: str, *, after_ms: int) -> None:
        names = (keys.state, keys.window, keys.journal)
        with talking_to_redis():
            self._discard_future(keys=[name(self._namespace, symbol) for name in names], args=[after_ms])

    def record_fetch(self, symbol: str, snapshot: FeedSnapshot) -> None:
        with talking_to_redis():
            self._record_fetch(keys=[self._state(symbol)], args=[self._now_ms(), *_arguments(snapshot)])

    def feed(self, symbol: str) -> FeedHistory | None:
        with talking_to_redis():
            values = cast("list[bytes | None]", self._client.hmget(self._state(symbol), FEED_FIELDS))
        return feed_history({name: value.decode() for name, value in zip(FEED_FIELDS, values, strict=True) if value})

    def commit(self, commit: Commit, events: Sequence[Event]) -> int:
        candles = commit.candles
        exposure = "" if commit.has_exposure is None else str(int(commit.has_exposure))
        args: list[str | bytes | int] = [
            max(self._limits[0], commit.window_count),
            *self._limits[1:],
            self._now_ms(),
            commit.timeframe,
            exposure,
            len(candles),
            commit.after_ms,
            *_arguments(commit.shown),
            commit.desired.value,
            commit.quarantine or "",
            commit.config,
            commit.symbol,
        ]
        closes = candles.values[:, CLOSE].tolist()
        for at, packed, decisions, regime, close in zip(
            candles.open_ms.tolist(), _pack(candles), commit.decisions, commit.regimes, closes, strict=True
        ):
            has_news = int(not has_no_signal(decisions))
            args += (at, packed, encode(decisions), has_news, regime.value, repr(close))
        args += [event.model_dump_json() for event in events]
        namespace, symbol = self._namespace, commit.symbol
        with talking_to_redis():
            return int(
                self._commit(
                    keys=[
                        keys.state(namespace, symbol),
                        keys.window(namespace, symbol),
                        keys.journal(namespace, symbol),
                        keys.events(namespace),
                        keys.prices(namespace),
                    ],
                    args=args,
                )
            )

    def _newest(self, symbol: str, count: int) -> list[bytes]:
        """Return the newest `count` packed candles, all of them for 0."""
        return cast("list[bytes]", self._client.lrange(keys.window(self._namespace, symbol), -count, -1))

    def _state(self, symbol: str) -> str:
        return keys.state(self._namespace, symbol)


def feed_history(state: Mapping[str, str]) -> FeedHistory | None:
    """Return the feed history in a symbol's state hash; None before the first fetch.

    Args:
        state: The hash, or its `FEED_FIELDS`.
    """
    if not state.get("market_ms") or "fetched_at_ms" not in state:
        return None
    market_ms, newest_ms, answered_ms = (int(state[name]) for name in ("market_ms", "newest_ms", "fetched_at_ms"))
    snapshot = FeedSnapshot(market_ms, newest_ms, is_over=state.get("is_over") == "1")
    return FeedHistory(snapshot, answered_ms, int(state["moved_at_ms"]), int(state.get("cursor_ms", 0)))


def _arguments(snapshot: FeedSnapshot | None) -> tuple[int | str, int | str, int | str]:
    return ("", "", "") if snapshot is None else (snapshot.market_ms, snapshot.newest_ms, int(snapshot.is_over))


def _last_close(candles: Candles) -> str:
    return repr(float(candles.values[-1, CLOSE])) if len(candles) else ""


def _pack(candles: Candles) -> list[bytes]:
    table = np.empty(len(candles), _PACKED)
    table["open_ms"], table["values"] = candles.open_ms, candles.values
    raw = table.tobytes()
    return [raw[at : at + _PACKED.itemsize] for at in range(0, len(raw), _PACKED.itemsize)]


def unpacked(packed: Sequence[bytes]) -> Candles:
    """Decode the packed candles of the window and the journal."""
    table = np.frombuffer(b"".join(packed), _PACKED)
    return Candles(table["open_ms"].copy(), table["values"].copy())
