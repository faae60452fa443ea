"""Find closed hours that a file fills with flat candles without volume, as Dukascopy's exports do."""

import numpy as np
from numpy.typing import NDArray

from trading.market.candles import CLOSE, HIGH, LOW, OPEN, VOLUME
from trading.market.gaps import GapKind, Hours, find_gaps
from trading.market.timeframes import Timeframe

Times = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_DAY_MS = 86_400_000


def filled_closed_hours(
    open_ms: Times, values: Floats, *, timeframe: Timeframe, are_open: Hours | None = None
) -> Flags:
    """Flag flat candles without volume in hours in which the market is closed.

    Args:
        open_ms: Open times, ascending and unique.
        values: Shape (n, 5): open, high, low, close, volume of the same candles.
        timeframe: Of the candles.
        are_open: The trading hours, if known. Beside them, weekends count as closed if the candles of most Saturdays
            are flat and without volume, and then breaks at the same time of each day too.
    """
    prices = values[:, [OPEN, HIGH, LOW, CLOSE]]
    is_flat = (prices == prices[:, :1]).all(axis=1) & (values[:, VOLUME] == 0)
    if not is_flat.any():
        return np.zeros(len(open_ms), np.bool_)
    is_closed = _closed_by_pattern(open_ms, is_flat, timeframe)
    if are_open is not None:
        is_closed |= outside_hours(open_ms, timeframe=timeframe, are_open=are_open)
    return np.asarray(is_flat & is_closed)


def outside_hours(open_ms: Times, *, timeframe: Timeframe, are_open: Hours) -> Flags:
    """Flag candles, in ascending order, that begin and end in closed hours; one of a day or more is never outside."""
    if timeframe.length_ms >= _DAY_MS:
        return np.zeros(len(open_ms), np.bool_)
    return np.asarray(~are_open(open_ms) & ~are_open(timeframe.closes(open_ms) - 1))


def _closed_by_pattern(open_ms: Times, is_flat: Flags, timeframe: Timeframe) -> Flags:
    is_closed = np.zeros(len(open_ms), np.bool_)
    traded = open_ms[~is_flat]
    if len(traded) < 2:
        return is_closed
    gaps = find_gaps(traded, timeframe=timeframe)
    if not any(gap.kind is GapKind.WEEKEND for gap in gaps):
        return is_closed
    for gap in gaps:
        if gap.kind in (GapKind.WEEKEND, GapKind.BREAK):
            is_closed[np.searchsorted(open_ms, gap.after_ms, "right") : np.searchsorted(open_ms, gap.until_ms)] = True
    return is_closed
