"""Apply to rows what the user asked for: close times as open times, and prices that rounding made cross."""

import numpy as np
from numpy.typing import NDArray

from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.local_times import NO_TIME
from trading.market.candles import CLOSE, HIGH, LOW, OPEN
from trading.market.timeframes import Timeframe

Times = NDArray[np.int64]
Floats = NDArray[np.float64]

_LAST_SECOND_MS = 1_000
_MINUTE_MS = 60_000
_MOST = 0.5


def opens_of_closes(close_ms: Times, timeframe: Timeframe) -> Times:
    """Return the open times of candles that are stamped at their close.

    A stamp in the last second of a candle, such as 09:30:59 or 09:30:59.999, is the close one second or less later.
    """
    left_ms = _left_ms(close_ms, timeframe)
    ends_ms = close_ms + np.where(left_ms <= _LAST_SECOND_MS, left_ms, 0)
    has_time = close_ms != NO_TIME
    opens_ms = np.full(len(close_ms), NO_TIME, np.int64)
    if timeframe.is_fixed:
        opens_ms[has_time] = ends_ms[has_time] - timeframe.length_ms
    else:
        opens_ms[has_time] = [timeframe.shifted(one, -1) for one in ends_ms[has_time].tolist()]
    return opens_ms


def check_stamps(where: str, open_ms: Times, timeframe: Timeframe) -> None:
    """Reject times in the last second of each candle: they are close times.

    Raises:
        CandleFileError: Most times are, and would be off the timeframe's grid as open times.
    """
    left_ms = _left_ms(open_ms[open_ms != NO_TIME], timeframe)
    if len(left_ms) and ((left_ms > 0) & (left_ms <= _LAST_SECOND_MS)).mean() > _MOST:
        raise CandleFileError(
            f"{where}: most of its times are in the last second of a candle, so they are close times; set "
            "--stamped-at-close"
        )


def _left_ms(times_ms: Times, timeframe: Timeframe) -> Times:
    """Return the time to the next full minute: candles of an hour and more may begin at each minute."""
    return -times_ms % min(timeframe.grid_ms, _MINUTE_MS)


def clipped(values: Floats) -> Floats:
    """Return values whose high and low contain open and close."""
    wide = values.copy()
    wide[:, HIGH] = np.maximum(values[:, HIGH], np.maximum(values[:, OPEN], values[:, CLOSE]))
    wide[:, LOW] = np.minimum(values[:, LOW], np.minimum(values[:, OPEN], values[:, CLOSE]))
    return wide
