"""The closed candles of a source: requested with retries, and rejected where they are corrupt."""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from trading.errors import BadCandle, Transient
from trading.indicators.history import reaching_back
from trading.market.candles import Candles, first_fault
from trading.market.feed_health import FeedSnapshot
from trading.market.timeframes import Timeframe
from trading.ports.candle_source import Bars, CandleSource
from trading.services.data_fetching.data_errors import DataErrors
from trading.services.data_fetching.terms import FetchTerms

T = TypeVar("T")

_LONGEST_DELAY_S = 2.0


class Answer(Struct, frozen=True):
    """The result of a fetch: candles to decide on, the market state, and the answer that they come from."""

    fresh: Candles
    shown: FeedSnapshot
    bars: Bars


class ClosedCandles:
    """The closed and valid candles of one symbol's source."""

    def __init__(
        self,
        symbol: str,
        timeframe: str,
        source: CandleSource,
        terms: FetchTerms,
        errors: DataErrors,
        *,
        sleep_s: Callable[[float], None],
    ) -> None:
        """Create the reader.

        Args:
            sleep_s: Waits between tries.
        """
        self._symbol = symbol
        self._timeframe = timeframe
        self._grid = Timeframe.parse(timeframe)
        self._source = source
        self._terms = terms
        self._errors = errors
        self._sleep_s = sleep_s

    def newest(self) -> Candles:
        """Return the newest closed candles, valid or not.

        Raises:
            Transient: The source does not answer.
        """
        return self._closed(self._request(lambda: self._source.newest(self._terms.nbr_bars, after_ms=None)))

    def market_ms(self, cursor_ms: int | None) -> int | None:
        """Return the source's market time, milliseconds since the epoch, UTC; None if unknown."""
        try:
            return self._source.newest(self._terms.nbr_bars, after_ms=cursor_ms or None).as_of_ms
        except Transient:
            return None

    def after(self, cursor_ms: int) -> Answer:
        """Return the candles after the last one decided; the newest one alone where none was.

        Args:
            cursor_ms: Open time of the last candle decided, milliseconds since the epoch, UTC; 0 for none.

        Raises:
            Transient: The source does not answer.
            BadCandle: The first candle after the cursor is corrupt.
        """
        bars = self._request(lambda: self._source.newest(self._terms.nbr_bars, after_ms=cursor_ms or None))
        closed, newest_ms = self._closed(bars), self._newest_ms(bars)
        if cursor_ms and len(closed) and int(closed.open_ms[0]) > self._grid.close_of(cursor_ms):
            bars = self._request(lambda: self._source.since(cursor_ms, limit=self._terms.batch_limit))
            closed, newest_ms = bars.candles[: self._closed_count(bars)], max(newest_ms, self._newest_ms(bars))
        fresh = closed.after(cursor_ms)
        if not len(fresh) and self._terms.repeat_last:
            fresh = closed[-1:]
        fresh = self._refuse_bad(fresh if cursor_ms else fresh[-1:])
        return Answer(fresh, FeedSnapshot(bars.as_of_ms, newest_ms, bars.is_over), bars)

    def history(self, until_ms: int) -> Candles:
        """Return the candles up to a time that the indicators need: more than usual if the market stands still there.

        They begin after the last corrupt one.

        Raises:
            Transient: The source does not answer.
        """

        def read(count: int) -> Candles:
            return self._request(lambda: self._source.history(until_ms, count=count))

        return self._from_the_last_fault(reaching_back(read, self._terms.history_count, self._terms.reach or len))

    def _closed(self, bars: Bars) -> Candles:
        dropped = self._terms.candle_index - 1
        return bars.candles[: max(0, min(len(bars.candles) - dropped, self._closed_count(bars)))]

    def _closed_count(self, bars: Bars) -> int:
        """Return the number of bars that had closed when the source answered, in any position."""
        return bars.closed_count(self._grid)

    def _newest_ms(self, bars: Bars) -> int:
        count = self._closed_count(bars)
        return int(bars.candles.open_ms[count - 1]) if count else 0

    def close(self) -> None:
        """Close the connections of the source; a later request opens them again."""
        self._source.close()

    def _from_the_last_fault(self, history: Candles) -> Candles:
        """Return the candles after the last corrupt one, and publish each of those."""
        is_first = True
        while (fault := self._first_fault(history)) is not None:
            located = self._with_place(fault) if is_first else fault
            self._errors.publish(f"{located} (in the history before the start: skipped)", fault.open_ms)
            is_first = False
            history = history[int((history.open_ms == fault.open_ms).argmax()) + 1 :]
        return history

    def _refuse_bad(self, fresh: Candles) -> Candles:
        """Return the candles before the first bad one.

        Raises:
            BadCandle: The first one is bad. The cursor stays before it, so it is requested again, and nothing is lost.
        """
        fault = self._first_fault(fresh)
        if fault is None:
            return fresh
        first_bad = int((fresh.open_ms == fault.open_ms).argmax())
        good = fresh[: int((fresh.open_ms[:first_bad] < fresh.open_ms[first_bad:].min()).sum())]
        if not len(good):
            fault = self._with_place(fault)
            self._errors.publish(str(fault), fault.open_ms)
            raise fault
        return good

    def _first_fault(self, candles: Candles) -> BadCandle | None:
        terms = self._terms
        fault = first_fault(
            candles,
            timeframe=self._timeframe,
            phase_ms=terms.phase_ms,
            allow_non_positive=terms.allow_non_positive,
        )
        return None if fault is None else BadCandle(fault.open_ms, fault.fault, self._symbol)

    def _with_place(self, fault: BadCandle) -> BadCandle:
        """Return a fault with the place of its candle; this may read a whole file."""
        place = self._terms.place_of(fault.open_ms) if self._terms.place_of else ""
        return BadCandle(fault.open_ms, fault.fault, self._symbol, place)

    def _request(self, request: Callable[[], T]) -> T:
        delay_s = self._terms.retry_delay_s
        for _ in range(self._terms.retry_attempts):
            try:
                return request()
            except Transient:
                self._sleep_s(delay_s)
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
        try:
            return request()
        except Transient as error:
            self._errors.publish(f"{error} (after {self._terms.retry_attempts + 1} tries)", 0)
            raise
