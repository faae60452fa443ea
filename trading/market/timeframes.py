"""Timeframes: where each candle begins and ends, on the clock or on the calendar of a time zone.

A candle ends where the next one begins. The next one is known from its row, or from the timeframe: a fixed one has
candles of one length; a calendar one has months, or the days and hours of a zone with its clock changes.
"""

from functools import lru_cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from trading.market.local_time import local_ms, utc_ms, zone_of
from trading.market.trading_days import shift_ms

Times = NDArray[np.int64]

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_UNIT_MS = {"s": 1_000, "m": _MINUTE_MS, "h": _HOUR_MS, "d": _DAY_MS, "w": 7 * _DAY_MS, "M": 30 * _DAY_MS}
_MOST = 10_000
_MONDAY_MS = 3 * _DAY_MS  # from the Monday before 1 January 1970 to that day
_FORMS = (
    "a whole number and one of m, h, d, w, M, such as '5m', '1w' or '1M'; days, weeks, months and hours of a time "
    "zone as '1d@America/New_York', or '1d@America/New_York,17:00' where the day begins at 17:00"
)


class BadTimeframe(ValueError):
    """A text that is no timeframe, with a description of what is allowed."""

    def __init__(self, text: str, allowed: str) -> None:
        super().__init__(text, allowed)
        self.text = text
        self.allowed = allowed

    def __str__(self) -> str:
        return f"timeframe {self.text!r}: allowed is {self.allowed}"


