"""Metrics of a backtest; docs/reference/report.md names the external implementation that each one equals."""

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from trading.backtest.report.daily_returns import (
    DAY_MS,
    YEAR_DAYS,
    annual_return,
    annual_volatility,
    daily_returns,
    daily_sharpe,
    daily_volatility,
    downside_deviation,
    periods_of,
)
from trading.backtest.report.drawdown import Drawdown, drawdown_of
from trading.backtest.report.ratios import geometric_mean, ratio
from trading.backtest.result import BacktestRun, Equity, Floats, Times, Trade

_LOST = 0.001
"""Fraction of the starting balance at which the account counts as lost: later returns are only noise."""


class Statistics(Struct, frozen=True):
    """Metrics of a backtest. Fractions: 0.1 is 10 %. Money is in quote currency. None if undefined.

    Attributes:
        start_ms: Open time of the first candle.
        end_ms: Close time of the last candle.
        starting_balance: Balance before the first order.
        final_equity: Equity at the last close, before the fees of closing.
        highest_equity: Highest equity at any close, or at the start.
        fees: Fees of all trades, including open ones.
        total_return: `final_equity / starting_balance - 1`.
        annual_return: Geometric mean of the daily returns, to the power of `periods_per_year`, minus 1.
        cagr: `(1 + total_return) ** (1 / years) - 1`, a year being 365.25 days of the calendar.
        periods_per_year: The annualisation factor: 252 for a week of any five days, 304 for six (five that begin on
            Sunday evening), 365 for seven; for candles longer than a day, as many as a year has.
        return_count: Number of daily returns behind the four ratios; a small number makes them unreliable.
        volatility: Annualised standard deviation of compounded daily returns.
        sharpe: `annual_return / volatility`, the risk-free rate being 0.
        sortino: `annual_return` over the annualised downside deviation: root of the mean square of daily losses.
        calmar: `annual_return` over the depth of the deepest drawdown.
        daily_volatility: Standard deviation of the daily returns, times the root of `periods_per_year`.
        daily_sharpe: Mean of the daily returns over their standard deviation, times the same root.
        lost_ms: First close with a thousandth of the starting balance or less; all annual figures are None then.
        drawdown: The deepest and the longest drawdown.
        trade_count: Closed trades; all following metrics are about those.
        open_count: Trades still open at the end.
        win_count: Trades that made money, after fees.
        loss_count: Trades that lost money, after fees.
        win_rate: `win_count / trade_count`.
        net_profit: Sum of the profits after fees.
        gross_profit: Sum of the profits of winning trades.
        gross_loss: Sum of the losses of losing trades, positive.
        profit_factor: `gross_profit / gross_loss`.
        return_profit_factor: The same from the trades' returns, independent of their size.
        expectancy: Mean profit of a trade.
        expectancy_return: Mean return of a trade; a trade's return is its profit over `units * entry_price`.
        average_trade_return: Geometric mean of the returns of the trades.
        best_trade: Highest profit.
        worst_trade: Lowest profit.
        best_trade_return: Highest return.
        worst_trade_return: Lowest return.
        average_win: Mean profit of winning trades.
        average_loss: Mean loss of losing trades, negative.
        average_duration_s: Mean time from first to last fill.
        longest_duration_s: Longest time from first to last fill.
        consecutive_wins: Most winning trades in a row, by the time of their exit.
        consecutive_losses: Most losing trades in a row.
        sqn: System quality number: `sqrt(trade_count) * mean / standard deviation` of the profits.
        exposure: Fraction of the candles during which a position was open, entry and exit candles included.
    """

    start_ms: int
    end_ms: int
    starting_balance: float
    final_equity: float
    highest_equity: float
    fees: float
    total_return: float
    annual_return: float | None
    cagr: float | None
    periods_per_year: float
    return_count: int
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    daily_volatility: float | None
    daily_sharpe: float | None
    lost_ms: int | None
    drawdown: Drawdown
    trade_count: int
    open_count: int
    win_count: int
    loss_count: int
    win_rate: float | None
    net_profit: float
    gross_profit: float
    gross_loss: float
    profit_factor: float | None
    return_profit_factor: float | None
    expectancy: float | None
    expectancy_return: float | None
    average_trade_return: float | None
    best_trade: float | None
    worst_trade: float | None
    best_trade_return: float | None
    worst_trade_return: float | None
    average_win: float | None
    average_loss: float | None
    average_duration_s: float | None
    longest_duration_s: float | None
    consecutive_wins: int
    consecutive_losses: int
    sqn: float | None
    exposure: float


