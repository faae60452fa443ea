"""Strategies: the base to build on, those that are shipped, and how one is found by its name."""

from trading.strategies.base import AtrStrategy, Strategy, columns
from trading.strategies.faults import StrategyFault
from trading.strategies.position_rule import ExitNow, MoveStop, PositionRule, PositionView
from trading.strategies.registry import SHIPPED, load_strategy
from trading.strategies.signals import Signals, crossed_above, crossed_below, previous

__all__ = [
    "SHIPPED",
    "AtrStrategy",
    "ExitNow",
    "MoveStop",
    "PositionRule",
    "PositionView",
    "Signals",
    "Strategy",
    "StrategyFault",
    "columns",
    "crossed_above",
    "crossed_below",
    "load_strategy",
    "previous",
]
