"""Returns of the days of an account, and their annualised values.

The days are those of the account, UTC days by default: a return goes from the last close of one day with candles to
that of the next, as in backtesting.py and quantstats. Annualised values are compounded, as in backtesting.py, and name
their factor; "daily" values are not, as in quantstats.
"""

import math

import numpy as np

from trading.backtest.report.ratios import finite, geometric_mean, ratio
from trading.backtest.result import BacktestRun, Equity, Floats, Times
from trading.market.timeframes import Timeframe
from trading.market.trading_days import UTC_DAY, TradingDay

DAY_MS = 86_400_000
YEAR_DAYS = 365.25
_DAYS_OF_WEEK = {5: 252, 6: 304, 7: 365}
"""Daily returns a year by the days of a week: 52 weeks, less the holidays where the market rests at the weekend."""
_WEEKS_A_YEAR = 52
_SURE_DAYS = 13
"""From two weeks on, the days of the week on which a market trades are counted."""
_WEEKEND_SHARE = 2 / 7 * 0.6
"""Share of weekend candles above which a market counts as trading on weekends, as in backtesting.py."""

_SUNDAY = 6


def periods_of(result: BacktestRun) -> float:
    """Return the daily returns per year, fewer for candles longer than a day; see docs/reference/report.md."""
    shortest = min((Timeframe.parse(name) for name in result.timeframes.values()), key=lambda one: one.length_ms)
    if shortest.length_ms > DAY_MS:
        in_months = 12 // shortest.count
        return in_months if shortest.unit == "M" else round(YEAR_DAYS * DAY_MS / shortest.length_ms) or 1
    candle_days = _days(result.equity.close_ms, result.day)
    days = np.unique(candle_days)
    if days[-1] - days[0] < _SURE_DAYS:
        return _DAYS_OF_WEEK[_usual_week(candle_days)]
    counts = np.bincount((days + 3) % 7, minlength=7)  # day 0 of the epoch was a Thursday
    traded = int((2 * counts > counts.max()).sum())
    return _DAYS_OF_WEEK.get(traded, traded * _WEEKS_A_YEAR)


def _usual_week(candle_days: Times) -> int:
    """Return the days of a market's week from less than two weeks of candles, by the share of its weekends."""
    weekdays = (candle_days + 3) % 7
    if (weekdays >= _SUNDAY - 1).mean() > _WEEKEND_SHARE and (weekdays == _SUNDAY - 1).any():
        return 7
    weekdays = (np.unique(candle_days) + 3) % 7
    has_sundays = (weekdays == _SUNDAY).any() and not _is_from_sunday(weekdays)
    return 6 if has_sundays else 5


def _is_from_sunday(weekdays: Times) -> bool:
    """Return whether the days are a week from Sunday to Thursday."""
    return bool((weekdays == _SUNDAY).any() and (weekdays == _SUNDAY - 3).any() and not (weekdays == _SUNDAY - 2).any())


def daily_returns(equity: Equity, day: TradingDay = UTC_DAY) -> Floats:
    """Return each day's return on the previous day with candles; the first day is the base."""
    days = _days(equity.close_ms, day)
    ends = equity.equity[np.flatnonzero(np.diff(days, append=days[-1] + 1))]
    with np.errstate(divide="ignore", invalid="ignore"):
        return ends[1:] / ends[:-1] - 1


def annual_return(returns: Floats, factor: float) -> float | None:
    """Return the compounded yearly return; None without returns, or if the account was lost."""
    mean = geometric_mean(returns)
    return None if mean is None else finite((1 + mean) ** factor - 1)


def annual_volatility(returns: Floats, factor: float) -> float | None:
    """Return the standard deviation of a year's compounded return as backtesting.py does."""
    mean = geometric_mean(returns)
    if mean is None or len(returns) < 2:
        return None
    growth = (1 + mean) ** 2
    return finite(math.sqrt(max((float(returns.var(ddof=1)) + growth) ** factor - growth**factor, 0.0)))


def daily_volatility(returns: Floats, factor: float) -> float | None:
    """Return the standard deviation of the daily returns times the root of the factor, as quantstats does."""
    return None if len(returns) < 2 else finite(float(returns.std(ddof=1)) * math.sqrt(factor))


def daily_sharpe(returns: Floats, factor: float) -> float | None:
    """Return mean over standard deviation of the daily returns times the root of the factor, as quantstats does."""
    volatility = daily_volatility(returns, factor)
    return None if volatility is None else ratio(float(returns.mean()) * factor, volatility)


def downside_deviation(returns: Floats, factor: float) -> float | None:
    """Return the root of the mean square of losing days, over all days, times the root of the factor."""
    if not len(returns):
        return None
    return math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)) * factor)


def _days(close_ms: Times, day: TradingDay) -> Times:
    return day.numbers_of(close_ms - 1)  # a candle that closes at midnight belongs to the day that ends
