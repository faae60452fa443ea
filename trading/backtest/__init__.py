"""Backtests: history through the same services as live trading, in market order, with the results."""

from trading.backtest.engine import Feed, play
from trading.backtest.result import BacktestRun, Decision, Equity, Order, Trade

__all__ = ["BacktestRun", "Decision", "Equity", "Feed", "Order", "Trade", "play"]