class Timeframe(Struct, frozen=True):
    """The grid of a symbol's candles. Times are open times, milliseconds since the epoch, UTC.

    The candles are numbered by slots: slot 0 contains 1 January 1970. `parse` makes one.

    Attributes:
        name: Its text, as `1m`, `1w`, `1M` or `4h@America/New_York,17:00`.
        count: Number of units.
        unit: One of m, h, d, w (from Monday) and M (calendar months).
        timezone: Zone of the calendar; empty for UTC.
        shift_ms: Added to local time, so that the days of the calendar begin at 00:00.
        length_ms: Length of a candle; of a calendar timeframe the usual one: 24 hours for a day, 30 days for a month.
        is_fixed: Whether all candles have one length.
    """

    name: str
    count: int
    unit: str
    timezone: str
    shift_ms: int
    length_ms: int
    is_fixed: bool

    @classmethod
    def parse(cls, text: str) -> "Timeframe":
        """Read a timeframe.

        Raises:
            BadTimeframe: It is none of the allowed forms.
        """
        return _parsed(text)

    @classmethod
    def of_spacing(cls, spacing_ms: int) -> "Timeframe":
        """Return the timeframe of candles that are usually so far apart; one without a name is in seconds."""
        name = timeframe_of(spacing_ms)
        return _parsed(name) if name else _timeframe(f"{spacing_ms / 1000:g}s", max(spacing_ms // 1000, 1), "s")

    @property
    def shortest_ms(self) -> int:
        """A lower bound of the length of a candle, in files with irregular candles too."""
        return max(self.length_ms // 2, _MINUTE_MS)

    @property
    def longest_ms(self) -> int:
        """An upper bound of the length of a candle by the calendar."""
        if self.is_fixed:
            return self.length_ms
        return self.length_ms + (self.count * _DAY_MS if self.unit == "M" else 0) + (_HOUR_MS if self.timezone else 0)

    @property
    def grid_ms(self) -> int:
        """The unit of its open times: of longer candles only the hour is certain, they begin with a broker's day."""
        return min(self.length_ms, _HOUR_MS)

    def fits(self, spacing_ms: int | None) -> bool:
        """Return whether candles that are usually so far apart may be of this timeframe; None fits each."""
        if spacing_ms is None or self.is_fixed:
            return spacing_ms in (None, self.length_ms)
        shortest_ms = self.count * 28 * _DAY_MS if self.unit == "M" else self.length_ms
        return shortest_ms - _HOUR_MS <= spacing_ms <= self.longest_ms + _HOUR_MS

    def slot(self, ms: int) -> int:
        """Return the number of the slot that contains an instant."""
        if self.unit == "M":
            month = np.datetime64(self._local(ms), "ms").astype("datetime64[M]").astype(np.int64)
            return int(month) // self.count
        return (self._local(ms) + self._anchor_ms) // self.length_ms

    def opens_ms(self, slot: int) -> int:
        """Return the instant at which a slot begins; the slot before ends there."""
        if self.unit == "M":
            local = int(np.datetime64(slot * self.count, "M").astype("datetime64[ms]").astype(np.int64))
        else:
            local = slot * self.length_ms - self._anchor_ms
        return utc_ms(self.timezone, local - self.shift_ms) if self.timezone else local

    def close_of(self, open_ms: int, following_ms: int | None = None) -> int:
        """Return the instant at which a candle ends.

        Args:
            following_ms: Open time of the next candle; None if it is not known. A next candle after a hole ends
                nothing: the candle then ends by the timeframe.
        """
        if following_ms is not None and 2 * (following_ms - open_ms) <= 3 * self.length_ms:
            return following_ms
        if self.is_fixed:
            return open_ms + self.length_ms
        slot = self.slot(open_ms)
        return self.opens_ms(slot + 1) + open_ms - self.opens_ms(slot)

    def closes(self, open_ms: Times, last_close_ms: int | None = None) -> Times:
        """Return the ends of consecutive candles.

        Args:
            open_ms: Ascending open times.
            last_close_ms: End of the last candle; None for the one of the timeframe.
        """
        ends: Times = open_ms + self.length_ms
        if not len(open_ms):
            return ends
        apart = np.diff(open_ms)
        is_followed = 2 * apart <= 3 * self.length_ms
        if not self.is_fixed:
            places = np.append(np.flatnonzero(~is_followed), len(open_ms) - 1)
            ends[places] = [self.close_of(one) for one in open_ms[places].tolist()]
        np.copyto(ends[:-1], open_ms[1:], where=is_followed)
        if last_close_ms is not None:
            ends[-1] = last_close_ms
        return ends

    def expected(self, after_ms: int, until_ms: int, *, most: int | None = None) -> Times:
        """Return the open times of the candles that are missing between two neighbouring candles.

        Args:
            most: Return at most so many, the latest.
        """
        if self.is_fixed:
            times = range(after_ms + self.length_ms, until_ms - self.length_ms // 2, self.length_ms)
            return np.array(times if most is None else times[-most:], np.int64)
        first, last = self.slot(after_ms), self.slot(until_ms)
        first = max(first, last - most - 1) if most is not None else first
        offset_ms = after_ms - self.opens_ms(self.slot(after_ms))
        found = [self.opens_ms(slot) + offset_ms for slot in range(first + 1, last + 1)]
        return np.array([one for one in found if one < until_ms - self.length_ms // 2], np.int64)

    def floor(self, open_ms: Times, phase_ms: int = 0) -> Times:
        """Return the beginning of the slot of each of many instants.

        Args:
            phase_ms: Time after a whole multiple of the length at which the candles of a fixed timeframe begin.
        """
        if self.is_fixed:
            return (
                (open_ms - phase_ms + self._anchor_ms) // self.length_ms * self.length_ms - self._anchor_ms + phase_ms
            )
        if not len(open_ms):
            return open_ms
        slots = range(self.slot(int(open_ms.min())), self.slot(int(open_ms.max())) + 1)
        begins = np.array([self.opens_ms(slot) for slot in slots], np.int64)
        return np.asarray(begins[begins.searchsorted(open_ms, side="right") - 1])

    def begin_of(self, ms: int, known_open_ms: int) -> int:
        """Return the latest open time at or before an instant on the grid of a candle that opened earlier."""
        if self.is_fixed:
            return known_open_ms + (ms - known_open_ms) // self.length_ms * self.length_ms
        offset_ms = known_open_ms - self.opens_ms(self.slot(known_open_ms))
        return self.opens_ms(self.slot(ms - offset_ms)) + offset_ms

    def shifted(self, open_ms: int, candles: int) -> int:
        """Return the open time so many candles later, or earlier if negative, as if there were no holes."""
        if self.is_fixed:
            return open_ms + candles * self.length_ms
        slot = self.slot(open_ms)
        return self.opens_ms(slot + candles) + open_ms - self.opens_ms(slot)

    def _local(self, ms: int) -> int:
        return local_ms(self.timezone, ms) + self.shift_ms if self.timezone else ms

    @property
    def _anchor_ms(self) -> int:
        return _MONDAY_MS if self.unit == "w" else 0


def phase_of(open_ms: Times, timeframe: Timeframe) -> int:
    """Return the time after a full unit of the grid at which most of the candles begin, such as 30 minutes.

    It is in whole minutes, and 0 where no majority agrees: seconds in a time are a fault, not a grid.
    """
    phases, counts = np.unique(open_ms % timeframe.grid_ms, return_counts=True)
    if not len(phases) or 2 * counts.max() <= len(open_ms):
        return 0
    phase_ms = int(phases[counts.argmax()])
    return 0 if phase_ms % _MINUTE_MS else phase_ms


def _timeframe(name: str, count: int, unit: str, timezone: str = "", shift_ms: int = 0) -> Timeframe:
    is_fixed = unit != "M" and not timezone
    return Timeframe(name, count, unit, timezone, shift_ms, count * _UNIT_MS[unit], is_fixed)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Timeframe:
    length, at, calendar = text.partition("@")
    count, unit = length[:-1], length[-1:]
    if not unit or unit not in "mhdwM" or not count.isdecimal() or not 1 <= int(count) <= _MOST:
        raise BadTimeframe(text, _FORMS)
    number = int(count)
    if unit == "w" and number > 1:
        raise BadTimeframe(text, "'1w', a week from Monday; days such as '14d' for other periods")
    if unit == "M" and 12 % number:
        raise BadTimeframe(text, "'1M', '2M', '3M', '4M', '6M' and '12M', parts of a year")
    if not at:
        return _timeframe(text, number, unit)
    if unit == "m" or (unit == "h" and (number < 2 or 24 % number)) or (unit == "d" and number > 1):
        raise BadTimeframe(text, "with a time zone 2h, 3h, 4h, 6h, 8h, 12h, 1d, 1w and months")
    zone, comma, starts = calendar.partition(",")
    try:
        zone_of(zone)
        return _timeframe(text, number, unit, zone, shift_ms(starts if comma else "00:00"))
    except ValueError as error:
        raise BadTimeframe(text, f"a known time zone and hour; {error}") from None


def timeframe_of(spacing_ms: int) -> str | None:
    """Return the timeframe of candles that are usually so far apart, such as `5m` or `1M`; None if there is none."""
    months = round(spacing_ms / (30.5 * _DAY_MS))
    if months and 12 % months == 0 and 28 * months * _DAY_MS <= spacing_ms <= 31 * months * _DAY_MS:
        return f"{months}M"
    if spacing_ms == 7 * _DAY_MS:
        return "1w"
    units = (("d", _DAY_MS), ("h", _HOUR_MS), ("m", _MINUTE_MS))
    return next((f"{spacing_ms // unit_ms}{unit}" for unit, unit_ms in units if spacing_ms % unit_ms == 0), None)


def timeframe_ms(timeframe: str) -> int:
    """Return the length of a candle in milliseconds, see `Timeframe.length_ms`.

    Raises:
        BadTimeframe: It is no timeframe.
    """
    return _parsed(timeframe).length_ms
