"""History through the same services as life: the order of events, and what came of them."""

from trading.backtest.engine import Feed, play
from trading.backtest.result import Decision, Equity, Order, Replay, Trade

__all__ = ["Decision", "Equity", "Feed", "Order", "Replay", "Trade", "play"]
