"""Backtests made by hand for the tests of metrics and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trading.backtest import BacktestRun, Decision, Trade
from trading.backtest.result import Equity
from trading.market.candles import Candles
from trading.orders.orders import Side
from trading.structs import replace
from trading_orchestrator.testing.candles import MINUTE_MS, START_MS, SYMBOL, at_place

MONDAY_MS = START_MS
HOUR_MS = 3_600_000
BALANCE = 100.0


def trade_of(profit: float, *, entry: int = 0, held: int = 2, reason: str | None = "signal", **changes: Any) -> Trade:
    """Return a trade of one unit at 100, from the open of one candle to that of a later one."""
    closed: dict[str, Any] = {"exit_ms": at_place(entry + held), "exit_price": 100.0 + profit} if reason else {}
    made = Trade(SYMBOL, "planned", Side.BUY, 1.0, at_place(entry), 100.0, None, None, 0.5, profit, reason, "id")
    return replace(made, **closed, **changes)


def backtest_of(
    equity: Sequence[float],
    trades: Sequence[Trade] = (),
    *,
    timeframe: str = "1m",
    step_ms: int = MINUTE_MS,
    decisions: Sequence[Decision] = (),
    closes: Mapping[str, tuple[float, float]] | None = None,
) -> BacktestRun:
    """Return a replay whose account was worth this at the close of its candles, made by hand."""
    open_ms = MONDAY_MS + np.arange(len(equity), dtype=np.int64) * step_ms
    candles = {}
    for symbol, (first, last) in (closes or {SYMBOL: (100.0, 110.0)}).items():
        price = np.linspace(first, last, len(equity))
        candles[symbol] = Candles(open_ms, np.column_stack([price] * 4 + [price * 0]))
    worth = np.array(equity, np.float64)
    return BacktestRun(
        account="test",
        starting_balance=BALANCE,
        candles=candles,
        timeframes=dict.fromkeys(candles, timeframe),
        fills=[],
        trades=trades,
        positions=[],
        equity=Equity(open_ms + step_ms, worth, worth, worth * 0),
        journals={},
        list_orders=list,
        list_decisions=lambda: decisions,
    )
