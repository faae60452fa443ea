"""Convert the rows of a file to valid candles; every dropped row is counted."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from adapters.candle_files.adjust import clipped, opens_of_closes
from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.local_times import NO_TIME
from adapters.candle_files.raw_rows import RawCandles
from trading.market.candles import Candles
from trading.market.gaps import Hours
from trading.market.quality import (
    ROW_FAULTS,
    filled_closed_hours,
    later_twins,
    out_of_order,
    outside_hours,
    row_faults,
    usual_spacing_ms,
)
from trading.market.timeframes import Timeframe, phase_of, timeframe_of

Flags = NDArray[np.bool_]

_SHOWN = 5


class Loss(Struct, frozen=True):
    """Rows that were dropped for one reason, with their first few line numbers."""

    reason: str
    count: int
    first_lines: tuple[int, ...]


class Converted(Struct, frozen=True):
    """Result of a conversion.

    Attributes:
        candles: Candles in order of time, without duplicates.
        rows: Number of rows of the file.
        losses: Dropped rows; candles and losses add up to the rows.
        moved: Rows that followed a later one and were sorted.
        clipped: Candles whose high or low was widened to contain open and close.
    """

    candles: Candles
    timeframe: str
    rows: int
    losses: tuple[Loss, ...]
    moved: int
    clipped: int = 0


def convert(
    raw: RawCandles,
    *,
    now_ms: int,
    timeframe: str | None = None,
    stamped_at_close: bool = False,
    clip: bool = False,
    drop_closed: bool = False,
    are_open: Hours | None = None,
    allow_non_positive: bool = False,
) -> Converted:
    """Convert rows to candles that are sorted, unique, valid and closed.

    Of rows with the same time the last one is used, because a later download contains the complete candle.

    Args:
        now_ms: Wall time; a candle that ends later is still open.
        timeframe: Timeframe of the candles; None uses their most frequent spacing.
        stamped_at_close: Times are close times.
        clip: Widen high and low to contain open and close.
        drop_closed: Drop candles of closed hours: flat ones without volume, and all of them where hours are known.
        are_open: The trading hours; None if unknown.
        allow_non_positive: Keep prices that are zero or negative.

    Raises:
        CandleFileError: No candle is left, or the timeframe cannot be determined.
    """
    grid = _timeframe(raw, timeframe)
    open_ms = opens_of_closes(raw.open_ms, grid) if stamped_at_close else raw.open_ms
    phase_ms = phase_of(open_ms[open_ms != NO_TIME], grid)
    values = clipped(raw.values) if clip else raw.values
    left = np.ones(len(raw), np.bool_)
    losses: list[Loss] = []

    def drop(reason: str, flags: Flags) -> None:
        fitting = flags & left
        if fitting.any():
            lines = raw.lines[fitting][:_SHOWN].tolist()
            losses.append(Loss(reason, int(fitting.sum()), tuple(lines)))
            left[fitting] = False

    drop("the time cannot be read", ~raw.is_readable)
    drop("the local time does not exist, or exists twice, when clocks are changed", open_ms == NO_TIME)
    faults = row_faults(open_ms, values, timeframe=grid, phase_ms=phase_ms, allow_non_positive=allow_non_positive)
    for name, flags in faults.items():
        drop(f"{name}: {ROW_FAULTS[name]}", flags)
    drop("not closed yet: the candle ends after now", _ends(open_ms, left, grid) > now_ms)
    kept = np.flatnonzero(left)
    later = kept[later_twins(open_ms[kept])]
    is_same = (values[kept] == values[later]).all(axis=1)
    drop("duplicate: the same candle is repeated later", _flags(left, kept[(later != kept) & is_same]))
    drop("duplicate: a different candle of the same time comes later", _flags(left, kept[(later != kept) & ~is_same]))
    if drop_closed:
        drop("closed hours: the market is closed", _closed(open_ms, values, left, grid, are_open))
    if not left.any():
        reasons = "; ".join(f"{loss.count:,} x {loss.reason}" for loss in losses)
        raise CandleFileError(f"none of the {len(raw):,} rows is a valid candle: {reasons}")
    order = np.argsort(open_ms[left], kind="stable")
    candles = Candles(open_ms[left][order], values[left][order])
    widened = int((values[left] != raw.values[left]).any(axis=1).sum())
    return Converted(candles, grid.name, len(raw), tuple(losses), int(out_of_order(open_ms[left]).sum()), widened)


def _timeframe(raw: RawCandles, timeframe: str | None) -> Timeframe:
    if timeframe is not None:
        return Timeframe.parse(timeframe)
    spacing_ms = usual_spacing_ms(raw.open_ms[raw.open_ms != NO_TIME])
    if spacing_ms is None:
        raise CandleFileError("too few candles to determine their timeframe; set it with --timeframe")
    if timeframe_of(spacing_ms) is None:
        raise CandleFileError(
            f"most candles are {spacing_ms / 1000:g} s apart; needed are whole minutes, hours or days"
        )
    return Timeframe.of_spacing(spacing_ms)


def _ends(open_ms: NDArray[np.int64], has_time: Flags, timeframe: Timeframe) -> NDArray[np.int64]:
    """Return the ends of the rows that have a time, by the timeframe alone; 0 for the others."""
    ends = np.zeros(len(open_ms), np.int64)
    ends[has_time] = (
        [timeframe.close_of(one) for one in open_ms[has_time].tolist()]
        if not timeframe.is_fixed
        else (open_ms[has_time] + timeframe.length_ms)
    )
    return ends


def _closed(
    open_ms: NDArray[np.int64], values: NDArray[np.float64], left: Flags, grid: Timeframe, are_open: Hours | None
) -> Flags:
    """Flag the rows left that are in closed hours."""
    rows = np.flatnonzero(left)
    rows = rows[np.argsort(open_ms[rows], kind="stable")]
    is_closed = filled_closed_hours(open_ms[rows], values[rows], timeframe=grid, are_open=are_open)
    if are_open is not None:
        is_closed |= outside_hours(open_ms[rows], timeframe=grid, are_open=are_open)
    return _flags(left, rows[is_closed])


def _flags(like: Flags, places: NDArray[np.intp]) -> Flags:
    flags = np.zeros(len(like), np.bool_)
    flags[places] = True
    return flags
