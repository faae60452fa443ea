"""Local time of a zone: conversion from and to UTC, with the clock changes of the zone."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_MINUTES = 1440
_QUARTER_S = 900  # time zones change their offset only at a full quarter of an hour, UTC
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # local times are counted from here, whatever the zone


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of an IANA name.

    Raises:
        ValueError: There is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"time zone {name!r} is unknown: expected an IANA name such as America/New_York") from error


def local_ms(zone: str, ms: int) -> int:
    """Return milliseconds since 1 January 1970 00:00 of local time, for an instant in milliseconds since the epoch."""
    return ms + 1000 * _offset_s(zone, ms // 1000 // _QUARTER_S)


def utc_ms(zone: str, local: int) -> int:
    """Return the instant of a local time, both in milliseconds; the inverse of `local_ms`.

    Of a time that occurs twice the first one is meant. A time that clocks skip lies as far after the change as it lies
    after the beginning of what they skip.
    """
    at = (_EPOCH + timedelta(milliseconds=local)).replace(tzinfo=zone_of(zone), fold=0)
    return round(at.timestamp() * 1000)


def minute_of_day(text: str) -> int:
    """Return the minutes since midnight of an hour such as `18:00`.

    Raises:
        ValueError: It is no hour from 00:00 to 23:59.
    """
    hours, _, minutes = text.strip().partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        raise ValueError(f"{text!r}: expected an hour from 00:00 to 23:59, such as '18:00'")
    return int(hours) * 60 + int(minutes)


@lru_cache(maxsize=65_536)
def _offset_s(zone: str, quarter: int) -> int:
    at = datetime.fromtimestamp(quarter * _QUARTER_S, UTC).astimezone(zone_of(zone))
    return int((at.utcoffset() or timedelta()).total_seconds())
