"""The latest market time of a market with a clock of its own."""

from typing import cast

from adapters.wiring.market_limits import PlayedLimit
from trading.errors import Transient
from trading.events.messages import NewCandle
from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.ports.candle_source import Bars, CandleSource
from trading_orchestrator.testing.candles import MINUTE_MS, SYMBOL, make_candles

NOW_MS = 100 * MINUTE_MS


class SteppingSource:
    """A source whose market is at the time that the test sets; None for one that does not answer."""

    def __init__(self) -> None:
        self.as_of_ms: int | None = NOW_MS

    def newest(self, _count: int, *, after_ms: int | None) -> Bars:
        if self.as_of_ms is None:
            raise Transient("source", f"no answer after {after_ms}")
        return Bars(Candles.empty(), self.as_of_ms)


def limit_of(source: SteppingSource) -> PlayedLimit:
    return PlayedLimit(cast("CandleSource", source))


def test_limit_is_the_time_of_the_market() -> None:
    assert limit_of(SteppingSource())(0) == NOW_MS


def test_limit_stays_where_the_clock_of_the_market_starts_again_earlier() -> None:
    source = SteppingSource()
    limit = limit_of(source)
    assert limit(0) == NOW_MS
    source.as_of_ms = NOW_MS - MINUTE_MS

    assert limit(0) == NOW_MS


def test_limit_counts_the_time_at_which_candles_were_fetched() -> None:
    source, candles = SteppingSource(), make_candles(1)
    limit = limit_of(source)
    later_ms = NOW_MS + MINUTE_MS
    limit.record(
        NewCandle(
            symbol=SYMBOL,
            timeframe="1m",
            after_ms=0,
            candles=candles,
            as_of_ms=later_ms,
            newest_ms=candles.last_open_ms,
            desired=DesiredState.RUNNING,
            has_exposure=False,
            regime=Regime.UNKNOWN,
        )
    )

    assert limit(0) == later_ms


def test_market_that_does_not_answer_has_no_limit() -> None:
    source = SteppingSource()
    limit = limit_of(source)
    source.as_of_ms = None

    assert limit(0) is None
