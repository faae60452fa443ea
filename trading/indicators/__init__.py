"""Indicators that a strategy computes from candles."""

from trading.indicators.computation import NotFinite, compute, reach
from trading.indicators.indicator import Indicator
from trading.indicators.movement import Floats
from trading.indicators.standard import adx, atr, bollinger, ema, highest, lowest, macd, rsi, sma, stochastic

__all__ = [
    "Floats",
    "Indicator",
    "NotFinite",
    "adx",
    "atr",
    "bollinger",
    "compute",
    "ema",
    "highest",
    "lowest",
    "macd",
    "reach",
    "rsi",
    "sma",
    "stochastic",
]
