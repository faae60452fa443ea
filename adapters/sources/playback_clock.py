"""Market time of a played source, shared by several processes."""

import json
import math
from collections.abc import Callable
from typing import Literal, Protocol

import redis

from adapters.redis.client import talking_to_redis

Speed = Literal["max"] | float
"""Market seconds per wall second (1.0 is real time), or "max": as fast as the reader decides."""

Anchor = tuple[int, int]
"""(market time, wall time) of one moment, both in milliseconds since the epoch, UTC."""


class AnchorStore(Protocol):
    """Stores the single anchor of a played market, for all processes that play it."""

    def get(self) -> Anchor | None: ...

    def set_if_absent(self, anchor: Anchor) -> Anchor:
        """Store `anchor` unless one is stored already, and return the stored one."""
        ...


class MemoryAnchorStore:
    """An anchor for one process."""

    def __init__(self) -> None:
        self._anchor: Anchor | None = None

    def get(self) -> Anchor | None:
        return self._anchor

    def set_if_absent(self, anchor: Anchor) -> Anchor:
        self._anchor = self._anchor or anchor
        return self._anchor

    def clear(self) -> None:
        """Delete the anchor: the market then continues from the reader's cursor, as if it had been paused."""
        self._anchor = None


class RedisAnchorStore:
    """An anchor for all processes that share a Redis; the first writer wins.

    Every method raises Transient when Redis does not answer.
    """

    def __init__(self, client: redis.Redis, key: str) -> None:
        self._client = client
        self._key = key

    def get(self) -> Anchor | None:
        with talking_to_redis():
            kept = self._client.get(self._key)
        if kept is None:
            return None
        market_ms, wall_ms = json.loads(kept)
        return int(market_ms), int(wall_ms)

    def set_if_absent(self, anchor: Anchor) -> Anchor:
        with talking_to_redis():
            self._client.set(self._key, json.dumps(anchor), nx=True)
        return self.get() or anchor  # absent only if it was cleared in between; the next reader sets it again

    def clear(self) -> None:
        """Delete the anchor: the market then continues from the reader's cursor, as if it had been paused."""
        with talking_to_redis():
            self._client.delete(self._key)


class MarketClock:
    """Computes the market time.

    At a numeric speed it advances with the wall clock from an anchor, even when it is not read. At "max" there is no
    clock: the reader's cursor drives the market, which waits until the last candle is decided.
    """

    def __init__(
        self,
        speed: Speed,
        *,
        start_ms: int,
        close_of: Callable[[int], int],
        now_ms: Callable[[], int],
        anchors: AnchorStore,
    ) -> None:
        """Create a clock; it starts when it is first read.

        Args:
            speed: "max", or market seconds per wall second.
            start_ms: Market time at which a market that was never read begins.
            close_of: Return the end of the candle that opened at a time.
            now_ms: The wall clock, milliseconds since the epoch.
            anchors: Shared by every process that plays this market.

        Raises:
            ValueError: The speed is neither "max" nor a finite number above 0.
        """
        self._rate = _rate(speed)
        self._start_ms = start_ms
        self._close_of = close_of
        self._now_ms = now_ms
        self._anchors = anchors

    def position_ms(self, after_ms: int | None) -> int | None:
        """Return the market time, None at speed "max".

        Without an anchor the market begins now: at the close of the candle that opened at `after_ms`, or at the start
        if `after_ms` is None.
        """
        if self._rate is None:
            return None
        now_ms = self._now_ms()
        begin_ms = self._start_ms if after_ms is None else self._close_of(after_ms)
        market_ms, wall_ms = self._anchors.get() or self._anchors.set_if_absent((begin_ms, now_ms))
        elapsed_ms = max(now_ms - wall_ms, 0)  # another host's clock may be slightly behind
        return market_ms + int(elapsed_ms * self._rate)


def _rate(speed: str | float) -> float | None:
    if speed == "max":
        return None
    if isinstance(speed, str) or not (math.isfinite(speed) and speed > 0):
        raise ValueError(f"speed {speed!r}: expected 'max' or a number above 0 (market seconds per wall second)")
    return speed
