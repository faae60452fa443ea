"""Where the candles of a symbol come from."""

from typing import Protocol, runtime_checkable

from msgspec import Struct

from trading.market.candles import Candles


class Bars(Struct, frozen=True):
    """The answer of a source.

    Attributes:
        candles: Oldest first; the newest may still be forming.
        as_of_ms: Market time of the answer, milliseconds since the epoch, UTC.
        has_more: The source could answer with newer closed candles at once.
        is_over: No candle will close in this market any more: a recording has come to its end.
    """

    candles: Candles
    as_of_ms: int
    has_more: bool = False
    is_over: bool = False


class CandleSource(Protocol):
    """Where the candles of one symbol come from.

    It answers as an exchange does: the newest bar is the one that is still forming, and shows nothing later than
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
        """Return the newest `count` closed candles that opened at `until_ms` or before: what indicators need to begin.

        Raises:
            Transient: The source did not answer.
        """
        ...

    def since(self, after_ms: int, *, limit: int) -> Bars:
        """Return the oldest `limit` bars that opened after `after_ms`: what a symbol that was away has missed.

        Raises:
            Transient: The source did not answer.
        """
        ...

    def close(self) -> None:
        """Give back connections, and forget what is kept of answers; the next question opens what it needs anew.

        Called when the fetch service begins anew after an error: a new client replaces one that hangs. It may be
        called at any time and more than once, waits for nobody, and never fails.
        """
        ...


@runtime_checkable
class LocatesCandles(Protocol):
    """A source that can name the place of a candle; optional."""

    def place_of(self, open_ms: int) -> str:
        """Return where the candle with this open time (milliseconds since the epoch, UTC) stands: file and line."""
        ...
