"""Trading hours of a market, in its own time zone."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from typing import Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trading.errors import Rejected
from trading.market.calendars import calendar_hours
from trading.market.local_time import DAY_MINUTES, local_ms, minute_of_day, utc_ms, zone_of

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
_WEEK_MINUTES = 7 * DAY_MINUTES
_EPOCH_MINUTE = 3 * DAY_MINUTES  # 1 January 1970 was a Thursday
_HOURS = ("calendar", "timezone", "opens", "closes", "daily_break")


class Session(BaseModel):
    """Trading hours: always open, weekly with an optional daily break, or by the calendar of an exchange.

    Gold, for example: `kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00",
    daily_break="17:00-18:00"`. The market is open at an opening instant, closed at a closing instant. Only a calendar
    knows holidays and early closes: `kind="calendar", calendar="XNYS"`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["always", "weekly", "calendar"] = Field(
        default="always", description="Always open, weekly hours, or the calendar of an exchange."
    )
    calendar: str | None = Field(
        default=None, description="Name of the exchange's calendar, as 'XNYS'; docs/reference/sessions.md lists them."
    )
    timezone: str | None = Field(default=None, description="IANA time zone name of the hours below.")
    opens: str | None = Field(default=None, description="Day and hour of the weekly opening, as 'sun 18:00'.")
    closes: str | None = Field(default=None, description="Day and hour of the weekly close, as 'fri 17:00'.")
    daily_break: str | None = Field(
        default=None, description="Hours closed each day, as '17:00-18:00'; absent: no break."
    )

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, name: str | None) -> str | None:
        if name is not None:
            zone_of(name)
        return name

    @field_validator("calendar")
    @classmethod
    def _is_calendar(cls, name: str | None) -> str | None:
        if name is not None:
            calendar_hours(name)
        return name

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "always":
            self._reject("always", *_HOURS, action="set kind to 'weekly' or 'calendar'")
        elif self.kind == "weekly":
            self._require("weekly", "timezone", "opens", "closes")
            self._reject("weekly", "calendar", action="set kind to 'calendar' and remove opens and closes")
            if self._week.opens == self._week.closes:
                raise ValueError(
                    f"opens and closes are both {self.opens!r}; set kind to 'always' for a market that never closes"
                )
        else:
            self._require("calendar", "calendar")
            self._reject("calendar", "opens", "closes", action="remove them, the calendar has the hours")
            if bool(self.timezone) != bool(self.daily_break):
                raise ValueError("a daily break with a calendar requires timezone and daily_break; set both or neither")
            _ = self._break
        return self

    def is_open(self, ms: int) -> bool:
        """Return whether the market is open at an instant, in milliseconds since the epoch, UTC.

        Raises:
            Rejected: The calendar does not cover that time.
        """
        if self.kind == "always":
            return True
        if self.kind == "weekly":
            return self._week.is_open(ms)
        if not calendar_hours(self.calendar or "").is_open(ms):
            return False
        return not self.daily_break or not self._break.holds(_local_minute(self.timezone or "", ms))

    def next_open(self, ms: int) -> int:
        """Return the first instant at or after `ms` at which the market is open, in milliseconds since the epoch, UTC.

        Raises:
            Rejected: The calendar does not cover that time.
        """
        if self.is_open(ms):
            return ms
        if self.kind == "weekly":
            return self._week.next_open(ms)
        calendar = calendar_hours(self.calendar or "")
        opens_ms = calendar.next_open(ms)
        while not self.is_open(opens_ms):
            opens_ms = calendar.next_open(self._break.end_ms(self.timezone or "", opens_ms))
        return opens_ms

    def may_be_open(self, ms: int) -> bool:
        """Return `is_open`, or True if the hours are unknown: a gap at an unknown time is reported, not hidden."""
        try:
            return self.is_open(ms)
        except Rejected:
            return True

    def are_open(self, times_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return `may_be_open` for each of many times."""
        if self.kind == "weekly":
            return self._week.are_open(times_ms)
        if self.kind == "always":
            return np.ones(len(times_ms), np.bool_)
        return np.fromiter(map(self.may_be_open, times_ms.tolist()), np.bool_, len(times_ms))

    @property
    def hours(self) -> str:
        """The trading hours, formatted for messages."""
        if self.kind == "always":
            return "at all times"
        hours = f"hours of {self.calendar}" if self.calendar else f"{self.opens} to {self.closes}, {self.timezone}"
        return f"{hours}, except {self.daily_break} each day" if self.daily_break else hours

    def _require(self, kind: str, *names: str) -> None:
        if missing := [name for name in names if not getattr(self, name)]:
            raise ValueError(f"kind {kind!r} requires {', '.join(missing)}")

    def _reject(self, kind: str, *names: str, action: str) -> None:
        if given := [name for name in names if getattr(self, name)]:
            raise ValueError(f"kind {kind!r} does not allow {', '.join(given)}; {action}")

    @property
    def _week(self) -> "_Week":
        return _week(self.timezone or "", self.opens or "", self.closes or "", self.daily_break)

    @property
    def _break(self) -> "_Break":
        return _break(self.daily_break)


class EntryHours(BaseModel):
    """Hours in which a symbol may enter, in addition to the market's trading hours; exits are always allowed.

    Example: `timezone="Europe/London", hours=["07:00-11:00", "13:00-16:00"], days=["mon", "tue"]`. A range includes its
    first minute and excludes its last. It may cross midnight; `days` refers to the day of the instant itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timezone: str = Field(default="UTC", description="IANA time zone name of the hours and days.")
    hours: tuple[str, ...] = Field(
        min_length=1, description="Ranges in which the candle of an entry must close, each such as '07:00-16:00'."
    )
    days: tuple[Day, ...] = Field(
        default=_DAYS, min_length=1, description="Days of the week on which a symbol may enter; absent: all days."
    )

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, name: str) -> str:
        zone_of(name)
        return name

    @field_validator("hours")
    @classmethod
    def _are_ranges(cls, hours: tuple[str, ...]) -> tuple[str, ...]:
        for text in hours:
            _range(text)
        return hours

    def holds(self, ms: int) -> bool:
        """Return whether entries are allowed at an instant, given in milliseconds since the epoch, UTC."""
        local = _local_minute(self.timezone, ms)
        minute, day = local % DAY_MINUTES, _DAYS[(local + _EPOCH_MINUTE) % _WEEK_MINUTES // DAY_MINUTES]
        return day in self.days and any(_is_within(minute, *_range(text)) for text in self.hours)

    @property
    def description(self) -> str:
        """The entry hours, formatted for messages."""
        days = "" if self.days == _DAYS else f" on {', '.join(self.days)}"
        return f"{', '.join(self.hours)}{days}, {self.timezone}"


@lru_cache(maxsize=256)
def _range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not dash or first.strip() == last.strip():
        raise ValueError(f"range {text!r}: expected two different hours such as '07:00-16:00'")
    return minute_of_day(first), minute_of_day("00:00" if last.strip() == "24:00" else last)


class _Break:
    """Hours closed each day, in minutes since midnight, local time."""

    def __init__(self, hours: str | None) -> None:
        first, last = hours.split("-") if hours and hours.count("-") == 1 else ("00:00", "00:00")
        if hours and first == last:
            raise ValueError(f"daily_break {hours!r}: expected two different hours such as '17:00-18:00'")
        self._first, self.last = minute_of_day(first), minute_of_day(last)

    def holds(self, minute: int) -> bool:
        return _is_within(minute % DAY_MINUTES, self._first, self.last)

    def end_ms(self, zone: str, ms: int) -> int:
        """Return the instant at which the break next ends."""
        return next(one for one in _daily_ms(zone, ms, self.last) if one > ms)


class _Week:
    """The hours of a weekly session, in minutes since Monday 00:00, local time."""

    def __init__(self, zone: str, opens: str, closes: str, daily_break: str | None) -> None:
        self._zone = zone
        self.opens = _minute_of_week(opens)
        self.closes = _minute_of_week(closes)
        self._break = _Break(daily_break)

    def is_open(self, ms: int) -> bool:
        week = (_local_minute(self._zone, ms) + _EPOCH_MINUTE) % _WEEK_MINUTES
        return _is_within(week, self.opens, self.closes) and not self._break.holds(week)

    def next_open(self, ms: int) -> int:
        """Return the next opening after a time at which the market is closed."""
        begins = (_daily_ms(self._zone, ms, minute) for minute in (self.opens % DAY_MINUTES, self._break.last))
        return min(next(one for one in at if one > ms and self.is_open(one)) for at in begins)

    def are_open(self, times_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        utc = pd.DatetimeIndex(times_ms.astype("datetime64[ms]"), tz="UTC")
        local = utc.tz_convert(zone_of(self._zone)).tz_localize(None).as_unit("ms").asi8
        minutes, places = np.unique((local // 60_000 + _EPOCH_MINUTE) % _WEEK_MINUTES, return_inverse=True)
        is_open = [_is_within(one, self.opens, self.closes) and not self._break.holds(one) for one in minutes.tolist()]
        return np.array(is_open, np.bool_)[places]


def _daily_ms(zone: str, ms: int, minute: int) -> Iterator[int]:
    """Yield the instants of a local minute of the day, from the day of `ms` on."""
    days = count(local_ms(zone, ms) // _DAY_MS)
    return (utc_ms(zone, day * _DAY_MS + minute * _MINUTE_MS) for day in days)


def _is_within(minute: int, first: int, last: int) -> bool:
    """Return whether `minute` is in [first, last), which may cross the end of the week or the day."""
    return first <= minute < last if first <= last else minute >= first or minute < last


@lru_cache(maxsize=256)
def _week(zone: str, opens: str, closes: str, daily_break: str | None) -> _Week:
    return _Week(zone, opens, closes, daily_break)


@lru_cache(maxsize=256)
def _break(hours: str | None) -> _Break:
    return _Break(hours)


def _local_minute(zone: str, ms: int) -> int:
    """Return minutes since 1 January 1970 00:00 local time."""
    return local_ms(zone, ms) // 60_000


def _minute_of_week(text: str) -> int:
    day, _, hour = text.strip().lower().partition(" ")
    names: tuple[str, ...] = _DAYS
    if day not in names:
        raise ValueError(f"{text!r}: expected a day ({', '.join(_DAYS)}) and an hour, such as 'sun 18:00'")
    return names.index(day) * DAY_MINUTES + minute_of_day(hour)
