"""Annualisation: the number of daily returns a year, by the candles and the days of the account."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest

from tests.unit.trading.backtest.report.made_backtests import BALANCE, HOUR_MS, MONDAY_MS, backtest_of
from trading.backtest import BacktestRun
from trading.backtest.report import statistics_of
from trading.backtest.report.daily_returns import DAY_MS
from trading.backtest.result import Equity
from trading.market.trading_days import UTC_DAY, TradingDay
from trading_orchestrator.testing.candles import MINUTE_MS


@pytest.mark.parametrize(
    ("days", "timeframe", "step_ms", "factor"),
    [
        (14, "1d", DAY_MS, 365),
        (5, "1d", DAY_MS, 252),
        (60 * 24, "1m", MINUTE_MS, 252),
        (20, "7d", 7 * DAY_MS, 52),
        (20, "30d", 30 * DAY_MS, 12),
    ],
    ids=["with weekends", "weekdays", "one weekday", "weeks", "months"],
)
def test_factor_follows_the_candles(days: int, timeframe: str, step_ms: int, factor: int) -> None:
    made = backtest_of([BALANCE] * days, timeframe=timeframe, step_ms=step_ms)

    assert statistics_of(made).periods_per_year == factor
    assert statistics_of(made, periods_per_year=260).periods_per_year == 260


def run_closing(hours: Sequence[int], *, day: TradingDay = UTC_DAY, timeframe: str = "1d") -> BacktestRun:
    """Return a backtest of candles that close so many hours after a Monday 00:00 UTC."""
    worth = np.full(len(hours), BALANCE)
    close_ms = MONDAY_MS + np.array(hours, np.int64) * HOUR_MS
    made = backtest_of(worth.tolist(), timeframe=timeframe, step_ms=DAY_MS)
    return dataclasses.replace(made, equity=Equity(close_ms, worth, worth, worth * 0), day=day)


@pytest.mark.parametrize(
    ("weekdays", "factor"),
    [
        ((0, 1, 2, 3, 4), 252),
        ((6, 0, 1, 2, 3), 252),  # Sunday to Thursday, as in Riyadh and Tel Aviv
        ((5, 6, 0, 1, 2), 252),  # any five days are a week
        ((6, 0, 1, 2, 3, 4), 304),
        ((0, 1, 2, 3, 4, 5, 6), 365),
        ((0, 2, 4), 156),
    ],
)
@pytest.mark.parametrize("weeks", [3, 104])
def test_factor_counts_the_days_of_the_week_on_which_the_market_trades(
    weekdays: tuple[int, ...], factor: int, weeks: int
) -> None:
    days = [7 * week + day for week in range(weeks) for day in sorted(weekdays)]
    without_holidays = days if weeks < 10 else [day for place, day in enumerate(days) if place % 30]

    assert statistics_of(run_closing([24 * (day + 1) for day in without_holidays])).periods_per_year == factor


def test_factor_of_one_week_from_sunday_to_thursday_is_of_five_days() -> None:
    assert statistics_of(run_closing([0, 24, 48, 72, 96])).periods_per_year == 252


@pytest.mark.parametrize(("timeframe", "factor"), [("1w", 52), ("1M", 12), ("3M", 4), ("12M", 1)])
def test_factor_of_longer_candles_is_their_number_in_a_year(timeframe: str, factor: int) -> None:
    assert statistics_of(run_closing([24, 2_400, 4_800], timeframe=timeframe)).periods_per_year == factor


def test_days_of_returns_are_those_of_the_account() -> None:
    week = [-1, 20, 44, 68, 92, 116]  # Sunday 23:00 UTC, then 20:00 from Monday to Friday
    hours = [168 * number + hour for number in range(8) for hour in week]
    new_york = TradingDay(starts="17:00", timezone="America/New_York")

    of_utc, of_account = (statistics_of(run_closing(hours, day=day, timeframe="1h")) for day in (UTC_DAY, new_york))
    assert (of_utc.periods_per_year, of_utc.return_count) == (304, 47)
    assert (of_account.periods_per_year, of_account.return_count) == (252, 39)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_factor_that_is_not_positive_is_rejected(factor: float) -> None:
    with pytest.raises(ValueError, match="allowed is a positive number"):
        statistics_of(backtest_of([BALANCE]), periods_per_year=factor)
