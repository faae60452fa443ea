"""A candle source that follows a script."""

import numpy as np

from trading.market.candles import COLUMNS, Candles
from trading.ports.candle_source import Bars
from trading_orchestrator.testing.candles import MINUTE_MS


class ScriptedSource:
    """A `CandleSource` over candles in memory; a test sets how many have closed and which calls fail.

    Attributes:
        candles: All candles, those of the future too; a test may replace them.
        shown: Number of candles that have closed.
        now_ms: Market time; None for half a minute after the newest closed candle ended.
        failures: Errors that the next calls raise, one each.
        calls: Names of the methods called so far.
    """

    def __init__(self, candles: Candles, *, shown: int) -> None:
        self.candles = candles
        self.shown = shown
        self.now_ms: int | None = None
        self.failures: list[Exception] = []
        self.calls: list[str] = []

    @property
    def tape(self) -> Candles:
        """Former name of `candles`."""
        return self.candles

    @tape.setter
    def tape(self, candles: Candles) -> None:
        self.candles = candles

    @property
    def asked(self) -> list[str]:
        """Former name of `calls`."""
        return self.calls

    @property
    def as_of_ms(self) -> int:
        if self.now_ms is not None:
            return self.now_ms
        return self.candles[: self.shown].last_open_ms + MINUTE_MS * 3 // 2

    def newest(self, count: int, *, after_ms: int | None) -> Bars:
        self._record_call("newest")
        return Bars(self._bars()[-count:], self.as_of_ms)

    def history(self, until_ms: int, *, count: int) -> Candles:
        self._record_call("history")
        return self.candles[: self.shown].until(until_ms)[-count:]

    def since(self, after_ms: int, *, limit: int) -> Bars:
        self._record_call("since")
        missed = self._bars().after(after_ms)
        return Bars(missed[:limit], self.as_of_ms, len(missed) > limit)

    def close(self) -> None:
        self.calls.append("close")

    def spoil(self, at: int, **values: float) -> None:
        """Replace values of a candle: `spoil(3, high=float("nan"))`."""
        table = self.candles.values.copy()
        for name, value in values.items():
            table[at, COLUMNS.index(name)] = value
        self.candles = Candles(self.candles.open_ms, table)

    def drop(self, *places: int) -> None:
        """Remove candles; each one that had closed lowers `shown` by one."""
        kept = np.setdiff1d(np.arange(len(self.candles)), places)
        self.shown -= sum(1 for place in places if place < self.shown)
        self.candles = Candles(self.candles.open_ms[kept], self.candles.values[kept])

    def _bars(self) -> Candles:
        """Return the closed candles, and the forming one at the price at which it opened."""
        closed, following = self.candles[: self.shown], self.candles[self.shown : self.shown + 1]
        forming = Candles(following.open_ms, following.values[:, [0, 0, 0, 0, 4]])
        return closed.then(forming) if len(forming) else closed

    def _record_call(self, method: str) -> None:
        self.calls.append(method)
        if self.failures:
            raise self.failures.pop(0)
