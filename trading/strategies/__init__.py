"""Strategies: the base class, and the shipped ones."""

from trading.moved import moved
from trading.strategies.errors import StrategyFault
from trading.strategies.position_exits import ExitNow, MoveStop, PositionRule, PositionView
from trading.strategies.registry import SHIPPED
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
    "previous",
]

__getattr__ = moved(__name__, {"load_strategy": "configs.plugins.strategies"})
