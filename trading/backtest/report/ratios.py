"""Ratios and means that are None where they are not defined."""

import math

import numpy as np

from trading.backtest.result import Floats


def geometric_mean(returns: Floats) -> float | None:
    if not len(returns) or not (returns > -1).all():
        return None
    return float(np.exp(np.log1p(returns).mean()) - 1)


def ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else finite(above / below)


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
