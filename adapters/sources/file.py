"""Recorded candles of a CSV or Parquet file, played as an exchange would have shown them."""

import zlib
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapters import clock
from adapters.sources.market_clock import AnchorStore, Speed
from adapters.sources.played import PlayedSource
from trading.candles import COLUMNS, Candles, timeframe_ms

_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_NEEDED = ("timestamp", *COLUMNS)
_SECONDS_BELOW = 100_000_000_000  # as seconds this is the year 5138, as milliseconds 1973
_NOT_A_TIME = np.iinfo(np.int64).min


class FileSource(PlayedSource):
    """Plays a file of candles; several sources of one file share one copy of it within a process."""

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
            symbol: Whose candles these are.
            timeframe: Their timeframe, such as "1m".
            speed: "max", or market seconds per wall second.
            now_ms: The wall clock, milliseconds since the epoch.
            anchors: Where numeric speeds keep when the market began; None keeps it in this object.
            step: Candles released per answer at speed "max".

        Raises:
            ValueError: File, column or timestamps are missing or not as described; prices are not judged here.
        """
        tape = FileTape(read_candles(path, timeframe=timeframe))
        super().__init__(tape, timeframe=timeframe, speed=speed, step=step, now_ms=now_ms, anchors=anchors)
        self.path = Path(path)
        self.symbol = symbol

    def __repr__(self) -> str:
        return f"<FileSource {self.symbol} {str(self.path)!r}>"


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
    """Read a file of candles; a file that did not change is read once per process.

    Args:
        path: As for `FileSource`.
        timeframe: Of the candles in it.

    Returns:
        At least one candle, in arrays that cannot be written to. Prices and volumes are as in the file; what is no
        number is NaN.

    Raises:
        ValueError: The file is missing, of another kind or empty, lacks a column, has a timestamp that is unreadable,
            naive, repeated or out of order (the message names the line), or candles of another timeframe.
    """
    path = Path(path)
    if not path.name.endswith(_SUFFIXES):
        raise ValueError(f"candle file {str(path)!r}: found {path.suffix!r}, allowed are {', '.join(_SUFFIXES)}")
    if not path.is_file():
        raise ValueError(f"candle file {str(path)!r}: there is no such file; allowed are {', '.join(_SUFFIXES)}")
    found = path.stat()
    candles = _read(path.resolve(), found.st_mtime_ns, found.st_size)
    _check_spacing(candles, timeframe, path)
    return candles


@lru_cache(maxsize=64)
def _read(path: Path, _mtime_ns: int, _size_bytes: int) -> Candles:
    table = _read_table(path)
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise ValueError(
            f"candle file {str(path)!r}: no column {', '.join(missing)}; "
            f"found {', '.join(map(str, table.columns))}; needed {', '.join(_NEEDED)}"
        )
    if table.empty:
        raise ValueError(f"candle file {str(path)!r}: no candles in it")
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
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"candle file {str(path)!r}: cannot be read: {error}") from error
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
        raise _bad_stamp(path, 0, f"timestamp {stamps.iloc[0]} has no time zone; allowed is UTC with Z at the end")
    return pd.DatetimeIndex(times).tz_convert("UTC").as_unit("ms").asi8.copy()


def _from_epoch(stamps: NDArray[np.float64], path: Path) -> NDArray[np.int64]:
    unreadable = ~np.isfinite(stamps)
    if unreadable.any():
        raise _bad_stamp(path, int(unreadable.argmax()), "no timestamp")
    scale = 1_000 if np.abs(stamps).max() < _SECONDS_BELOW else 1
    return np.rint(stamps * scale).astype(np.int64)


def _one_by_one(stamps: "pd.Series[Any]", path: Path) -> NDArray[np.int64]:
    """Read texts whose offsets differ, or find the one that cannot be read."""
    open_ms = np.full(len(stamps), _NOT_A_TIME, np.int64)
    for row, text in enumerate(stamps):
        try:
            time = datetime.fromisoformat(str(text))
        except ValueError as error:
            raise _bad_stamp(path, row, f"timestamp {text!r} cannot be read as ISO 8601") from error
        if time.tzinfo is None:
            raise _bad_stamp(path, row, f"timestamp {text} has no time zone; allowed is UTC with Z at the end")
        open_ms[row] = round(time.timestamp() * 1_000)
    return open_ms


def _check_order(open_ms: NDArray[np.int64], path: Path) -> None:
    back = np.diff(open_ms) <= 0
    if back.any():
        row = int(back.argmax()) + 1
        fault = "repeats the one before" if open_ms[row] == open_ms[row - 1] else "is earlier than the one before"
        raise _bad_stamp(path, row, f"timestamp {pd.Timestamp(open_ms[row], unit='ms', tz='UTC')} {fault}")


def _check_spacing(candles: Candles, timeframe: str, path: Path) -> None:
    """Refuse candles of another timeframe: taken for shorter ones, they would show their close too early."""
    if len(candles) < 2:
        return
    spacings_ms, times = np.unique(np.diff(candles.open_ms), return_counts=True)
    usual_ms = int(spacings_ms[times.argmax()])
    if usual_ms != timeframe_ms(timeframe):
        raise ValueError(
            f"candle file {str(path)!r}: most candles are {usual_ms // 1_000} s apart, "
            f"but timeframe {timeframe!r} is {timeframe_ms(timeframe) // 1_000} s"
        )


def _bad_stamp(path: Path, row: int, fault: str) -> ValueError:
    place = f"row {row + 1}" if path.suffix == ".parquet" else f"line {row + 2}"
    return ValueError(f"candle file {str(path)!r}, {place}: {fault}")
