"""History through the same services as life: the order of events, and what came of them."""

from trading.backtest.engine import Feed, play
from trading.backtest.result import BacktestRun, Decision, Equity, Order, Trade

__all__ = ["BacktestRun", "Decision", "Equity", "Feed", "Order", "Trade", "play"]
