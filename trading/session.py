"""Trading hours: when a market is open, in its own time zone."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 1440
_WEEK_MINUTES = 7 * _DAY_MINUTES
_EPOCH_MINUTE = 3 * _DAY_MINUTES  # 1 January 1970 was a Thursday
_QUARTER_S = 900  # clocks are put forward and back at a quarter of an hour of UTC


class Session(BaseModel):
    """When a market is open: always, or once a week with a break each day.

    Gold, for example: `kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00",
    daily_break="17:00-18:00"`. An opening instant is open, a closing instant is closed. Holidays are not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["always", "weekly"] = Field(default="always", description="Open at all times, or by the week.")
    timezone: str | None = Field(default=None, description="IANA name of the time zone of the hours below.")
    opens: str | None = Field(default=None, description="Day and hour of the opening, as 'sun 18:00'.")
    closes: str | None = Field(default=None, description="Day and hour of the close, as 'fri 17:00'.")
    daily_break: str | None = Field(
        default=None, description="Hours closed each day, as '17:00-18:00'; none if absent."
    )

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, name: str | None) -> str | None:
        if name is not None:
            _zone(name)
        return name

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        hours = {"timezone": self.timezone, "opens": self.opens, "closes": self.closes}
        if self.kind == "always":
            if given := [name for name, value in {**hours, "daily_break": self.daily_break}.items() if value]:
                raise ValueError(f"{', '.join(given)} given for a session that is always open: set kind to 'weekly'")
        elif missing := [name for name, value in hours.items() if not value]:
            raise ValueError(f"a weekly session needs {', '.join(missing)}")
        elif self._week.opens == self._week.closes:
            raise ValueError(
                f"opens and closes are both {self.opens!r}: use kind 'always' for a market that never closes"
            )
        return self

    def is_open(self, ms: int) -> bool:
        """Return whether the market is open at an instant, given in milliseconds since the epoch, UTC."""
        return self.kind == "always" or self._week.is_open(ms)

    @property
    def _week(self) -> "_Week":
        return _week(self.timezone or "", self.opens or "", self.closes or "", self.daily_break)


class _Week:
    """The hours of a weekly session, in minutes since Monday 00:00 and since midnight, local time."""

    def __init__(self, zone: str, opens: str, closes: str, daily_break: str | None) -> None:
        self.zone = zone
        self.opens = _minute_of_week(opens)
        self.closes = _minute_of_week(closes)
        first, last = daily_break.split("-") if daily_break and daily_break.count("-") == 1 else ("00:00", "00:00")
        if daily_break and first == last:
            raise ValueError(f"daily_break {daily_break!r}: allowed are two different hours such as '17:00-18:00'")
        self.break_from, self.break_until = _minute_of_day(first), _minute_of_day(last)

    def is_open(self, ms: int) -> bool:
        second = ms // 1000
        local = (second + _offset_s(self.zone, second // _QUARTER_S)) // 60
        week = (local + _EPOCH_MINUTE) % _WEEK_MINUTES
        return _is_within(week, self.opens, self.closes) and not _is_within(
            week % _DAY_MINUTES, self.break_from, self.break_until
        )


def _is_within(minute: int, first: int, last: int) -> bool:
    """Return whether `minute` is in [first, last), which may run over the end of the week or the day."""
    return first <= minute < last if first <= last else minute >= first or minute < last


@lru_cache(maxsize=256)
def _week(zone: str, opens: str, closes: str, daily_break: str | None) -> _Week:
    return _Week(zone, opens, closes, daily_break)


@lru_cache(maxsize=65_536)
def _offset_s(zone: str, quarter: int) -> int:
    at = datetime.fromtimestamp(quarter * _QUARTER_S, UTC).astimezone(_zone(zone))
    return int((at.utcoffset() or timedelta()).total_seconds())


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"time zone {name!r} is not known: allowed are IANA names such as America/New_York") from error


def _minute_of_week(text: str) -> int:
    day, _, hour = text.strip().lower().partition(" ")
    if day not in _DAYS:
        raise ValueError(f"{text!r}: allowed is a day ({', '.join(_DAYS)}) and an hour, such as 'sun 18:00'")
    return _DAYS.index(day) * _DAY_MINUTES + _minute_of_day(hour)


def _minute_of_day(text: str) -> int:
    hours, _, minutes = text.strip().partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        raise ValueError(f"{text!r}: allowed is an hour from 00:00 to 23:59, such as '18:00'")
    return int(hours) * 60 + int(minutes)
