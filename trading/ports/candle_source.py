"""The port of candle sources."""

from typing import Protocol, runtime_checkable

from msgspec import Struct

from trading.market.candles import Candles
from trading.market.timeframes import Timeframe


class Bars(Struct, frozen=True):
    """The answer of a source.

    Attributes:
        candles: Oldest first; the newest may still be forming.
        as_of_ms: Market time of the answer, milliseconds since the epoch, UTC.
        has_more: The source could answer with newer closed candles at once.
        is_over: No further candle will close in this market: a recording has ended.
        closed_ms: End of the newest closed candle among them, 0 if none is closed; None if the source does not know
            it: then it is the one of the timeframe.
    """

    candles: Candles
    as_of_ms: int
    has_more: bool = False
    is_over: bool = False
    closed_ms: int | None = None

    def closed_count(self, timeframe: Timeframe) -> int:
        """Return the number of bars that had closed at the time of the answer."""
        if self.closed_ms is not None:
            return len(self.candles.until(self.closed_ms - 1))
        return int(timeframe.closes(self.candles.open_ms).searchsorted(self.as_of_ms, side="right"))


class CandleSource(Protocol):
    """The candles of one symbol.

    It answers like an exchange: the newest bar is still forming, and contains nothing later than
    `as_of_ms`.
    `after_ms` is the open time of the last candle that was decided, None before the first.
    """

    def newest(self, count: int, *, after_ms: int | None) -> Bars:
        """Return the newest `count` bars, or as many as there are.

        Raises:
            Transient: The source did not answer.
        """
        ...

    def history(self, until_ms: int, *, count: int) -> Candles:
        """Return the newest `count` closed candles that opened at `until_ms` or before, to initialise indicators.

        Raises:
            Transient: The source did not answer.
        """
        ...

    def since(self, after_ms: int, *, limit: int) -> Bars:
        """Return the oldest `limit` bars that opened after `after_ms`, with which a symbol catches up.

        Raises:
            Transient: The source did not answer.
        """
        ...

    def close(self) -> None:
        """Close connections and drop cached answers; the next request reopens what it needs.

        The fetch service calls it after an error: a new client replaces a hung one. It may be called at any time and
        more than once, does not block, and never fails.
        """
        ...


@runtime_checkable
class LocatesCandles(Protocol):
    """A source that can name the place of a candle; optional."""

    def place_of(self, open_ms: int) -> str:
        """Return the place (file and line) of the candle with this open time, milliseconds since the epoch, UTC."""
        ...


@runtime_checkable
class DeclaresPhase(Protocol):
    """A source whose candles begin off the full hour; optional."""

    @property
    def phase_ms(self) -> int:
        """Time after a full unit of the timeframe's grid at which candles begin: 30 minutes for hours from 09:30."""
        ...
