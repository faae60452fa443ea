"""Convert the times of a clock to UTC; a time that the clock shows twice is decided by its neighbours."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading.market.quality import usual_spacing_ms
from trading.market.time_zones import Zone

Times = NDArray[np.int64]
Flags = NDArray[np.bool_]

NO_TIME = np.iinfo(np.int64).min
"""Placeholder for a time that could not be read."""
_HOUR_MS = 3_600_000


def utc_ms(times: pd.DatetimeIndex) -> Times:
    """Return times as milliseconds since the epoch; `NO_TIME` for a missing one."""
    utc = times if times.tz is None else times.tz_convert("UTC")
    open_ms: Times = utc.as_unit("ms").asi8.copy()
    open_ms[np.asarray(utc.isna())] = NO_TIME
    return open_ms


def to_utc_ms(walls: pd.DatetimeIndex, zone: Zone) -> Times:
    """Return the times of a zone's clock in UTC; `NO_TIME` for one that the clock skips, or that is missing."""
    walls = walls - zone.ahead
    first, second = (_utc_of_walls(walls, zone, is_first=is_first) for is_first in (True, False))
    first, second = np.minimum(first, second), np.maximum(first, second)
    is_twice = first != second
    if not is_twice.any():
        return first
    readable = first[first != NO_TIME]
    if (np.diff(readable) < 0).mean() > 0.5:  # newest first
        return _decided(first[::-1], second[::-1], is_twice[::-1])[::-1].copy()
    return _decided(first, second, is_twice)


def _utc_of_walls(walls: pd.DatetimeIndex, zone: Zone, *, is_first: bool) -> Times:
    flags: Any = np.full(len(walls), is_first)
    return utc_ms(walls.tz_localize(zone.name, ambiguous=flags, nonexistent="NaT"))


def _decided(first: Times, second: Times, is_twice: Flags) -> Times:
    """Choose between both times of each row; the rows are in order of time."""
    known = first[~is_twice & (first != NO_TIME)]
    spacing_ms = usual_spacing_ms(known) or 0
    open_ms = first.copy()
    for begin, end in _runs(first, is_twice):
        if _is_second(open_ms, second, is_twice, begin, end, spacing_ms):
            open_ms[begin:end] = second[begin:end]
    return open_ms


def _runs(first: Times, is_twice: Flags) -> list[tuple[int, int]]:
    """Return begin and end of rows in a row that the clock shows twice; a clock that was set back begins another."""
    rows = np.flatnonzero(is_twice)
    ends = np.flatnonzero((np.diff(rows) != 1) | (np.diff(first[rows]) <= 0)) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(rows, ends)]


def _is_second(open_ms: Times, second: Times, is_twice: Flags, begin: int, end: int, spacing_ms: int) -> bool:
    """Return whether a run is the second one of its hour: after the first one, or where only that leaves no hole."""
    before_ms = int(open_ms[begin - 1]) if begin and open_ms[begin - 1] != NO_TIME else None
    if before_ms is not None and open_ms[begin] <= before_ms:
        is_repeated_row = open_ms[begin] == before_ms and spacing_ms < _HOUR_MS
        return not is_repeated_row
    is_followed = end < len(open_ms) and open_ms[end] != NO_TIME
    if is_followed and is_twice[end]:  # the clock is set back there
        return False
    if before_ms is not None and open_ms[begin] - before_ms == spacing_ms:
        return False
    return bool(is_followed and open_ms[end] - second[end - 1] == spacing_ms)
