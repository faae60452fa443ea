"""Find missing candles and classify them by whether the market was open."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise
from statistics import median

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from trading.market.timeframes import Timeframe
from trading.structs import replace

Times = NDArray[np.int64]
Hours = Callable[[Times], NDArray[np.bool_]]
"""Return, for each of many times in milliseconds since the epoch, whether the market is open."""

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_THURSDAY = 3  # 1 January 1970, counted from Monday
_SATURDAY = 5

_EDGE_MS = 10 * _MINUTE_MS
"""A broker's candles may begin this late after an opening and end this early before a close."""
_LONGER_WEEKEND_MS = 2 * _HOUR_MS
"""A weekend longer than the usual one by more than this includes a holiday."""
_SHORTEST_BREAK_MS = 15 * _MINUTE_MS
_LONGEST_BREAK_MS = 20 * _HOUR_MS
_BREAK_WITHIN_MS = 10 * _DAY_MS
_BREAK_TIMES = 4
"""A hole that begins at the same time of day at least so often, within these days on both sides, is a break."""


class GapKind(StrEnum):
    """The reason why candles are missing; `gap`: the market was open, as far as known."""

    GAP = "gap"
    EDGE = "session edge"
    BREAK = "daily break"
    WEEKEND = "weekend"


class Gap(Struct, frozen=True):
    """A hole between two neighbouring candles.

    Attributes:
        after_ms: Open time of the candle before it.
        until_ms: Open time of the candle after it.
        missing: Number of missing candles; 0 while the market was closed.
    """

    kind: GapKind
    after_ms: int
    until_ms: int
    missing: int


def find_gaps(open_ms: Times, *, timeframe: Timeframe, are_open: Hours | None = None) -> list[Gap]:
    """Return the holes in ascending, unique times.

    Args:
        timeframe: Of the candles.
        are_open: The trading hours. None treats weekends, and holes that recur at one time of the day, as closed.
    """
    # half a bar of tolerance, because a day on which clocks are set back is longer than the others
    length_ms = timeframe.length_ms
    places = np.flatnonzero(np.diff(open_ms) >= length_ms * 3 // 2)
    holes = [(int(open_ms[place]), int(open_ms[place + 1])) for place in places.tolist()]
    if are_open is not None:
        return _by_hours(holes, timeframe, are_open)
    gaps = [Gap(GapKind.GAP, after, until, len(timeframe.expected(after, until))) for after, until in holes]
    return _judged_by_pattern(gaps, length_ms, _saturdays(int(open_ms[0]), int(open_ms[-1])) if gaps else 0)


def missing_times(gap: Gap, *, timeframe: Timeframe, are_open: Hours | None = None) -> Times:
    """Return the times in a gap, in order, at which a candle should open."""
    slots = timeframe.expected(gap.after_ms, gap.until_ms)
    return slots if are_open is None else slots[are_open(slots)]


def _by_hours(holes: Sequence[tuple[int, int]], timeframe: Timeframe, are_open: Hours) -> list[Gap]:
    if not holes:
        return []
    parts = [timeframe.expected(after, until) for after, until in holes]
    is_open = are_open(np.concatenate(parts))  # one call for all times is many times faster
    ends = np.cumsum([len(part) for part in parts])
    gaps = []
    for (after, until), slots, flags in zip(holes, parts, np.split(is_open, ends[:-1]), strict=True):
        missing = slots[flags].tolist()
        gaps.append(_by_missing(Gap(GapKind.GAP, after, until, len(missing)), missing, len(slots), timeframe.length_ms))
    return gaps


def _by_missing(gap: Gap, missing: Sequence[int], slot_count: int, length_ms: int) -> Gap:
    if missing and not (len(missing) < slot_count and _is_edge(missing, gap, length_ms)):
        return gap
    kind = GapKind.WEEKEND if gap.until_ms - gap.after_ms > _DAY_MS else GapKind.BREAK
    return replace(gap, kind=GapKind.EDGE if missing else kind)


def _is_edge(missing: Sequence[int], gap: Gap, length_ms: int) -> bool:
    """Return whether only a few candles next to existing ones are missing, with the break between."""
    cut = next((number for number, (one, other) in enumerate(pairwise(missing), 1) if other > one + length_ms), None)
    early, late = (missing, ()) if cut is None else (missing[:cut], missing[cut:])
    if cut is None and missing[0] != gap.after_ms + length_ms:
        early, late = (), missing
    return max(len(early), len(late)) * length_ms <= _EDGE_MS


def _judged_by_pattern(gaps: Sequence[Gap], length_ms: int, saturdays: int) -> list[Gap]:
    weekends = [gap for gap in gaps if _has_saturday(gap)]
    if len(weekends) * 2 < saturdays:  # the market trades on most Saturdays
        weekends = []
    usual_ms = median(gap.until_ms - gap.after_ms for gap in weekends) if weekends else None
    begins: dict[int, list[int]] = defaultdict(list)
    for gap in gaps:
        if _may_be_break(gap):
            begins[_time_of_day(gap)].append(gap.after_ms)
    return [_judged(gap, length_ms, usual_ms, begins[_time_of_day(gap)]) for gap in gaps]


def _judged(gap: Gap, length_ms: int, usual_weekend_ms: float | None, alike: Sequence[int]) -> Gap:
    """Classify a hole; `alike` are the sorted beginnings of all holes at its time of the day."""
    if usual_weekend_ms is not None and _has_saturday(gap):
        longer_ms = gap.until_ms - gap.after_ms - usual_weekend_ms
        if longer_ms <= _LONGER_WEEKEND_MS:
            return replace(gap, kind=GapKind.WEEKEND, missing=0)
        return replace(gap, missing=round(longer_ms / length_ms))
    near = bisect_left(alike, gap.after_ms + _BREAK_WITHIN_MS) - bisect_left(alike, gap.after_ms - _BREAK_WITHIN_MS)
    return replace(gap, kind=GapKind.BREAK, missing=0) if _may_be_break(gap) and near >= _BREAK_TIMES else gap


def _may_be_break(gap: Gap) -> bool:
    return _SHORTEST_BREAK_MS <= gap.until_ms - gap.after_ms <= _LONGEST_BREAK_MS


def _time_of_day(gap: Gap) -> int:
    """Return the quarter of an hour of the day that is nearest to the beginning of a hole."""
    return round(gap.after_ms % _DAY_MS / _SHORTEST_BREAK_MS) % (_DAY_MS // _SHORTEST_BREAK_MS)


def _has_saturday(gap: Gap) -> bool:
    """Return whether the hole contains a whole Saturday, UTC."""
    return _saturdays(gap.after_ms, gap.until_ms) > 0


def _saturdays(after_ms: int, until_ms: int) -> int:
    """Count whole Saturdays, UTC, that begin after one time and end at or before another."""
    day = after_ms // _DAY_MS + 1
    saturday = day + (_SATURDAY - _THURSDAY - day) % 7
    return max(0, (until_ms // _DAY_MS - 1 - saturday) // 7 + 1)
