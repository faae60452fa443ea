"""Convert the rows of a file to valid candles; every dropped row is counted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.candle_files.layout import CandleFileError
from adapters.candle_files.raw_rows import RawCandles
from adapters.candle_files.timestamps import NO_TIME
from trading.market.candles import Candles, timeframe_ms
from trading.market.quality import VALUE_FAULTS, later_twins, out_of_order, timeframe_of, usual_spacing_ms, value_faults

Flags = NDArray[np.bool_]

_HOUR_MS = 3_600_000
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows that were dropped for one reason, with their first few line numbers."""

    reason: str
    count: int
    first_lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Converted:
    """Result of a conversion.

    Attributes:
        candles: Candles in order of time, without duplicates.
        rows: Number of rows of the file.
        losses: Dropped rows; candles and losses add up to the rows.
        moved: Rows that followed a later one and were sorted.
    """

    candles: Candles
    timeframe: str
    rows: int
    losses: tuple[Loss, ...]
    moved: int


def convert(raw: RawCandles, *, now_ms: int, timeframe: str | None = None, stamped_at_close: bool = False) -> Converted:
    """Convert rows to candles that are sorted, unique, valid and closed.

    Of rows with the same time the last one is used, because a later download contains the complete candle.

    Args:
        now_ms: Wall time; a candle that ends later is still open.
        timeframe: Timeframe of the candles; None uses their most frequent spacing.
        stamped_at_close: Times are close times.

    Raises:
        CandleFileError: No candle is left, or the timeframe cannot be determined.
    """
    length_ms = _length_ms(raw, timeframe)
    open_ms = np.where(raw.open_ms == NO_TIME, NO_TIME, raw.open_ms - (length_ms if stamped_at_close else 0))
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
    for name, flags in value_faults(raw.values).items():
        drop(f"{name}: {VALUE_FAULTS[name]}", flags)
    drop(f"off the grid: the time is no full {_length_name(length_ms)}", open_ms % min(length_ms, _HOUR_MS) != 0)
    drop("not closed yet: the candle ends after now", open_ms + length_ms > now_ms)
    kept = np.flatnonzero(left)
    later = kept[later_twins(open_ms[kept])]
    is_same = (raw.values[kept] == raw.values[later]).all(axis=1)
    drop("duplicate: the same candle is repeated later", _flags(left, kept[(later != kept) & is_same]))
    drop("duplicate: a different candle of the same time comes later", _flags(left, kept[(later != kept) & ~is_same]))
    if not left.any():
        reasons = "; ".join(f"{loss.count:,} x {loss.reason}" for loss in losses)
        raise CandleFileError(f"none of the {len(raw):,} rows is a valid candle: {reasons}")
    order = np.argsort(open_ms[left], kind="stable")
    candles = Candles(open_ms[left][order], raw.values[left][order])
    name = timeframe_of(length_ms) or f"{length_ms / 1000:g}s"
    return Converted(candles, name, len(raw), tuple(losses), int(out_of_order(open_ms[left]).sum()))


def _length_ms(raw: RawCandles, timeframe: str | None) -> int:
    if timeframe is not None:
        return timeframe_ms(timeframe)
    length_ms = usual_spacing_ms(raw.open_ms[raw.open_ms != NO_TIME])
    if length_ms is None:
        raise CandleFileError("too few candles to determine their timeframe; set it with --timeframe")
    if timeframe_of(length_ms) is None:
        raise CandleFileError(f"most candles are {length_ms / 1000:g} s apart; needed are whole minutes, hours or days")
    return length_ms


def _flags(like: Flags, places: NDArray[np.intp]) -> Flags:
    flags = np.zeros(len(like), np.bool_)
    flags[places] = True
    return flags


def _length_name(length_ms: int) -> str:
    return "minute" if length_ms == 60_000 else "hour" if length_ms >= _HOUR_MS else f"{length_ms // 60_000} minutes"
