"""Aggregate candles to a longer timeframe."""

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from trading.formatting import format_minute
from trading.market.candles import CLOSE, HIGH, LOW, OPEN, VOLUME, Candles
from trading.market.quality import GapKind, Hours, find_gaps, missing_times
from trading.market.timeframes import Timeframe, phase_of

Times = NDArray[np.int64]
Flags = NDArray[np.bool_]


class IncompleteReason(StrEnum):
    """The reason why a longer candle is incomplete."""

    START = "start"
    HOLE = "hole"
    END = "end"


class Resampled(Struct, frozen=True):
    """The result of a resampling.

    Attributes:
        candles: The longer candles.
        left_out: Open times of candles that were not made, because shorter candles are missing.
        unused: Number of shorter candles that belong to those.
        partial: Open times of candles that were made although shorter candles are missing.
        lacking: Open times of incomplete candles, left out or partial, by the first reason that fits.
        at_edges: Open times of candles that are complete except for a few shorter candles next to a break.
    """

    candles: Candles
    left_out: Times
    unused: int
    partial: Times
    lacking: Mapping[IncompleteReason, Times]
    at_edges: Times


def resample(
    candles: Candles, *, timeframe: str, to: str, keep_partial: bool = False, are_open: Hours | None = None
) -> Resampled:
    """Aggregate to first open, highest high, lowest low, last close and the sum of the volumes.

    A longer candle begins with a slot of its timeframe: a whole multiple of it since the epoch, UTC, or a day, week or
    month of its calendar. Without a shorter candle there is no longer one: a gap stays a gap. A longer candle is
    complete if `find_gaps` finds no gap in it: candles may be missing while the market is closed, or for a few minutes
    next to a break. The first and the last candle are complete if no candle is missing at a time at which the market
    may have traded.

    Args:
        candles: Checked candles.
        timeframe: Their timeframe, such as `1m`.
        to: The longer timeframe, a whole multiple of it, such as `5m`, or one of the calendar, such as `1w`.
        keep_partial: Also make longer candles with missing shorter candles.
        are_open: The trading hours. None guesses them, as `find_gaps` does.

    Raises:
        ValueError: `to` is not a multiple of `timeframe`, or not longer, or a candle lies in two slots of it.
    """
    part, target = Timeframe.parse(timeframe), Timeframe.parse(to)
    is_multiple = not target.is_fixed or not part.is_fixed or target.length_ms % part.length_ms == 0
    if not is_multiple or target.length_ms <= part.length_ms:
        raise ValueError(f"timeframe {to!r}: allowed is a whole multiple of {timeframe!r}, two or more of it")
    grid = _Grid(part, target, phase_of(candles.open_ms, part))
    begin_ms = grid.floor(candles.open_ms)
    _check_parts(candles.open_ms, begin_ms, grid)
    opens, first, counts = np.unique(begin_ms, return_index=True, return_counts=True)
    whole = _merged(candles, opens, first)
    incomplete, is_at_edge = _incomplete_places(candles.open_ms, opens, grid, are_open)
    lacking = np.any(list(incomplete.values()), axis=0)
    reasons = {reason: opens[flags] for reason, flags in incomplete.items()}
    at_edges = opens[is_at_edge & ~lacking]
    if keep_partial:
        return Resampled(whole, opens[:0], 0, opens[lacking], reasons, at_edges)
    kept = Candles(opens[~lacking], whole.values[~lacking])
    return Resampled(kept, opens[lacking], int(counts[lacking].sum()), opens[:0], reasons, at_edges)


class _Grid(Struct, frozen=True):
    """The shorter and the longer timeframe, and the phase of the candles."""

    part: Timeframe
    whole: Timeframe
    phase_ms: int

    def floor(self, open_ms: Times) -> Times:
        return self.whole.floor(open_ms, self.phase_ms)


def _check_parts(open_ms: Times, begin_ms: Times, grid: _Grid) -> None:
    """Reject a candle that begins in one longer candle and ends in the next."""
    ends = np.minimum(grid.part.closes(open_ms), open_ms + grid.part.longest_ms)
    is_split = grid.floor(ends - 1) != begin_ms
    if is_split.any():
        at = int(open_ms[is_split.argmax()])
        raise ValueError(
            f"timeframe {grid.whole.name!r}: the candle of {grid.part.name} at {format_minute(at)} UTC lies in two of "
            "its candles; choose the time zone and the hour at which the days of the file begin, such as "
            f"'{grid.whole.count}{grid.whole.unit}@America/New_York,17:00', or resample shorter candles"
        )


def _incomplete_places(
    open_ms: Times, opens: Times, grid: _Grid, are_open: Hours | None
) -> tuple[Mapping[IncompleteReason, Flags], Flags]:
    """Flag longer candles that lack shorter ones, each with one reason, and those that lack some next to a break."""
    incomplete = {reason: np.zeros(len(opens), np.bool_) for reason in IncompleteReason}
    is_at_edge = np.zeros(len(opens), np.bool_)
    if not len(opens):
        return incomplete, is_at_edge
    part = grid.part
    for gap in find_gaps(open_ms, timeframe=part, are_open=are_open):
        if gap.kind in (GapKind.GAP, GapKind.EDGE):
            missing = missing_times(gap, timeframe=part, are_open=are_open)
            flags = incomplete[IncompleteReason.HOLE] if gap.kind is GapKind.GAP else is_at_edge
            flags |= np.isin(opens, grid.floor(missing))
    first, last = int(open_ms[0]), int(open_ms[-1])
    until_ms = grid.whole.close_of(int(opens[-1]))
    before = np.arange(first - part.length_ms, int(opens[0]) - 1, -part.length_ms, dtype=np.int64)
    after = np.arange(part.close_of(last), until_ms, part.length_ms, dtype=np.int64)
    incomplete[IncompleteReason.START][0] = _has_open(before, are_open)
    incomplete[IncompleteReason.END][-1] = _has_open(after, are_open)
    incomplete[IncompleteReason.HOLE] &= ~incomplete[IncompleteReason.START]
    incomplete[IncompleteReason.END] &= ~(incomplete[IncompleteReason.START] | incomplete[IncompleteReason.HOLE])
    return incomplete, is_at_edge


def _has_open(slots: Times, are_open: Hours | None) -> bool:
    return len(slots) > 0 and (are_open is None or bool(are_open(slots).any()))


def _merged(candles: Candles, opens: NDArray[np.int64], first: NDArray[np.intp]) -> Candles:
    if not len(opens):
        return Candles.empty()
    values = np.empty((len(opens), 5))
    last = np.append(first[1:], len(candles)) - 1
    values[:, OPEN] = candles.values[first, OPEN]
    values[:, HIGH] = np.maximum.reduceat(candles.values[:, HIGH], first)
    values[:, LOW] = np.minimum.reduceat(candles.values[:, LOW], first)
    values[:, CLOSE] = candles.values[last, CLOSE]
    values[:, VOLUME] = np.add.reduceat(candles.values[:, VOLUME], first)
    return Candles(opens, values)
