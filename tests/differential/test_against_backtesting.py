"""Trade by trade against backtesting.py, on the recorded candles that it ships: GOOG daily and EURUSD hourly.

Where the two mean to differ is written in docs/explanation/backtest.md, and shown by the last tests here.
"""

import warnings
from typing import Any

import pandas as pd
import pytest
from pydantic import Field

from adapters.backtest.backtest import run_backtest
from configs.loading import SystemConfig
from tests.differential.engine import Spoken, Traded, our_trades, run, spoken, their_backtest, their_trades
from tests.fakes import planned, system_config
from trading.market.candles import Candles
from trading.orders.fill_terms import FillTerms
from trading.strategies.builtin.cross import EmaCross
from trading.strategies.signal_builder import SignalBuilder, crossed_above, crossed_below
from trading.structs import replace
from trading_orchestrator.testing.candles import SYMBOL, at_place

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from backtesting.test import EURUSD, GOOG

UNITS = 7
FRAMES = {"GOOG": (GOOG, "1d"), "EURUSD": (EURUSD, "1h")}


class LongOnly(EmaCross):
    """Buys where the EMA cross does, and closes where it would sell."""

    fast: int = Field(default=10, ge=2)
    slow: int = Field(default=30, ge=3)

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        fast, slow = rows["fast"].to_numpy(), rows["slow"].to_numpy()
        said = SignalBuilder(len(rows)).buy(crossed_above(fast, slow), reason="above")
        return said.close(crossed_below(fast, slow), reason="below")


NO_EXITS = {"stop_atr": 0.0, "target_atr": 0.0}
SETUPS: dict[str, dict[str, Any]] = {
    "long only, no stops": {"strategy": {"name": "tests.differential.test_against_backtesting:LongOnly"}},
    "both sides, flat between": {
        "strategy": {"name": "sma_cross", "params": {"fast": 8, "slow": 21, **NO_EXITS}},
        "on_opposite_signal": "close",
    },
    "always in the market": {"strategy": {"name": "ema_cross", "params": {"fast": 5, "slow": 20, **NO_EXITS}}},
    "always in the market, at the close": {
        "strategy": {"name": "macd_cross", "params": NO_EXITS},
        "venue": {"fill_at": "close"},
    },
    "stops and targets": {
        "strategy": {"name": "ema_cross", "params": {"fast": 5, "slow": 12, "stop_atr": 1.0, "target_atr": 1.5}}
    },
    "stops and targets, at the close": {
        "strategy": {"name": "ema_cross", "params": {"fast": 5, "slow": 12, "stop_atr": 1.0, "target_atr": 1.5}},
        "venue": {"fill_at": "close"},
    },
    "stops and targets, opposite signals ignored": {
        "strategy": {"name": "sma_cross", "params": {"fast": 3, "slow": 9, "stop_atr": 2.0, "target_atr": 3.0}},
        "on_opposite_signal": "ignore",
    },
    "narrow stops alone, commission": {
        "strategy": {"name": "donchian_breakout", "params": {"period": 10, "stop_atr": 0.4, "target_atr": 0.0}},
        "venue": {"commission_bps": 3.0},
    },
    "targets alone, commission, at the close": {
        "strategy": {"name": "donchian_breakout", "params": {"period": 20, "stop_atr": 0.0, "target_atr": 0.6}},
        "venue": {"commission_bps": 10.0, "fill_at": "close"},
        "on_opposite_signal": "close",
    },
    "mean reversion with close signals": {
        "strategy": {"name": "rsi_reversion", "params": {"period": 7, "stop_atr": 1.5, "target_atr": 2.0}},
        "venue": {"commission_bps": 1.0},
    },
}


def candles_of(name: str) -> tuple[Candles, str]:
    frame, timeframe = FRAMES[name]
    frame = frame.rename(columns=str.lower)
    frame.index = pd.DatetimeIndex(frame.index).tz_localize("UTC")
    return Candles.from_frame(frame), timeframe


