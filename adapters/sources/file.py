"""Candle source that plays a CSV or Parquet file as an exchange would have shown it."""

import gzip
import shlex
import zlib
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapters import clock
from adapters.sources.playback import PlayedSource
from adapters.sources.playback_clock import AnchorStore, Speed
from trading.market.candles import COLUMNS, Candles, timeframe_ms
from trading.market.quality import timeframe_of

_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_NEEDED = ("timestamp", *COLUMNS)
_SECONDS_BELOW = 100_000_000_000  # as seconds this is the year 5138, as milliseconds 1973
YEAR_9999_MS = 253_370_764_800_000
_NOT_A_TIME = np.iinfo(np.int64).min
_SHOWN = 120
_COMMANDS = "celery -A tasks trading candles"


class FileSource(PlayedSource):
    """Plays a candle file; sources of the same file share one copy within a process."""

    def __init__(
        self,
        path: Path | str,
        symbol: str,
        timeframe: str,
        speed: Speed = "max",
        *,
        now_ms: Callable[[], int] = clock.now_ms,
        anchors: AnchorStore | None = None,
        step: int = 1,
    ) -> None:
        """Load the file, unless this process has done so before.

        Args:
            path: `.csv`, `.csv.gz` or `.parquet` with the columns timestamp (open time: ISO 8601 with an offset or Z,
                epoch seconds or milliseconds, or aware datetimes), open, high, low, close, volume; others are ignored.
            symbol: Symbol of the candles.
            timeframe: Their timeframe, such as "1m".
            speed: "max", or market seconds per wall second.
            now_ms: The wall clock, milliseconds since the epoch.
            anchors: Store of the market's start for numeric speeds; None keeps it in this object.
            step: Candles released per call at speed "max".

        Raises:
            ValueError: The file, a column or a timestamp is missing or invalid; prices are not checked here.
        """
        tape = FileTape(read_candles(path, timeframe=timeframe))
        super().__init__(tape, timeframe=timeframe, speed=speed, step=step, now_ms=now_ms, anchors=anchors)
        self.path = Path(path)
        self.symbol = symbol

    def __repr__(self) -> str:
        return f"<FileSource {self.symbol} {str(self.path)!r}>"

    def place_of(self, open_ms: int) -> str:
        """Return the place of a candle in the file, with the command that checks the file."""
        return f"{place_of(self.path, open_ms)}; check it: {_COMMANDS} check {shlex.quote(str(self.path))}"


class FileTape:
    """A tape over candles in memory, at least one."""

    def __init__(self, candles: Candles) -> None:
        self._open_ms = candles.open_ms
        self._values = candles.values
        self.start_ms = int(candles.open_ms[0])

    def after(self, open_ms: int, count: int) -> Candles:
        first = int(self._open_ms.searchsorted(open_ms, "right"))
        return Candles(self._open_ms[first : first + count], self._values[first : first + count])

    def until(self, open_ms: int, count: int) -> Candles:
        end = int(self._open_ms.searchsorted(open_ms, "right"))
        first = max(end - count, 0)
        return Candles(self._open_ms[first:end], self._values[first:end])


def read_candles(path: Path | str, *, timeframe: str) -> Candles:
    """Read a candle file; an unchanged file is read once per process.

    Args:
        path: As for `FileSource`.
        timeframe: Of the candles in it.

    Returns:
        At least one candle, in read-only arrays. Prices and volumes are as in the file; a text that is not a number is
        NaN.

    Raises:
        ValueError: The file is missing, of another kind or empty, lacks a column, has a timestamp that is unreadable,
            naive, repeated or out of order (the message names the line), or candles of another timeframe.
    """
    path = Path(path)
    candles = read_unspaced(path)
    _check_spacing(candles, timeframe, path)
    return candles


def read_unspaced(path: Path) -> Candles:
    """Read a candle file as `read_candles` does, without a check of the timeframe."""
    if not path.is_file():
        raise ValueError(f"candle file {str(path)!r}: does not exist; allowed endings are {', '.join(_SUFFIXES)}")
    if not path.name.endswith(_SUFFIXES):
        fault = f"its name ends in {path.suffix!r}; allowed endings are {', '.join(_SUFFIXES)}"
        raise ValueError(f"candle file {str(path)!r}: {fault}; {_mend(path)}")
    found = path.stat()
    return _read(path.resolve(), found.st_mtime_ns, found.st_size)


def plain(error: Exception) -> str:
    """Return the message of a pandas error without its technical prefix."""
    return str(error).strip().removeprefix("Error tokenizing data. C error: ")


def place_of(path: Path, open_ms: int) -> str:
    """Return the place of a candle in a file, with the text of its line."""
    try:
        found = path.stat()
        return _place_of(path, found.st_mtime_ns, found.st_size, open_ms)
    except OSError:  # the file no longer exists
        return f"candle file {str(path)!r}"


@lru_cache(maxsize=64)
def _place_of(path: Path, _mtime_ns: int, _size_bytes: int, open_ms: int) -> str:
    try:
        rows = np.flatnonzero(read_unspaced(path).open_ms == open_ms)
        where = _place(path, int(rows[0])) if len(rows) else ""
        text = f" is {_line(path, int(rows[0]))[1][:_SHOWN]!r}" if where and path.suffix != ".parquet" else ""
    except (ValueError, OSError):  # the file has changed since
        where = text = ""
    return f"candle file {str(path)!r}{', ' if where else ''}{where}{text}"


