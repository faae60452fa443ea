"""Each metric against backtesting.py's own, computed from the same trades and the same equity.

Its statistics take the equity at each candle and a table of trades: they get those of our replay. What it does not
compute is held against the formulas of quantstats, written out here. docs/reference/report.md lists where
definitions differ.
"""

import math
import warnings
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapters.backtest.backtest import run_backtest
from tests.differential.test_against_backtesting import FRAMES, SETUPS, candles_of, system_of
from trading.backtest import BacktestRun
from trading.backtest.report import Statistics, statistics_of
from trading.backtest.report.statistics import trade_return
from trading_orchestrator.testing.candles import SYMBOL

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from backtesting._stats import compute_stats

CASES = [(name, data) for name in sorted(SETUPS)[::2] for data in sorted(FRAMES)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[1]}: {case[0]}")
def both(request: pytest.FixtureRequest) -> tuple[BacktestRun, Statistics, Any]:
    """Return a replay, our statistics of it, and theirs."""
    name, data = request.param
    candles, timeframe = candles_of(data)
    system = system_of(SETUPS[name], timeframe)
    # A small account, so that the metrics are not all close to zero; its positions are worth more than it.
    balance = 5_000.0 if data == "GOOG" else 5.0
    account = system.account.model_copy(update={"starting_balance": balance, "max_leverage": 1_000.0})
    result = run_backtest(system.model_copy(update={"account": account}), {SYMBOL: candles}, close_at_end=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = compute_stats(trades_frame(result), result.equity.equity, ohlc(result), None)
    return result, statistics_of(result, periods_per_year=252), theirs


def ohlc(result: BacktestRun) -> pd.DataFrame:
    frame = result.candles[SYMBOL].frame()
    frame.columns = pd.Index(["Open", "High", "Low", "Close", "Volume"])
    frame.index = pd.DatetimeIndex(frame.index).tz_localize(None)
    return frame


def trades_frame(result: BacktestRun) -> pd.DataFrame:
    """Return our closed trades as the table that backtesting.py makes of its own."""
    open_ms = result.candles[SYMBOL].open_ms
    rows = [
        {
            "EntryBar": int(open_ms.searchsorted(trade.entry_ms, side="right")) - 1,
            "ExitBar": int(open_ms.searchsorted(trade.exit_ms or 0, side="right")) - 1,
            "PnL": trade.profit,
            "ReturnPct": trade.side.sign * ((trade.exit_price or 0) / trade.entry_price - 1)
            - trade.fees / (trade.units * trade.entry_price),
            "Duration": pd.Timedelta(milliseconds=(trade.exit_ms or 0) - trade.entry_ms),
        }
        for trade in result.trades
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("theirs_name", "ours_name", "scale"),
    [
        ("Equity Final [$]", "final_equity", 1),
        ("Equity Peak [$]", "highest_equity", 1),
        ("Return [%]", "total_return", 100),
        ("Return (Ann.) [%]", "annual_return", 100),
        ("Volatility (Ann.) [%]", "volatility", 100),
        ("Sharpe Ratio", "sharpe", 1),
        ("Sortino Ratio", "sortino", 1),
        ("Calmar Ratio", "calmar", 1),
        ("Exposure Time [%]", "exposure", 100),
        ("# Trades", "trade_count", 1),
        ("Win Rate [%]", "win_rate", 100),
        ("Best Trade [%]", "best_trade_return", 100),
        ("Worst Trade [%]", "worst_trade_return", 100),
        ("Avg. Trade [%]", "average_trade_return", 100),
        ("Profit Factor", "return_profit_factor", 1),
        ("Expectancy [%]", "expectancy_return", 100),
        ("SQN", "sqn", 1),
    ],
)
def test_metric_is_that_of_backtesting_py(
    both: tuple[BacktestRun, Statistics, Any], theirs_name: str, ours_name: str, scale: int
) -> None:
    _, ours, theirs = both

    assert getattr(ours, ours_name) * scale == pytest.approx(float(theirs[theirs_name]), rel=1e-9, abs=1e-12)


def test_drawdown_is_that_of_backtesting_py(both: tuple[BacktestRun, Statistics, Any]) -> None:
    result, ours, theirs = both
    candle_s = float((result.candles[SYMBOL].open_ms[1:] - result.candles[SYMBOL].open_ms[:-1]).min()) / 1000

    assert ours.drawdown.fraction * 100 == pytest.approx(theirs["Max. Drawdown [%]"], rel=1e-9)
    # A candle's worth is dated by its close here and by its open there, so a hole in the candles may lie on the border.
    longest_s = theirs["Max. Drawdown Duration"].total_seconds()
    assert ours.drawdown.longest_s == pytest.approx(longest_s, abs=candle_s)


def test_cagr_is_that_of_backtesting_py_over_the_same_time(both: tuple[BacktestRun, Statistics, Any]) -> None:
    _, ours, theirs = both
    their_years = (theirs["Duration"].days + theirs["Duration"].seconds / 86400) / 365.25
    our_years = (ours.end_ms - ours.start_ms) / 86_400_000 / 365.25  # with the last candle's own length

    assert our_years - their_years < 2 / 365
    assert ours.cagr is not None
    expected = (1 + float(theirs["CAGR [%]"]) / 100) ** (their_years / our_years) - 1
    assert ours.cagr == pytest.approx(expected, rel=1e-9)


def test_durations_are_those_of_backtesting_py_to_its_rounding(both: tuple[BacktestRun, Statistics, Any]) -> None:
    result, ours, theirs = both
    candle_s = float((result.candles[SYMBOL].open_ms[1:] - result.candles[SYMBOL].open_ms[:-1]).min()) / 1000

    for seconds, name in (
        (ours.average_duration_s, "Avg. Trade Duration"),
        (ours.longest_duration_s, "Max. Trade Duration"),
    ):
        assert seconds is not None
        assert 0 <= theirs[name].total_seconds() - seconds < candle_s + 1e-6


def test_factor_is_that_of_backtesting_py_but_where_weeks_begin_on_sunday_evening(
    both: tuple[BacktestRun, Statistics, Any],
) -> None:
    weekdays = pd.DatetimeIndex(both[0].candles[SYMBOL].frame().index).day_of_week

    assert statistics_of(both[0]).periods_per_year == (304 if (weekdays == 6).any() else 252)


def test_money_metrics_are_those_of_quantstats_formulas(both: tuple[BacktestRun, Statistics, Any]) -> None:
    result, ours, _ = both
    profits = pd.Series([trade.profit for trade in result.trades])
    returns = pd.Series([trade_return(trade) for trade in result.trades])

    assert ours.profit_factor == pytest.approx(profits[profits >= 0].sum() / abs(profits[profits < 0].sum()))
    assert ours.expectancy == pytest.approx(profits.mean())
    assert ours.average_win == pytest.approx(profits[profits > 0].mean())
    assert ours.average_loss == pytest.approx(profits[profits < 0].mean())
    assert ours.consecutive_wins == count_consecutive(returns > 0)
    assert ours.consecutive_losses == count_consecutive(returns < 0)


def count_consecutive(is_in: "pd.Series[bool]") -> int:
    """quantstats.utils._count_consecutive, and the maximum of it."""
    counted = is_in * (is_in.groupby((is_in != is_in.shift(1)).cumsum()).cumcount() + 1)
    return int(counted.max())


def daily_returns_of(result: BacktestRun) -> "pd.Series[float]":
    at = [datetime.fromtimestamp(ms / 1000 - 1, UTC) for ms in result.equity.close_ms.tolist()]
    equity = pd.Series(result.equity.equity, index=pd.DatetimeIndex(at))
    return equity.resample("D").last().dropna().pct_change().dropna()


def test_daily_volatility_and_sharpe_are_those_of_quantstats(both: tuple[BacktestRun, Statistics, Any]) -> None:
    result, ours, _ = both
    daily = daily_returns_of(result)

    assert ours.daily_volatility == pytest.approx(daily.std() * np.sqrt(252))  # quantstats.stats.volatility
    assert ours.daily_sharpe == pytest.approx(
        daily.mean() / daily.std(ddof=1) * np.sqrt(252)
    )  # quantstats.stats.sharpe


def test_downside_deviation_is_that_of_quantstats(both: tuple[BacktestRun, Statistics, Any]) -> None:
    result, ours, _ = both
    daily = daily_returns_of(result)
    downside = math.sqrt((daily[daily < 0] ** 2).sum() / len(daily))  # quantstats.stats.sortino

    assert ours.annual_return is not None
    assert ours.sortino == pytest.approx(ours.annual_return / (downside * np.sqrt(252)))
