"""The day of an account: it begins at an hour of a time zone, such as 17:00 in New York."""

from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from trading.market.local_time import DAY_MINUTES, local_ms, minute_of_day, utc_ms, zone_of

_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
_EPOCH = date(1970, 1, 1)


class TradingDay(BaseModel):
    """When a day begins. The default is the UTC day.

    A day that begins at noon or later has the date on which it ends: with `starts="17:00"` Monday begins on Sunday.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    starts: str = Field(default="00:00", description="Local hour at which a day begins, such as '17:00'.")
    timezone: str = Field(default="UTC", description="IANA time zone name of that hour, such as America/New_York.")

    @field_validator("starts")
    @classmethod
    def _is_hour(cls, starts: str) -> str:
        minute_of_day(starts)
        return starts

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, timezone: str) -> str:
        zone_of(timezone)
        return timezone

    @property
    def is_utc(self) -> bool:
        """Whether it is the UTC day."""
        return self.timezone == "UTC" and minute_of_day(self.starts) == 0

    def number_of(self, ms: int) -> int:
        """Return the number of the day of an instant: 0 for the day with the date 1 January 1970."""
        return (local_ms(self.timezone, ms) + shift_ms(self.starts)) // _DAY_MS

    def numbers_of(self, times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return `number_of` each of ascending times."""
        if self.is_utc or not len(times_ms):
            return times_ms // _DAY_MS
        first, last = self.number_of(int(times_ms[0])), self.number_of(int(times_ms[-1]))
        begins = np.array([self.begins_ms(number) for number in range(first, last + 1)], np.int64)
        return first + begins.searchsorted(times_ms, side="right") - 1

    def date_of(self, ms: int) -> date:
        """Return the date of the day of an instant, in milliseconds since the epoch, UTC."""
        return _EPOCH + timedelta(days=self.number_of(ms))

    def begins_ms(self, number: int) -> int:
        """Return the instant at which the day of a number begins, in milliseconds since the epoch, UTC."""
        return utc_ms(self.timezone, number * _DAY_MS - shift_ms(self.starts))

    def bounds(self, ms: int) -> tuple[int, int]:
        """Return the first instant of the day of an instant, and the first one after it."""
        number = self.number_of(ms)
        return self.begins_ms(number), self.begins_ms(number + 1)

    @property
    def description(self) -> str:
        """The day, formatted for messages."""
        return "UTC day" if self.is_utc else f"day from {self.starts}, {self.timezone}"


UTC_DAY = TradingDay()


@lru_cache(maxsize=256)
def shift_ms(starts: str) -> int:
    """Return the time to add to local time so that days begin at 00:00.

    A start at noon or later belongs to the date of the next day.
    """
    minute = minute_of_day(starts)
    return (DAY_MINUTES - minute if minute >= DAY_MINUTES // 2 else -minute) * _MINUTE_MS
