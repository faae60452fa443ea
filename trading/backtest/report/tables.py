"""Tables of a backtest: grouped trades, months, rejected signals, and market changes."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct

from trading.backtest.report.drawdown import depths
from trading.backtest.report.statistics import profit_factor, with_start
from trading.backtest.result import BacktestRun, Decision, Floats, Trade
from trading.market.candles import CLOSE
from trading.risk.verdict import WITHOUT_EFFECT


class Group(Struct, frozen=True):
    """Closed trades with a common property; money in quote currency, None if undefined.

    Attributes:
        name: The common property.
        trades: Number of trades.
        wins: Number of trades with a profit after fees.
        win_rate: As a fraction.
        profit: Total profit after fees.
        fees: Total fees.
        expectancy: Mean profit of a trade.
        best: Highest profit.
        worst: Lowest profit.
        profit_factor: Total wins over total losses.
        average_duration_s: Mean time from first to last fill.
    """

    name: str
    trades: int
    wins: int
    win_rate: float
    profit: float
    fees: float
    expectancy: float
    best: float
    worst: float
    profit_factor: float | None
    average_duration_s: float


class Month(Struct, frozen=True):
    """One UTC month of the account.

    Attributes:
        month: For example 2026-03.
        trades: Number of trades closed in it.
        wins: Number of those with a profit after fees.
        profit: Their realised profit, after fees.
        change: Relative change of the equity since the end of the previous month; None if that was not positive.
        deepest: Deepest drawdown at any close of the month, as a fraction, 0 or negative.
    """

    month: str
    trades: int
    wins: int
    profit: float
    change: float | None
    deepest: float


class Refusal(Struct, frozen=True):
    """The number of a symbol's signals that a rule rejected."""

    rule: str
    symbol: str
    signals: int


class MarketChange(Struct, frozen=True):
    """The result of buying at the first close and holding, before costs.

    Attributes:
        symbol: The symbol, or `mean` for the mean of all.
        first_close: None for the mean.
        last_close: None for the mean.
        change: `last_close / first_close - 1`; None if the first close is not above zero.
    """

    symbol: str
    first_close: float | None
    last_close: float | None
    change: float | None


def groups_of(trades: Iterable[Trade], name: Callable[[Trade], str]) -> list[Group]:
    """Group closed trades by name, most profitable group first."""
    found: dict[str, list[Trade]] = {}
    for trade in trades:
        if trade.exit_ms is not None:
            found.setdefault(name(trade), []).append(trade)
    groups = [_group(name, members) for name, members in found.items()]
    return sorted(groups, key=lambda group: (-group.profit, group.name))


def months_of(result: BacktestRun) -> list[Month]:
    """Return each month that has candles, oldest first."""
    start_ms = min(int(candles.open_ms[0]) for candles in result.candles.values())
    at_ms, worth = with_start(result.equity, start_ms, result.starting_balance)
    depth = depths(worth)
    by_month = (at_ms[1:] - 1).astype("datetime64[ms]").astype("datetime64[M]")
    months, firsts = np.unique(by_month, return_index=True)
    ends = np.append(firsts[1:], len(by_month))
    closed: dict[str, list[Trade]] = {}
    for trade in result.trades:
        if trade.exit_ms is not None:
            closed.setdefault(f"{datetime.fromtimestamp(trade.exit_ms / 1000, UTC):%Y-%m}", []).append(trade)
    return [
        _month(
            str(month), closed.get(str(month), []), float(worth[first]), float(worth[end]), depth[first + 1 : end + 1]
        )
        for month, first, end in zip(months, firsts.tolist(), ends.tolist(), strict=True)
    ]


def is_refused(decision: Decision) -> bool:
    """Return whether a rule rejected a signal that would have had an effect."""
    return decision.outcome == "refused" and decision.rule not in WITHOUT_EFFECT


def is_without_effect(decision: Decision) -> bool:
    """Return whether a signal asked for what was so already: a close with nothing open, a second entry."""
    return decision.outcome == "refused" and decision.rule in WITHOUT_EFFECT


def refusals_of(decisions: Iterable[Decision]) -> list[Refusal]:
    """Count signals that no order followed by rule and symbol, most frequent first."""
    counts = Counter((one.rule, one.symbol) for one in decisions)
    return [Refusal(rule, symbol, count) for (rule, symbol), count in counts.most_common()]


def market_of(result: BacktestRun) -> list[MarketChange]:
    """Return each symbol's price change, and their mean if there are several."""
    rows = []
    for symbol, candles in result.candles.items():
        first, last = float(candles.values[0, CLOSE]), float(candles.values[-1, CLOSE])
        rows.append(MarketChange(symbol, first, last, last / first - 1 if first > 0 else None))
    if len(rows) == 1:
        return rows
    changes = [row.change for row in rows if row.change is not None]
    return [*rows, MarketChange("mean", None, None, math.fsum(changes) / len(changes) if changes else None)]


def _group(name: str, trades: Sequence[Trade]) -> Group:
    profits = np.array([trade.profit for trade in trades])
    wins = int((profits > 0).sum())
    return Group(
        name=name,
        trades=len(trades),
        wins=wins,
        win_rate=wins / len(trades),
        profit=math.fsum(profits),
        fees=math.fsum(trade.fees for trade in trades),
        expectancy=float(profits.mean()),
        best=float(profits.max()),
        worst=float(profits.min()),
        profit_factor=profit_factor(profits),
        average_duration_s=sum((trade.exit_ms or 0) - trade.entry_ms for trade in trades) / len(trades) / 1000,
    )


def _month(month: str, trades: Sequence[Trade], before: float, after: float, depth: Floats) -> Month:
    return Month(
        month=month,
        trades=len(trades),
        wins=sum(trade.profit > 0 for trade in trades),
        profit=math.fsum(trade.profit for trade in trades),
        change=after / before - 1 if before > 0 else None,
        deepest=float(depth.min()),
    )
