"""Strategies: the base to build on, those that are shipped, and how one is found by its name."""

from trading.strategies.errors import StrategyFault
from trading.strategies.position_exits import ExitNow, MoveStop, PositionRule, PositionView
from trading.strategies.registry import SHIPPED, load_strategy
from trading.strategies.signal_builder import SignalBuilder, Signals, crossed_above, crossed_below, previous
from trading.strategies.strategy import AtrStrategy, Strategy, columns

__all__ = [
    "SHIPPED",
    "AtrStrategy",
    "ExitNow",
    "MoveStop",
    "PositionRule",
    "PositionView",
    "SignalBuilder",
    "Signals",
    "Strategy",
    "StrategyFault",
    "columns",
    "crossed_above",
    "crossed_below",
    "load_strategy",
    "previous",
]