@lru_cache(maxsize=64)
def _read(path: Path, _mtime_ns: int, _size_bytes: int) -> Candles:
    table = _read_table(path)
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise ValueError(
            f"candle file {str(path)!r}: no column {', '.join(missing)}; "
            f"found {', '.join(map(str, table.columns))}; needed {', '.join(_NEEDED)}; {_mend(path)}"
        )
    if table.empty:
        raise ValueError(f"candle file {str(path)!r}: holds no candles")
    open_ms = _open_ms(table["timestamp"], path)
    _check_order(open_ms, path)
    numbers = [pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64) for name in COLUMNS]
    values = np.ascontiguousarray(np.column_stack(numbers))
    open_ms.flags.writeable = values.flags.writeable = False
    return Candles(open_ms, values)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix != ".parquet":
            return pd.read_csv(path)
        table = pd.read_parquet(path)
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"candle file {str(path)!r}: is empty") from error
    except (UnicodeDecodeError, gzip.BadGzipFile) as error:  # the encoding or the ending of the name is wrong
        raise ValueError(f"candle file {str(path)!r}: cannot be read: {error}; {_mend(path)}") from error
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"candle file {str(path)!r}: cannot be read: {plain(error)}") from error
    return table.reset_index() if "timestamp" in table.index.names else table


def _open_ms(stamps: "pd.Series[Any]", path: Path) -> NDArray[np.int64]:
    if pd.api.types.is_numeric_dtype(stamps):
        return _from_epoch(np.asarray(stamps, np.float64), path)
    try:
        times = pd.to_datetime(stamps, format="ISO8601")
    except ValueError:
        return _one_by_one(stamps, path)
    if times.isna().any():
        raise _bad_stamp(path, int(times.isna().to_numpy().argmax()), "no timestamp")
    if times.dt.tz is None:
        raise _without_zone(path, 0, stamps.iloc[0])
    return pd.DatetimeIndex(times).tz_convert("UTC").as_unit("ms").asi8.copy()


def _from_epoch(stamps: NDArray[np.float64], path: Path) -> NDArray[np.int64]:
    unreadable = ~np.isfinite(stamps)
    if unreadable.any():
        raise _bad_stamp(path, int(unreadable.argmax()), "no timestamp")
    is_other = np.abs(stamps) >= YEAR_9999_MS
    if is_other.any():
        row = int(is_other.argmax())
        raise _bad_stamp(path, row, f"timestamp {stamps[row]:.0f} is neither seconds nor milliseconds since 1970")
    scale = 1_000 if np.abs(stamps).max() < _SECONDS_BELOW else 1
    return np.rint(stamps * scale).astype(np.int64)


def _one_by_one(stamps: "pd.Series[Any]", path: Path) -> NDArray[np.int64]:
    """Parse texts with different offsets, or find the one that cannot be parsed."""
    open_ms = np.full(len(stamps), _NOT_A_TIME, np.int64)
    for row, text in enumerate(stamps):
        try:
            time = datetime.fromisoformat(str(text))
        except ValueError as error:
            raise _bad_stamp(path, row, f"timestamp {text!r} cannot be read as ISO 8601") from error
        if time.tzinfo is None:
            raise _without_zone(path, row, text)
        open_ms[row] = round(time.timestamp() * 1_000)
    return open_ms


def _check_order(open_ms: NDArray[np.int64], path: Path) -> None:
    back = np.diff(open_ms) <= 0
    if back.any():
        row = int(back.argmax()) + 1
        fault = "repeats the one before" if open_ms[row] == open_ms[row - 1] else "is earlier than the one before"
        raise _bad_stamp(path, row, f"timestamp {pd.Timestamp(open_ms[row], unit='ms', tz='UTC')} {fault}")


def _check_spacing(candles: Candles, timeframe: str, path: Path) -> None:
    """Reject candles of another timeframe: read as shorter ones, they would show their close too early."""
    if len(candles) < 2:
        return
    spacings_ms, times = np.unique(np.diff(candles.open_ms), return_counts=True)
    usual_ms = int(spacings_ms[times.argmax()])
    if usual_ms != timeframe_ms(timeframe):
        fault = (
            f"most candles are {usual_ms / 1_000:g} s apart, "
            f"but timeframe {timeframe!r} is {timeframe_ms(timeframe) // 1_000} s"
        )
        remedy = f"set the symbol's timeframe to {timeframe_of(usual_ms)!r}"
        if usual_ms < timeframe_ms(timeframe):
            remedy += f", or resample: {_COMMANDS} resample {shlex.quote(str(path))} OUT.csv --timeframe {timeframe}"
        raise ValueError(f"candle file {str(path)!r}: {fault}{'; ' + remedy if timeframe_of(usual_ms) else ''}")


def _without_zone(path: Path, row: int, stamp: object) -> ValueError:
    fault = f"timestamp {stamp} has no time zone; expected UTC with a final Z"
    return _bad_stamp(path, row, fault, " --timezone ZONE")


def _bad_stamp(path: Path, row: int, fault: str, options: str = "") -> ValueError:
    return ValueError(f"candle file {str(path)!r}, {_place(path, row)}: {fault}; {_mend(path, options)}")


def _mend(path: Path, options: str = "") -> str:
    """Return the command that converts the file to one that can be played."""
    return f"convert it: {_COMMANDS} convert {shlex.quote(str(path))} OUT.csv{options}"


def _place(path: Path, row: int) -> str:
    return f"row {row + 1}" if path.suffix == ".parquet" else f"line {_line(path, row)[0]}"


def _line(path: Path, row: int) -> tuple[int, str]:
    """Return number and text of the line of a row in a CSV file; blank lines do not count as rows."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        filled = ((number, line.strip()) for number, line in enumerate(file, start=1) if line.strip())
        return next(islice(filled, row + 1, None), (row + 2, ""))
