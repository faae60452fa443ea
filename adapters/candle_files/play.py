"""Read a candle file to play it: nothing is dropped in silence, and what cannot be played is rejected."""

import shlex
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from msgspec import Struct
from numpy.typing import NDArray

from adapters.candle_files.adjust import check_stamps, clipped, opens_of_closes
from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.layout import line_of
from adapters.candle_files.local_times import NO_TIME
from adapters.candle_files.raw_rows import NO_OPTIONS, RawCandles, read_raw
from configs.plugins.candle_files import CandleFileOptions
from trading.market.candles import Candles
from trading.market.quality import filled_closed_hours, outside_hours, usual_spacing_ms
from trading.market.sessions import Session
from trading.market.timeframes import Timeframe, timeframe_of

_SHOWN = 120
_COMMANDS = "celery -A tasks trading candles"
_LEAST_SPACED = 0.05
_DAY = Timeframe.parse("1d")


class Recording(Struct, frozen=True, eq=False):
    """The candles of a file, and where they are in it.

    Attributes:
        candles: At least one, in read-only arrays; their prices are not checked.
        lines: Shape (n,): line or row of each candle, counted from 1.
        has_lines: The file is a text of lines.
        closed_ms: Open times of the candles of closed hours, which are left out.
    """

    candles: Candles
    lines: NDArray[np.int64]
    has_lines: bool
    closed_ms: NDArray[np.int64]


def read_candles(
    path: Path | str, *, timeframe: str, options: CandleFileOptions = NO_OPTIONS, session: Session | None = None
) -> Candles:
    """Read the candles of a file to play them; an unchanged file is read once per process.

    Args:
        path: CSV (plain or gzipped), Parquet, Feather or JSON, as this system or another program wrote it.
        timeframe: Of the candles in it.
        options: What the file does not say by itself.
        session: Trading hours of the symbol; None if unknown.

    Returns:
        At least one candle, in read-only arrays. Prices and volumes are as in the file; a text that is not a number is
        NaN. Flat candles without volume in closed hours are left out.

    Raises:
        CandleFileError: The file is missing or empty, its columns or times are not certain, a time is repeated or out
            of order (the message names the line), or the candles have another timeframe.
    """
    return read_recording(path, timeframe=timeframe, options=options, session=session).candles


def read_unspaced(path: Path, options: CandleFileOptions = NO_OPTIONS) -> Candles:
    """Read a candle file as `read_candles` does, without a check of the timeframe."""
    return read_recording(path, options=options).candles


def read_recording(
    path: Path | str,
    *,
    timeframe: str | None = None,
    options: CandleFileOptions = NO_OPTIONS,
    session: Session | None = None,
    length: int | None = None,
) -> Recording:
    """Read the candles of a file, and the place of each; as `read_candles`, or of its first `length` bytes."""
    path = Path(path)
    if not path.is_file():
        raise CandleFileError(f"candle file {str(path)!r}: does not exist; check the path")
    found, slot = path.stat(), _slot(path.resolve(), options.model_dump_json(), timeframe, session)
    content = found.st_mtime_ns, found.st_size, length
    if slot.recording is None or slot.content != content:
        slot.recording, slot.content = _read(path.resolve(), options, timeframe, session, length), content
    recording = slot.recording
    if timeframe is not None:
        _check_spacing(recording.candles, timeframe, path)
    return recording


def place_of(path: Path, open_ms: int, options: CandleFileOptions = NO_OPTIONS, *, timeframe: str | None = None) -> str:
    """Return the place of a candle in a file, with the text of its line."""
    try:
        recording = read_recording(path, timeframe=timeframe, options=options)
    except ValueError:  # the file has changed since, or no longer exists
        return f"candle file {str(path)!r}"
    rows = np.flatnonzero(recording.candles.open_ms == open_ms)
    if not len(rows):
        return f"candle file {str(path)!r}"
    number = int(recording.lines[rows[0]])
    if not recording.has_lines:
        return f"candle file {str(path)!r}, row {number}"
    return f"candle file {str(path)!r}, line {number} is {line_of(path, number)[:_SHOWN]!r}"


