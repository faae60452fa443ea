"""Entries that invest a part of the equity against those of backtesting.py, which sizes them at the fill too.

Its example, the crossing of two averages with all of the equity, is run as its documentation has it.
"""

import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapters.backtest.backtest import run_backtest
from configs.loading import SystemConfig
from tests.differential.engine import our_trades, run, spoken, their_backtest, their_trades
from tests.differential.test_against_backtesting import FRAMES, NO_EXITS, SETUPS, candles_of
from tests.fakes import system_config
from trading.backtest.report import statistics_of
from trading.market.candles import Candles
from trading.strategies.builtin.cross import SmaCross
from trading.strategies.signal_builder import SignalBuilder
from trading.structs import replace
from trading_orchestrator.testing.candles import SYMBOL

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from backtesting import Backtest
    from backtesting import Strategy as TheirStrategy
    from backtesting.lib import crossover
    from backtesting.test import GOOG, SMA

CASH = 10_000.0
ALL = 1 - sys.float_info.epsilon
"""The default size of backtesting.py: a part of the equity is below 1."""
SMA_10_30 = {"fast": 10, "slow": 30, **NO_EXITS}


class TheirExample(TheirStrategy):  # type: ignore[misc]  # it ships no types
    """The strategy of its quick start guide, with averages of 10 and 30 candles."""

    def init(self) -> None:
        self.fast = self.I(SMA, self.data.Close, 10)
        self.slow = self.I(SMA, self.data.Close, 30)

    def next(self) -> None:
        if crossover(self.fast, self.slow):
            self.position.close()
            self.buy()
        elif crossover(self.slow, self.fast):
            self.position.close()
            self.sell()


class ClosedAtTheLastOpen(SmaCross):
    """Closes at the open of the last candle, as `finalize_trades` does there."""

    closes_ms: int

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return super().signals(rows).close(np.isin(rows.index.to_numpy(), [self.closes_ms]), reason="the end")


def equity_system(strategy: dict[str, Any], timeframe: str, *, fraction: float = 1.0, **symbol: Any) -> SystemConfig:
    risk = {"sizing": "equity_fraction", "equity_fraction": fraction, "unit_step": 1.0}
    symbol["risk"] = {**risk, **symbol.get("risk", {})}
    return system_config(strategy, timeframe=timeframe, account={"starting_balance": CASH}, **symbol)


def closed_at_the_last_open(candles: Candles) -> dict[str, Any]:
    closes_ms = int(candles.open_ms[-2])
    return {"name": f"{__name__}:{ClosedAtTheLastOpen.__name__}", "params": {**SMA_10_30, "closes_ms": closes_ms}}


def test_example_of_backtesting_py_with_all_of_the_equity_has_its_trades_return_and_sharpe() -> None:
    candles, timeframe = candles_of("GOOG")
    theirs = run(Backtest(GOOG, TheirExample, cash=CASH, commission=0, finalize_trades=True))

    result = run_backtest(equity_system(closed_at_the_last_open(candles), timeframe), {SYMBOL: candles})

    ours = our_trades(result, SYMBOL)
    assert [replace(one, profit=0.0) for one in ours] == [replace(one, profit=0.0) for one in their_trades(theirs)]
    assert [one.units for one in ours][:8] == [55, 51, 51, 50, 50, 51, 51, 51]
    found = statistics_of(result, periods_per_year=252)
    assert found.sharpe is not None
    assert (len(ours), round(found.total_return * 100, 2), round(found.sharpe, 4)) == (66, 414.23, 0.5806)
    assert found.sharpe == pytest.approx(theirs["Sharpe Ratio"], rel=1e-9)
    assert found.final_equity == pytest.approx(theirs["Equity Final [$]"], rel=1e-12)


@pytest.mark.parametrize("fraction", [1.0, 0.35])
@pytest.mark.parametrize("data", sorted(FRAMES))
@pytest.mark.parametrize("name", sorted(name for name in SETUPS if "at the close" not in name))
def test_trades_by_equity_are_those_of_backtesting_py(name: str, data: str, fraction: float) -> None:
    candles, timeframe = candles_of(data)
    setup = SETUPS[name]
    opposite = setup.get("on_opposite_signal", "reverse")
    system = equity_system(
        setup["strategy"],
        timeframe,
        fraction=fraction,
        venue={"kind": "paper", **setup.get("venue", {})},
        risk={"on_opposite_signal": opposite},
    )
    terms = system.symbols[SYMBOL].venue.backtest_fills(SYMBOL)
    units = min(fraction, ALL)
    engine = their_backtest(
        candles, spoken(system, SYMBOL, candles), terms, units=units, on_opposite_signal=opposite, cash=CASH
    )

    ours, theirs = our_trades(run_backtest(system, {SYMBOL: candles}), SYMBOL), their_trades(run(engine))

    assert len(ours) > 15
    assert len({one.units for one in ours}) > 5
    assert [replace(one, profit=0.0) for one in ours] == [replace(one, profit=0.0) for one in theirs]
    assert [one.profit for one in ours] == pytest.approx([one.profit for one in theirs], rel=1e-6, abs=1e-6)
