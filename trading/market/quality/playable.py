"""The one rule of which rows of a file can be played; `first_fault` applies the same rule to candles in order."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trading.market.quality.prices import VALUE_FAULTS, value_faults
from trading.market.timeframes import Timeframe

Times = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BEFORE_1970, OFF_THE_GRID = "before 1970", "off the grid"

ROW_FAULTS: Mapping[str, str] = {
    **VALUE_FAULTS,
    BEFORE_1970: "the time is before 1970, where playback begins",
    OFF_THE_GRID: "the time is not on the grid of most rows",
}
"""In the order of the checks: a row gets the first fault that fits."""


def row_faults(
    open_ms: Times, values: Floats, *, timeframe: Timeframe, phase_ms: int = 0, allow_non_positive: bool = False
) -> Mapping[str, Flags]:
    """Flag the rows of each of `ROW_FAULTS`; each row has at most one.

    Args:
        open_ms: Open times.
        values: Shape (n, 5): open, high, low, close, volume.
        timeframe: Of the candles.
        phase_ms: Time after a full unit of the timeframe's grid at which the candles begin, see `phase_of`.
        allow_non_positive: Prices may be zero or negative.
    """
    faults = dict(value_faults(values, allow_non_positive=allow_non_positive))
    is_reported = np.logical_or.reduce(list(faults.values()))
    faults[BEFORE_1970] = (open_ms < 0) & ~is_reported
    is_reported |= faults[BEFORE_1970]
    faults[OFF_THE_GRID] = ((open_ms - phase_ms) % timeframe.grid_ms != 0) & ~is_reported
    return faults
