"""Candles: closed price bars of one symbol, and their validation."""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Self

import numpy as np
import pandas as pd
from msgspec import Struct
from numpy.typing import NDArray

from trading.errors import BadCandle
from trading.formatting import format_price
from trading.market.timeframes import Timeframe
from trading.market.timeframes import timeframe_ms as timeframe_ms  # noqa: PLC0414  # packages of sources import it here

OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)
COLUMNS = ("open", "high", "low", "close", "volume")
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000


class Candles(Struct, frozen=True, eq=False):
    """Bars in ascending order of their open time.

    Attributes:
        open_ms: Shape (n,), int64: open time, milliseconds since the epoch, UTC, strictly ascending.
        values: Shape (n, 5), float64: open, high, low, close in quote currency, volume in units.
    """

    open_ms: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.open_ms)

    def __getitem__(self, part: slice) -> "Candles":
        return Candles(self.open_ms[part], self.values[part])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Candles):
            return NotImplemented
        return np.array_equal(self.open_ms, other.open_ms) and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by value, so no hash can hold

    @property
    def last_open_ms(self) -> int:
        """Open time of the newest bar; there must be at least one."""
        return int(self.open_ms[-1])

    def rows(self) -> list[list[float]]:
        """Return `[open_ms, open, high, low, close, volume]` for each bar, the form used in messages."""
        return [[int(at), *row] for at, row in zip(self.open_ms.tolist(), self.values.tolist(), strict=True)]

    def frame(self) -> pd.DataFrame:
        """Return a DataFrame with the columns `COLUMNS` and a UTC index named `timestamp` (open time)."""
        index = pd.DatetimeIndex(pd.to_datetime(self.open_ms, unit="ms", utc=True), name="timestamp")
        return pd.DataFrame(self.values, index=index, columns=list(COLUMNS))

    def after(self, open_ms: int) -> "Candles":
        """Return the bars that opened later than `open_ms`."""
        return self[int(np.searchsorted(self.open_ms, open_ms, side="right")) :]

    def until(self, open_ms: int) -> "Candles":
        """Return the bars that opened at or before `open_ms`."""
        return self[: int(np.searchsorted(self.open_ms, open_ms, side="right"))]

    def then(self, later: "Candles") -> "Candles":
        """Return these bars followed by `later`, which must begin after the last one."""
        if not len(self):
            return later
        return Candles(np.concatenate((self.open_ms, later.open_ms)), np.concatenate((self.values, later.values)))

    @classmethod
    @cache
    def empty(cls) -> Self:
        return cls(np.empty(0, np.int64), np.empty((0, 5), np.float64))

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[float]]) -> Self:
        """Create candles from `[open_ms, open, high, low, close, volume]` lists, in the given order."""
        table = np.array(list(rows), np.float64).reshape(-1, 6)
        return cls(table[:, 0].astype(np.int64), np.ascontiguousarray(table[:, 1:]))

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Self:
        """Create candles from a DataFrame with the columns `COLUMNS` and an aware DatetimeIndex."""
        index = pd.DatetimeIndex(frame.index)
        if index.tz is None:
            raise ValueError("the index is naive: give it a time zone, such as frame.tz_localize('UTC')")
        open_ms = index.tz_convert("UTC").as_unit("ms").asi8
        return cls(open_ms.copy(), np.ascontiguousarray(frame[list(COLUMNS)].to_numpy(np.float64)))

    __ne__ = object.__ne__  # negates __eq__; a Struct would bring its own


def first_fault(
    candles: Candles, *, timeframe: str, phase_ms: int = 0, allow_non_positive: bool = False
) -> BadCandle | None:
    """Return the fault of the first bad bar, or None if all bars are valid.

    A bar is bad if a value is NaN or infinite, a price is not positive, volume is negative, prices are crossed (high
    below another price, or low above one), or its open time is off the timeframe's grid or not after the previous bar.
    `trading.market.quality.row_faults` is the same rule for rows in any order.

    Args:
        candles: The bars.
        timeframe: Their timeframe.
        phase_ms: Time after a full unit of the grid at which the candles begin: 30 minutes for hours from 09:30.
        allow_non_positive: Prices may be zero or negative.
    """
    grid_ms = Timeframe.parse(timeframe).grid_ms
    least = -math.inf if allow_non_positive else 0.0
    # for a single bar the loop is faster than array operations
    if len(candles) > 1 and _all_sound(candles, grid_ms, phase_ms, least):
        return None
    before_ms = -1
    for open_ms, row in zip(candles.open_ms.tolist(), candles.values.tolist(), strict=True):
        first, high, low, last, volume = row
        # Comparisons with NaN are false, so NaN fails the chained comparison like any other fault.
        is_sound = least < low <= first <= high < math.inf and low <= last <= high and 0 <= volume < math.inf
        off_ms = (open_ms - phase_ms) % grid_ms
        if not is_sound or off_ms or open_ms <= before_ms:
            return BadCandle(open_ms, f"{_fault(row, open_ms, before_ms, grid_ms, phase_ms, least)} ({_numbers(row)})")
        before_ms = open_ms
    return None


def is_on_grid(open_ms: int, timeframe: str, phase_ms: int = 0) -> bool:
    """Return whether a candle of a timeframe can open at a time; `phase_ms` as for `first_fault`."""
    return (open_ms - phase_ms) % Timeframe.parse(timeframe).grid_ms == 0


def _all_sound(candles: Candles, grid_ms: int, phase_ms: int, least: float) -> bool:
    first, high, low, last, volume = candles.values.T
    is_sound = (low > least) & (low <= np.minimum(first, last)) & (np.maximum(first, last) <= high) & (high < math.inf)
    is_sound &= (volume >= 0) & (volume < math.inf)
    is_in_place = (np.diff(candles.open_ms, prepend=-1) > 0) & (candles.open_ms % grid_ms == phase_ms)
    return bool((is_sound & is_in_place).all())


def _numbers(row: Sequence[float]) -> str:
    return ", ".join(f"{name} {format_price(value)}" for name, value in zip(COLUMNS, row, strict=True))


def _fault(row: Sequence[float], open_ms: int, before_ms: int, grid_ms: int, phase_ms: int, least: float) -> str:
    first, high, low, last, volume = row
    no_numbers = [name for name, value in zip(COLUMNS, row, strict=True) if not math.isfinite(value)]
    faults = (
        (f"{', '.join(no_numbers)}: not a finite number", bool(no_numbers)),
        ("a price is not positive", min(first, high, low, last) <= least),
        ("volume is negative", volume < 0),
        ("high is below another price", high < max(first, last)),
        ("low is above another price", low > min(first, last)),
        ("open time is before 1970", open_ms < 0),
        ("open time is not after the bar before", open_ms <= before_ms),
    )
    off = f"open time is off the timeframe's grid, by {(open_ms - phase_ms) % grid_ms / 1000:g} s"
    begin = f"a full {_unit(grid_ms)}" + (f" and {phase_ms / _MINUTE_MS:g} min" if phase_ms else "")
    return next((fault for fault, is_so in faults if is_so), f"{off} after {begin}")


def _unit(grid_ms: int) -> str:
    return "minute" if grid_ms == _MINUTE_MS else "hour" if grid_ms == _HOUR_MS else f"{grid_ms // _MINUTE_MS} minutes"