def system_of(setup: dict[str, Any], timeframe: str) -> SystemConfig:
    return system_config(
        setup["strategy"],
        timeframe=timeframe,
        venue={"kind": "paper", **setup.get("venue", {})},
        risk={
            "sizing": "fixed_units",
            "units": float(UNITS),
            "max_leverage": 1_000.0,
            "on_opposite_signal": setup.get("on_opposite_signal", "reverse"),
        },
    )


def both(candles: Candles, system: SystemConfig, said: Spoken | None = None) -> tuple[list[Traded], list[Traded]]:
    """Return our closed trades and theirs."""
    config = system.symbols[SYMBOL]
    terms = config.venue.backtest_fills(SYMBOL)
    said = said or spoken(system, SYMBOL, candles)
    engine = their_backtest(candles, said, terms, units=UNITS, on_opposite_signal=config.risk.on_opposite_signal)
    return our_trades(run_backtest(system, {SYMBOL: candles}), SYMBOL), their_trades(run(engine))


@pytest.mark.parametrize("data", sorted(FRAMES))
@pytest.mark.parametrize("name", sorted(SETUPS))
def test_trades_are_those_of_backtesting_py(name: str, data: str) -> None:
    candles, timeframe = candles_of(data)

    ours, theirs = both(candles, system_of(SETUPS[name], timeframe))

    assert len(ours) > 15
    assert [replace(trade, profit=0.0) for trade in ours] == [replace(trade, profit=0.0) for trade in theirs]
    profits = [trade.profit for trade in theirs]
    assert [trade.profit for trade in ours] == pytest.approx(profits, rel=1e-9, abs=1e-9 * UNITS)


def few(*bars: tuple[float, float, float, float]) -> Candles:
    """Return candles of one minute: some quiet ones, then (open, high, low, close) of `bars`."""
    quiet = (100.0, 100.5, 99.5, 100.0)
    shown = [quiet, quiet, quiet, quiet, *bars, quiet, quiet]
    rows = [[at_place(place), *prices, 1.0] for place, prices in enumerate(shown)]
    return Candles.from_rows(rows)


def bought_at_two(candles: Candles, *, stop: float, target: float) -> tuple[SystemConfig, Spoken]:
    """Return a system, and what it says, that buys after the candle at place 2."""
    strategy = planned({2: "buy"}, stop_distance=stop, target_distance=target)
    return system_config(strategy, risk={"sizing": "fixed_units", "units": float(UNITS)}), Spoken(
        *(value * (candles.open_ms == at_place(2)) for value in (1.0, 100.0 - stop, 100.0 + target))
    )


def test_open_beyond_the_target_fills_it_here_though_the_stop_is_touched_later() -> None:
    candles = few((103.0, 103.5, 97.0, 98.0))
    ours, theirs = both(candles, *bought_at_two(candles, stop=2.0, target=2.0))

    assert [trade.exit_price for trade in ours] == [103.0]
    assert [trade.exit_price for trade in theirs] == [98.0]


def test_what_is_open_at_the_end_is_closed_at_the_last_close_here_and_at_the_last_open_there() -> None:
    candles = few((100.0, 101.0, 99.0, 100.7))[:5]
    system, said = bought_at_two(candles, stop=50.0, target=50.0)

    (ours,) = our_trades(run_backtest(system, {SYMBOL: candles}, close_at_end=True), SYMBOL)
    engine = their_backtest(candles, said, FillTerms(), units=UNITS, on_opposite_signal="reverse", finalize_trades=True)
    (theirs,) = their_trades(run(engine))

    assert (ours.entry_ms, ours.exit_ms) == (theirs.entry_ms, theirs.exit_ms)
    assert (ours.exit_price, theirs.exit_price) == (100.7, 100.0)


def test_strategy_without_stop_and_target_trades_once_its_own_averages_are_complete() -> None:
    candles, timeframe = candles_of("GOOG")
    setup = {"strategy": {"name": "sma_cross", "params": {"fast": 10, "slow": 30, **NO_EXITS}}}

    result = run_backtest(system_of(setup, timeframe), {SYMBOL: candles}, close_at_end=True)

    assert len(result.trades) == 66
    assert str(pd.Timestamp(result.trades[0].entry_ms, unit="ms").date()) == "2004-11-29"