def convert_command(path: Path, options: CandleFileOptions = NO_OPTIONS) -> str:
    """Return the command that converts a file to one that can be played, with the options that read it."""
    return " ".join([f"{_COMMANDS} convert {shlex.quote(str(path))} OUT.csv", *option_words(options)])


def check_command(path: Path, options: CandleFileOptions = NO_OPTIONS) -> str:
    """Return the command that checks a file, with the options that read it."""
    return " ".join([f"{_COMMANDS} check {shlex.quote(str(path))}", *option_words(options)])


def option_words(options: CandleFileOptions) -> Iterator[str]:
    """Yield the options as they are written on a command line."""
    for name, value in options.model_dump(exclude_defaults=True).items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            yield option
        elif isinstance(value, dict):
            pairs = [
                (key, one) for key, found in value.items() for one in ((found,) if isinstance(found, str) else found)
            ]
            yield from (f"{option} {shlex.quote(f'{key}={one}')}" for key, one in pairs)
        else:
            yield f"{option} {shlex.quote(str(value))}"


class _Slot(Struct):
    """The newest content of a file that was read on some terms: a file that grows is kept once.

    Attributes:
        content: Time of the last change, size, and number of bytes read.
    """

    content: tuple[int, int, int | None] = (0, 0, None)
    recording: Recording | None = None


@lru_cache(maxsize=64)
def _slot(_path: Path, _options_json: str, _timeframe: str | None, _session: Session | None) -> _Slot:
    return _Slot()


def _read(
    path: Path, options: CandleFileOptions, timeframe: str | None, session: Session | None, length: int | None
) -> Recording:
    raw = read_raw(path, options, length=length)
    order = order_of(raw)
    open_ms, lines = _opens(path, raw, timeframe, options)[order], raw.lines[order]
    values = clipped(raw.values) if options.clip else raw.values
    _check_times(path, raw, open_ms, lines, order, options)
    if open_ms[-1] < 0:
        raise CandleFileError(
            f"candle file {str(path)!r}: all of its candles are before 1970, where playback begins; use a file with "
            "later candles"
        )
    is_left = ~_closed(open_ms, values[order], timeframe, options, session)
    if not is_left.any():
        raise CandleFileError(f"candle file {str(path)!r}: all of its candles are in closed hours; check the session")
    closed_ms = open_ms[~is_left]
    open_ms, values = open_ms[is_left], np.ascontiguousarray(values[order][is_left])
    open_ms.flags.writeable = values.flags.writeable = False
    return Recording(Candles(open_ms, values), lines[is_left], raw.has_lines, closed_ms)


def order_of(raw: RawCandles) -> slice:
    """Return the order of the rows: as they are, or reversed where each is earlier than the one before."""
    is_newest_first = len(raw) > 1 and bool((np.diff(raw.open_ms) < 0).all())
    return slice(None, None, -1) if is_newest_first else slice(None)


def _opens(path: Path, raw: RawCandles, timeframe: str | None, options: CandleFileOptions) -> NDArray[np.int64]:
    grid = _timeframe(raw.open_ms[raw.open_ms != NO_TIME], timeframe)
    if not options.stamped_at_close:
        check_stamps(f"candle file {str(path)!r}", raw.open_ms, grid or _DAY)
        return raw.open_ms
    if grid is None:
        raise CandleFileError(f"candle file {str(path)!r}: too few candles to determine their timeframe; set it")
    return opens_of_closes(raw.open_ms, grid)


def _timeframe(open_ms: NDArray[np.int64], timeframe: str | None) -> Timeframe | None:
    """Return a given timeframe, else the one of the most frequent spacing; None for fewer than two times."""
    if timeframe is not None:
        return Timeframe.parse(timeframe)
    spacing_ms = usual_spacing_ms(open_ms)
    return None if spacing_ms is None else Timeframe.of_spacing(spacing_ms)


