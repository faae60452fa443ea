"""Indicators that a strategy computes from candles."""

from trading.indicators.indicator import (
    Floats,
    Indicator,
    NotFinite,
    adx,
    atr,
    bollinger,
    compute,
    ema,
    highest,
    lowest,
    macd,
    reach,
    rsi,
    sma,
    stochastic,
)

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
