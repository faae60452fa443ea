"""Tables of a replay: the trades in groups, the months, what refused signals, and what the market did."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct

from trading.backtest.report.drawdown import depths
from trading.backtest.report.statistics import profit_factor, with_start
from trading.backtest.result import BacktestRun, Floats, Trade
from trading.market.candles import CLOSE


class Group(Struct, frozen=True):
    """Closed trades that have one thing in common; money in quote currency, None where it is not defined.

    Attributes:
        name: What they have in common.
        trades: How many.
        wins: Of them, how many made money after fees.
        win_rate: As a fraction.
        profit: Sum after fees.
        fees: Sum.
        expectancy: Mean profit of a trade.
        best: Highest profit.
        worst: Lowest profit.
        profit_factor: What was won over what was lost.
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
        month: Such as 2026-03.
        trades: Trades closed in it.
        wins: Of them, how many made money after fees.
        profit: Realised by them, after fees.
        change: Equity at the end on that before, as a fraction; None where that was not positive.
        deepest: The account below its peak at the worst close of the month, as a fraction, 0 or negative.
    """

    month: str
    trades: int
    wins: int
    profit: float
    change: float | None
    deepest: float


class Refusal(Struct, frozen=True):
    """How often a rule refused a signal of a symbol."""

    rule: str
    symbol: str
    signals: int


class MarketChange(Struct, frozen=True):
    """What buying at the first close and holding would have come to, before costs.

    Attributes:
        symbol: The symbol, or `mean` for the mean of all.
        first_close: None for the mean.
        last_close: None for the mean.
        change: `last_close / first_close - 1`.
    """

    symbol: str
    first_close: float | None
    last_close: float | None
    change: float


def groups_of(trades: Iterable[Trade], name: Callable[[Trade], str]) -> list[Group]:
    """Put closed trades into groups by their name; the group that made most comes first."""
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


def refusals_of(result: BacktestRun) -> list[Refusal]:
    """Return which rules refused how many signals, the busiest first."""
    counts = Counter((one.rule, one.symbol) for one in result.decisions if one.outcome == "refused")
    return [Refusal(rule, symbol, count) for (rule, symbol), count in counts.most_common()]


def market_of(result: BacktestRun) -> list[MarketChange]:
    """Return what each symbol did, and their mean where there are several."""
    rows = []
    for symbol, candles in result.candles.items():
        first, last = float(candles.values[0, CLOSE]), float(candles.values[-1, CLOSE])
        rows.append(MarketChange(symbol, first, last, last / first - 1))
    if len(rows) == 1:
        return rows
    return [*rows, MarketChange("mean", None, None, math.fsum(row.change for row in rows) / len(rows))]


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