def _check_times(
    path: Path,
    raw: RawCandles,
    open_ms: NDArray[np.int64],
    lines: NDArray[np.int64],
    order: slice,
    options: CandleFileOptions,
) -> None:
    is_missing = open_ms == NO_TIME
    if is_missing.any():
        row = int(is_missing.argmax())
        fault = (
            "the local time does not exist in its zone" if raw.is_readable[order][row] else "the time cannot be read"
        )
        raise _bad_row(path, raw, int(lines[row]), fault, options)
    back = np.diff(open_ms) <= 0
    if back.any():
        row = int(back.argmax()) + 1
        fault = "repeats the one before" if open_ms[row] == open_ms[row - 1] else "is earlier than the one before"
        shown = pd.Timestamp(open_ms[row], unit="ms", tz="UTC")
        raise _bad_row(path, raw, int(lines[row]), f"timestamp {shown} {fault}", options)


def _closed(
    open_ms: NDArray[np.int64],
    values: NDArray[np.float64],
    timeframe: str | None,
    options: CandleFileOptions,
    session: Session | None,
) -> NDArray[np.bool_]:
    """Flag the candles of closed hours: flat ones without volume, and all of them where the user asks for it."""
    grid = _timeframe(open_ms, timeframe)
    if grid is None:
        return np.zeros(len(open_ms), np.bool_)
    are_open = None if session is None else session.are_open
    is_filled = filled_closed_hours(open_ms, values, timeframe=grid, are_open=are_open)
    if not options.drop_closed or are_open is None:
        return is_filled
    return is_filled | outside_hours(open_ms, timeframe=grid, are_open=are_open)


def fits_timeframe(candles: Candles, timeframe: str) -> bool:
    """Return whether candles are far enough apart, and often enough as near, to be those of a timeframe."""
    if len(candles) < 2:
        return True
    usual_ms, grid = usual_spacing_ms(candles.open_ms) or 0, Timeframe.parse(timeframe)
    return grid.fits(usual_ms) or (usual_ms > grid.length_ms and _is_sparse(candles, grid))


def _check_spacing(candles: Candles, timeframe: str, path: Path) -> None:
    """Reject candles of another timeframe: read as shorter ones, they would show their close too early."""
    if fits_timeframe(candles, timeframe):
        return
    usual_ms, grid = usual_spacing_ms(candles.open_ms) or 0, Timeframe.parse(timeframe)
    length = f"is {grid.length_ms // 1_000} s" if grid.is_fixed else "is another"
    fault = f"most candles are {usual_ms / 1_000:g} s apart, but timeframe {timeframe!r} {length}"
    remedy = f"set the symbol's timeframe to {timeframe_of(usual_ms)!r}"
    if usual_ms < grid.length_ms:
        remedy += f", or resample: {_COMMANDS} resample {shlex.quote(str(path))} OUT.csv --timeframe {timeframe}"
    raise CandleFileError(f"candle file {str(path)!r}: {fault}{'; ' + remedy if timeframe_of(usual_ms) else ''}")


def _is_sparse(candles: Candles, grid: Timeframe) -> bool:
    """Return whether candles are of a timeframe of which the file leaves many out."""
    spacings_ms, counts = np.unique(np.diff(candles.open_ms), return_counts=True)
    fits = np.array([grid.fits(one) for one in spacings_ms.tolist()])
    return bool(fits[0]) and bool(counts[fits].sum() >= _LEAST_SPACED * counts.sum())


def _bad_row(path: Path, raw: RawCandles, number: int, fault: str, options: CandleFileOptions) -> CandleFileError:
    place = f"line {number} is {line_of(path, number)[:_SHOWN]!r}" if raw.has_lines else f"row {number}"
    return CandleFileError(
        f"candle file {str(path)!r}, {place}: {fault}; write a file without it: {convert_command(path, options)}"
    )