def statistics_of(result: BacktestRun, *, periods_per_year: float | None = None) -> Statistics:
    """Compute all metrics.

    Args:
        periods_per_year: The annualisation factor; None derives it from the times of the candles.

    Raises:
        ValueError: `periods_per_year` is not positive.
    """
    if periods_per_year is not None and not 0 < periods_per_year < math.inf:
        raise ValueError(f"periods_per_year is {periods_per_year}: allowed is a positive number, such as 252")
    start_ms = min(int(candles.open_ms[0]) for candles in result.candles.values())
    at_ms, worth = with_start(result.equity, start_ms, result.starting_balance)
    drawdown = drawdown_of(at_ms, worth)
    factor = periods_per_year or periods_of(result)
    lost_ms = _first_ms(at_ms, worth <= worth[0] * _LOST)
    returns = daily_returns(result.equity, result.day) if lost_ms is None else np.empty(0)
    annual, volatility = annual_return(returns, factor), annual_volatility(returns, factor)
    end_ms = int(at_ms[-1])
    years = (end_ms - start_ms) / DAY_MS / YEAR_DAYS
    closed = [trade for trade in result.trades if trade.exit_ms is not None]
    profits, their_returns = (
        np.array([trade.profit for trade in closed]),
        np.array([one for one in map(trade_return, closed) if one is not None]),
    )
    durations_s = np.array([((trade.exit_ms or 0) - trade.entry_ms) / 1000 for trade in closed])
    wins, losses = profits[profits > 0], profits[profits < 0]
    wins_in_a_row, losses_in_a_row = streaks(profits)
    return Statistics(
        start_ms=start_ms,
        end_ms=end_ms,
        starting_balance=result.starting_balance,
        final_equity=float(worth[-1]),
        highest_equity=float(worth.max()),
        fees=math.fsum(trade.fees for trade in result.trades),
        total_return=float(worth[-1] / worth[0] - 1),
        annual_return=annual,
        cagr=None if lost_ms is not None else _growth(float(worth[-1] / worth[0]), years),
        periods_per_year=factor,
        return_count=len(returns),
        volatility=volatility,
        sharpe=ratio(annual, volatility),
        sortino=ratio(annual, downside_deviation(returns, factor)),
        calmar=ratio(annual, -drawdown.fraction),
        daily_volatility=daily_volatility(returns, factor),
        daily_sharpe=daily_sharpe(returns, factor),
        lost_ms=lost_ms,
        drawdown=drawdown,
        trade_count=len(closed),
        open_count=len(result.trades) - len(closed),
        win_count=len(wins),
        loss_count=len(losses),
        win_rate=ratio(len(wins), len(closed)),
        net_profit=math.fsum(profits),
        gross_profit=math.fsum(wins),
        gross_loss=abs(math.fsum(losses)),
        profit_factor=profit_factor(profits),
        return_profit_factor=profit_factor(their_returns),
        expectancy=_mean(profits),
        expectancy_return=_mean(their_returns),
        average_trade_return=geometric_mean(their_returns),
        best_trade=_highest(profits),
        worst_trade=_lowest(profits),
        best_trade_return=_highest(their_returns),
        worst_trade_return=_lowest(their_returns),
        average_win=_mean(wins),
        average_loss=_mean(losses),
        average_duration_s=_mean(durations_s),
        longest_duration_s=_highest(durations_s),
        consecutive_wins=wins_in_a_row,
        consecutive_losses=losses_in_a_row,
        sqn=_quality(profits),
        exposure=exposure_of(result.equity.close_ms, result.trades),
    )


def with_start(equity: Equity, start_ms: int, starting_balance: float) -> tuple[Times, Floats]:
    """Return times and equity of the account, beginning with the starting balance at the first candle's open."""
    return np.append(start_ms, equity.close_ms), np.append(starting_balance, equity.equity)


def trade_return(trade: Trade) -> float | None:
    """Return a trade's profit over the value of its entry, as a fraction; None for an entry at zero or below."""
    return trade.profit / (trade.units * trade.entry_price) if trade.entry_price > 0 else None


def profit_factor(profits: Floats) -> float | None:
    """Return total wins over total losses; None without losses."""
    return ratio(math.fsum(profits[profits > 0]), abs(math.fsum(profits[profits < 0])))


def streaks(profits: Floats) -> tuple[int, int]:
    """Return the most consecutive wins and losses; a trade at exactly zero ends both."""
    return _longest_run(profits > 0), _longest_run(profits < 0)


def exposure_of(close_ms: Times, trades: Sequence[Trade]) -> float:
    """Return the fraction of candles with an open position; entry and exit candles are included."""
    change = np.zeros(len(close_ms) + 1, np.int64)
    entries = close_ms.searchsorted([trade.entry_ms for trade in trades], side="right")
    ends_ms = [close_ms[-1] - 1 if trade.exit_ms is None else trade.exit_ms for trade in trades]
    exits = np.minimum(close_ms.searchsorted(ends_ms, side="right"), len(close_ms) - 1)
    np.add.at(change, entries, 1)
    np.add.at(change, exits + 1, -1)
    return float((np.cumsum(change)[:-1] > 0).mean())


def _first_ms(at_ms: Times, is_so: NDArray[np.bool_]) -> int | None:
    return int(at_ms[is_so.argmax()]) if is_so.any() else None


def _longest_run(is_in: NDArray[np.bool_]) -> int:
    bounds = np.flatnonzero(np.diff(np.concatenate(([False], is_in, [False])).astype(np.int8)))
    return int((bounds[1::2] - bounds[::2]).max()) if len(bounds) else 0


def _growth(ratio: float, years: float) -> float | None:
    if ratio <= 0 or years <= 0:
        return None
    exponent = math.log(ratio) / years
    return math.expm1(exponent) if exponent < 700 else None  # e ** 710 exceeds the range of a float


def _quality(profits: Floats) -> float | None:
    if len(profits) < 2:
        return None
    return ratio(math.sqrt(len(profits)) * float(profits.mean()), float(profits.std(ddof=1)))


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _highest(values: Floats) -> float | None:
    return float(values.max()) if len(values) else None


def _lowest(values: Floats) -> float | None:
    return float(values.min()) if len(values) else None
