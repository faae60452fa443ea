"""From the rows of a file to candles that the system takes; every row that is not taken over is counted."""

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
    """Rows that were dropped for one reason, and the first few lines on which they stand."""

    reason: str
    count: int
    first_lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of the rows of a file.

    Attributes:
        candles: In order of time, each once.
        rows: How many rows the file has.
        losses: What was dropped; candles and losses add up to the rows.
        moved: Rows that stood after a later one, and were put in order.
    """

    candles: Candles
    timeframe: str
    rows: int
    losses: tuple[Loss, ...]
    moved: int


def convert(raw: RawCandles, *, now_ms: int, timeframe: str | None = None, stamped_at_close: bool = False) -> Converted:
    """Make candles of rows: in order, each time once, sound, and closed.

    Of rows with the same time the last one of the file is taken: a later download has seen the candle to its end.

    Args:
        now_ms: Real time; a candle that ends later is still open.
        timeframe: Of the candles; None takes the distance that most of them have.
        stamped_at_close: The times are those at which candles end.

    Raises:
        CandleFileError: Nothing is left, or the timeframe cannot be found out.
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
    drop(f"off the grid: the time is no full {_words(length_ms)}", open_ms % min(length_ms, _HOUR_MS) != 0)
    drop("not closed yet: the candle ends after now", open_ms + length_ms > now_ms)
    kept = np.flatnonzero(left)
    later = kept[later_twins(open_ms[kept])]
    is_same = (raw.values[kept] == raw.values[later]).all(axis=1)
    drop("duplicate: the same candle stands again later", _flags(left, kept[(later != kept) & is_same]))
    drop("duplicate: another candle of the same time stands later", _flags(left, kept[(later != kept) & ~is_same]))
    if not left.any():
        reasons = "; ".join(f"{loss.count:,} x {loss.reason}" for loss in losses)
        raise CandleFileError(f"none of the {len(raw):,} rows can be taken over: {reasons}")
    order = np.argsort(open_ms[left], kind="stable")
    candles = Candles(open_ms[left][order], raw.values[left][order])
    name = timeframe_of(length_ms) or f"{length_ms / 1000:g}s"
    return Converted(candles, name, len(raw), tuple(losses), int(out_of_order(open_ms[left]).sum()))


def _length_ms(raw: RawCandles, timeframe: str | None) -> int:
    if timeframe is not None:
        return timeframe_ms(timeframe)
    length_ms = usual_spacing_ms(raw.open_ms[raw.open_ms != NO_TIME])
    if length_ms is None:
        raise CandleFileError("too few candles to see their timeframe: say it with --timeframe")
    if timeframe_of(length_ms) is None:
        raise CandleFileError(f"most candles are {length_ms / 1000:g} s apart; needed are whole minutes, hours or days")
    return length_ms


def _flags(like: Flags, places: NDArray[np.intp]) -> Flags:
    flags = np.zeros(len(like), np.bool_)
    flags[places] = True
    return flags


def _words(length_ms: int) -> str:
    return "minute" if length_ms == 60_000 else "hour" if length_ms >= _HOUR_MS else f"{length_ms // 60_000} minutes"
