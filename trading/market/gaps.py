"""Where candles are missing, and whether the market was open then."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise
from statistics import median

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from trading.structs import replace

Times = NDArray[np.int64]
Hours = Callable[[Times], NDArray[np.bool_]]
"""Tells of each of many times, milliseconds since the epoch, whether the market is open."""

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_THURSDAY = 3  # 1 January 1970, counted from Monday
_SATURDAY = 5

_EDGE_MS = 10 * _MINUTE_MS
"""So late after an opening, or so early before a close, a broker's candles may begin and end."""
_LONGER_WEEKEND_MS = 2 * _HOUR_MS
"""A weekend that is this much longer than most others is a holiday."""
_SHORTEST_BREAK_MS = 15 * _MINUTE_MS
_LONGEST_BREAK_MS = 20 * _HOUR_MS
_BREAK_WITHIN_MS = 10 * _DAY_MS
_BREAK_TIMES = 4
"""A hole that begins at one time of the day so often within these days on both sides is a break."""


class GapKind(StrEnum):
    """Why candles are missing: a `gap` while the market was open, as far as that is known."""

    GAP = "gap"
    EDGE = "session edge"
    BREAK = "daily break"
    WEEKEND = "weekend"


class Gap(Struct, frozen=True):
    """A hole between two neighbours.

    Attributes:
        after_ms: Open time of the candle before it.
        until_ms: Open time of the candle after it.
        missing: Candles that should be there; 0 while the market was closed.
    """

    kind: GapKind
    after_ms: int
    until_ms: int
    missing: int


def find_gaps(open_ms: Times, *, length_ms: int, are_open: Hours | None = None) -> list[Gap]:
    """Return the holes in ascending, unique times.

    Args:
        length_ms: Of a candle.
        are_open: The trading hours. None takes weekends, and holes that come back at one time of the day, for closed.
    """
    # half a bar of play, because a day on which clocks are put back is longer than the others
    places = np.flatnonzero(np.diff(open_ms) >= length_ms * 3 // 2)
    holes = [(int(open_ms[place]), int(open_ms[place + 1])) for place in places.tolist()]
    if are_open is not None:
        return _by_hours(holes, length_ms, are_open)
    gaps = [Gap(GapKind.GAP, after, until, len(_slots(after, until, length_ms))) for after, until in holes]
    return _by_habit(gaps, length_ms, _saturdays(int(open_ms[0]), int(open_ms[-1])) if gaps else 0)


def missing_times(gap: Gap, *, length_ms: int, are_open: Hours | None = None) -> Times:
    """Return the times in a gap, in order, at which a candle should open."""
    slots = np.array(_slots(gap.after_ms, gap.until_ms, length_ms), np.int64)
    return slots if are_open is None else slots[are_open(slots)]


def _slots(after_ms: int, until_ms: int, length_ms: int) -> range:
    return range(after_ms + length_ms, until_ms - length_ms // 2, length_ms)


def _by_hours(holes: Sequence[tuple[int, int]], length_ms: int, are_open: Hours) -> list[Gap]:
    if not holes:
        return []
    parts = [np.array(_slots(after, until, length_ms), np.int64) for after, until in holes]
    is_open = are_open(np.concatenate(parts))  # asked once for all of them: that is many times as quick
    ends = np.cumsum([len(part) for part in parts])
    gaps = []
    for (after, until), slots, flags in zip(holes, parts, np.split(is_open, ends[:-1]), strict=True):
        missing = slots[flags].tolist()
        gaps.append(_by_missing(Gap(GapKind.GAP, after, until, len(missing)), missing, len(slots), length_ms))
    return gaps


def _by_missing(gap: Gap, missing: Sequence[int], slot_count: int, length_ms: int) -> Gap:
    if missing and not (len(missing) < slot_count and _is_edge(missing, gap, length_ms)):
        return gap
    kind = GapKind.WEEKEND if gap.until_ms - gap.after_ms > _DAY_MS else GapKind.BREAK
    return replace(gap, kind=GapKind.EDGE if missing else kind)


def _is_edge(missing: Sequence[int], gap: Gap, length_ms: int) -> bool:
    """Return whether all that is missing are a few candles next to those that are there, with the break between."""
    cut = next((number for number, (one, other) in enumerate(pairwise(missing), 1) if other > one + length_ms), None)
    early, late = (missing, ()) if cut is None else (missing[:cut], missing[cut:])
    if cut is None and missing[0] != gap.after_ms + length_ms:
        early, late = (), missing
    return max(len(early), len(late)) * length_ms <= _EDGE_MS


def _by_habit(gaps: Sequence[Gap], length_ms: int, saturdays: int) -> list[Gap]:
    weekends = [gap for gap in gaps if _has_saturday(gap)]
    if len(weekends) * 2 < saturdays:  # it trades on most of them
        weekends = []
    usual_ms = median(gap.until_ms - gap.after_ms for gap in weekends) if weekends else None
    begins: dict[int, list[int]] = defaultdict(list)
    for gap in gaps:
        if _may_be_break(gap):
            begins[_time_of_day(gap)].append(gap.after_ms)
    return [_judged(gap, length_ms, usual_ms, begins[_time_of_day(gap)]) for gap in gaps]


def _judged(gap: Gap, length_ms: int, usual_weekend_ms: float | None, alike: Sequence[int]) -> Gap:
    """Say why a hole is there; `alike` are the beginnings of those at its time of the day, in order."""
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
    """Return the quarter of an hour of the day next to which a hole begins."""
    return round(gap.after_ms % _DAY_MS / _SHORTEST_BREAK_MS) % (_DAY_MS // _SHORTEST_BREAK_MS)


def _has_saturday(gap: Gap) -> bool:
    """Return whether a whole Saturday, UTC, lies in the hole."""
    return _saturdays(gap.after_ms, gap.until_ms) > 0


def _saturdays(after_ms: int, until_ms: int) -> int:
    """Return how many whole Saturdays, UTC, begin after one time and end at another or before."""
    day = after_ms // _DAY_MS + 1
    saturday = day + (_SATURDAY - _THURSDAY - day) % 7
    return max(0, (until_ms // _DAY_MS - 1 - saturday) // 7 + 1)
