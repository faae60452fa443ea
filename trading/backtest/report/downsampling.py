"""Reduce curves and candles for drawing; the extremes are kept."""

import numpy as np

from trading.backtest.report.drawdown import depths
from trading.backtest.result import Floats, Times
from trading.market.candles import CLOSE, HIGH, LOW, OPEN, VOLUME, Candles


def thinned(equity: Floats, *, parts: int) -> Times:
    """Return the positions of an equity curve to draw: per part the highest, the lowest and the deepest drawdown.

    Args:
        equity: At least one value; the first one is positive.
        parts: Number of equal parts that the curve is divided into.

    Returns:
        Ascending positions including first and last; at most `3 * parts + 2`, all if there are no more.
    """
    count = len(equity)
    if count <= 3 * parts:
        return np.arange(count)
    starts = np.linspace(0, count, parts, endpoint=False).astype(np.int64)
    ends = np.append(starts[1:], count)
    depth = depths(equity)
    extremes = [
        (start + equity[start:end].argmin(), start + equity[start:end].argmax(), start + depth[start:end].argmin())
        for start, end in zip(starts, ends, strict=True)
    ]
    return np.unique(np.append(np.ravel(extremes), [0, count - 1]))


def joined(candles: Candles, *, each: int) -> Candles:
    """Combine `each` candles into a bar, counted from the first; the last bar may contain fewer."""
    if each <= 1 or not len(candles):
        return candles
    starts = np.arange(0, len(candles), each)
    ends = np.append(starts[1:], len(candles)) - 1
    values = candles.values
    bars = np.empty((len(starts), values.shape[1]))
    bars[:, OPEN], bars[:, CLOSE] = values[starts, OPEN], values[ends, CLOSE]
    bars[:, HIGH] = np.maximum.reduceat(values[:, HIGH], starts)
    bars[:, LOW] = np.minimum.reduceat(values[:, LOW], starts)
    bars[:, VOLUME] = np.add.reduceat(values[:, VOLUME], starts)
    return Candles(candles.open_ms[starts], bars)
