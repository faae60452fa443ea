"""Source that plays a series of closed candles as an exchange would have shown them at each moment."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from adapters.sources.playback_clock import AnchorStore, MarketClock, MemoryAnchorStore, Speed
from trading.market.candles import CLOSE, OPEN, Candles
from trading.market.timeframes import Timeframe
from trading.ports.candle_source import Bars


class CandleSeries(Protocol):
    """Closed candles in order of time, with random access."""

    @property
    def start_ms(self) -> int:
        """Open time of the candle at which playback begins."""
        ...

    def after(self, open_ms: int, count: int) -> Candles:
        """Return the oldest `count` candles that opened after `open_ms`, or as many as there are."""
        ...

    def until(self, open_ms: int, count: int) -> Candles:
        """Return the newest `count` candles that opened at `open_ms` or before, or as many as there are."""
        ...


class PlayedSource:
    """A CandleSource over a series of candles.

    Closed candles are those that closed by the market position; a candle ends where the next one of the series begins.
    The forming bar shows only the open of the next candle once that has begun (high, low and close equal the open,
    volume 0). Without a next candle (session break, gap, end of the series) the current slot holds a flat bar at the
    last close, as on exchanges that always show a current bar; each candle is therefore known to be closed as soon as
    it is. After the end of the series the clock keeps running, so that the last decision ages, and `is_over` is True.

    At speed "max" the market position is `step` candles after the reader's cursor, at the close of the last of them.
    `since` uses the same position: a market that waits for its reader has not advanced while the reader was away, and
    later candles would be a look-ahead past `newest`.
    """

    def __init__(
        self,
        series: CandleSeries,
        *,
        timeframe: str,
        speed: Speed,
        step: int,
        now_ms: Callable[[], int],
        anchors: AnchorStore | None,
        phase_ms: int = 0,
    ) -> None:
        """Create a source over `series`.

        Args:
            series: Candles to play.
            timeframe: Timeframe of the series' candles, such as "1m".
            speed: "max", or market seconds per wall second.
            step: Candles released per call at speed "max", at least 1.
            now_ms: The wall clock, milliseconds since the epoch; not read at speed "max".
            anchors: Store of the market's start for numeric speeds; None keeps it in this object.
            phase_ms: Time after a full unit of the timeframe's grid at which the candles begin.

        Raises:
            ValueError: The timeframe, the speed or the step is invalid.
        """
        if step < 1:
            raise ValueError(f"step {step}: expected 1 or more (candles per call)")
        self._series = series
        self._step = step
        self._grid = Timeframe.parse(timeframe)
        self.phase_ms = phase_ms
        self._clock = MarketClock(
            speed,
            start_ms=series.start_ms,
            close_of=self._close_of,
            now_ms=now_ms,
            anchors=MemoryAnchorStore() if anchors is None else anchors,
        )

    def newest(self, count: int, *, after_ms: int | None) -> Bars:
        """Return the newest `count` bars (at least 1), the last of them forming.

        Empty only at a numeric speed before the series' first candle has opened.
        """
        self._follow()
        as_of_ms, more = self._record(after_ms)
        closed, following = self._closed(as_of_ms, count)
        bars = closed.then(self._forming(closed, following, as_of_ms))
        return Bars(bars[-count:], as_of_ms, more, not len(following), self._end_of(closed, following))

    def history(self, until_ms: int, *, count: int) -> Candles:
        """Return the newest `count` closed candles that opened at `until_ms` or before."""
        self._follow()
        as_of_ms, _ = self._record(until_ms)
        found = self._series.until(min(until_ms, as_of_ms), count + 1)
        if len(found) and self._close_of(found.last_open_ms) > as_of_ms:
            found = found[:-1]
        return found[-count:]

    def since(self, after_ms: int, *, limit: int) -> Bars:
        """Return the oldest `limit` bars that opened after `after_ms`.

        The forming bar comes last if the limit leaves room for it; otherwise all bars are closed. `more` is True when
        closed candles were omitted, or when the market advances as soon as the cursor does.
        """
        self._follow()
        as_of_ms, more = self._record(after_ms)
        last, following = self._closed(as_of_ms, 1)
        is_over = not len(following)
        last_ms = last.last_open_ms if len(last) else after_ms
        slots = max(
            (as_of_ms - after_ms) // self._grid.shortest_ms + 1, 0
        )  # no candle need be read beyond what has opened
        closed = self._series.after(after_ms, min(limit, slots)).until(last_ms)
        if len(closed) == limit:
            following = self._series.after(closed.last_open_ms, 1)
            has_more = more or len(following.until(last_ms)) > 0
            return Bars(closed, as_of_ms, has_more, is_over, self._end_of(closed, following))
        forming = self._forming(last, following, as_of_ms)
        return Bars(closed.then(forming.after(after_ms)), as_of_ms, more, is_over, self._end_of(last, following))

    def close(self) -> None:
        """Do nothing: a series of candles needs no connection."""

    def _follow(self) -> None:
        """Take over the candles that the series has gained since the last call; most series gain none."""

    def _record(self, after_ms: int | None) -> tuple[int, bool]:
        """Return the market position, and whether it advances as soon as the cursor does."""
        position_ms = self._clock.position_ms(after_ms)
        if position_ms is not None:
            return position_ms, False
        cursor_ms = self._series.start_ms - 1 if after_ms is None else after_ms
        upcoming = self._series.after(cursor_ms, self._step + 1)
        released = upcoming[: self._step] if len(upcoming) else self._series.until(cursor_ms, 1)
        if not len(released):
            return self._series.start_ms, False
        return self._close_of(released.last_open_ms), len(upcoming) > self._step

    def _closed(self, as_of_ms: int, count: int) -> tuple[Candles, Candles]:
        """Return the newest `count` closed candles, and the oldest one that has not closed yet, or none at the end."""
        found, following = self._series.until(as_of_ms, count + 1), self._series.after(as_of_ms, 1)
        if len(found) and self._end_of(found, following) > as_of_ms:
            found, following = found[:-1], found[-1:]
        return found[-count:], following

    def _end_of(self, candles: Candles, following: Candles) -> int:
        """Return the end of the last of some candles; 0 if there are none."""
        if not len(candles):
            return 0
        return self._grid.close_of(candles.last_open_ms, int(following.open_ms[0]) if len(following) else None)

    def _close_of(self, open_ms: int) -> int:
        following = self._series.after(open_ms, 1)
        return self._grid.close_of(open_ms, int(following.open_ms[0]) if len(following) else None)

    def _forming(self, closed: Candles, following: Candles, as_of_ms: int) -> Candles:
        if len(following) and following.last_open_ms <= as_of_ms:
            return _flat_bar(following.last_open_ms, following.values[0, OPEN])
        if not len(closed):
            return Candles.empty()
        last_ms = closed.last_open_ms
        slot_ms = self._grid.begin_of(as_of_ms, last_ms)
        return _flat_bar(slot_ms, closed.values[-1, CLOSE])


def _flat_bar(open_ms: int, price: float) -> Candles:
    return Candles(np.array([open_ms], np.int64), np.array([[price, price, price, price, 0.0]]))
