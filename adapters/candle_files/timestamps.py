"""Parse the open times of other programs to milliseconds since the epoch, UTC."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapters.candle_files.layout import CandleFileError
from adapters.sources.file import YEAR_9999_MS

Times = NDArray[np.int64]
Flags = NDArray[np.bool_]

NO_TIME = np.iinfo(np.int64).min
"""Placeholder for a time that could not be read."""

_UNITS = (
    (1e11, "seconds", 1e3),
    (1e14, "milliseconds", 1.0),
    (1e17, "microseconds", 1e-3),
    (np.inf, "nanoseconds", 1e-6),
)
"""Epoch times below the first number are in this unit: as seconds 1e11 is the year 5138."""
_YEAR_1_MS = -62_135_596_800_000
_PACKED = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_PACKED_DATE = r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])(?:[0-5]\d){1,2})?"
_PARTS = r"^(?P<wall>.*?)\s*(?:UTC|GMT)?\s*(?P<offset>Z|[+-]\d{2}:?\d{2})?$"
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"
_UTC_WORD = r"\s*(?:UTC|GMT)$"
_FORMATS = (
    "ISO8601",
    "%Y.%m.%d %H:%M:%S",
    "%Y.%m.%d %H:%M",
    "%Y.%m.%d",
    "%d.%m.%Y %H:%M:%S.%f",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%Y%m%d %H%M%S",
    "%Y%m%d %H:%M:%S",
    "%Y%m%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
)
_SAMPLE = 50
_ZONE = re.compile(r"(?P<name>[A-Za-z][\w/+-]*?)(?:(?P<sign>[+-])(?P<hours>\d{1,2})h)?")


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone with an optional shift in hours: brokers' servers often use New York plus seven."""

    name: str
    ahead: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Stamps:
    """Times that were read.

    Attributes:
        open_ms: Open times; NO_TIME for an unreadable one.
        is_readable: Whether the text is a time, including local times that do not exist or exist twice in the zone.
        kind: Format of the times, as text.
    """

    open_ms: Times
    is_readable: Flags
    kind: str


def zone_of(text: str) -> Zone:
    """Return the zone of a name such as `UTC`, `Europe/Berlin` or `America/New_York+7h`.

    Raises:
        ValueError: There is no such zone.
    """
    match = _ZONE.fullmatch(text)
    try:
        name = match["name"] if match else text
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"{text!r}: expected an IANA name such as UTC or Europe/Berlin, and hours ahead of it, as in "
            "America/New_York+7h"
        ) from error
    hours = int(match["hours"]) * (1 if match["sign"] == "+" else -1) if match and match["hours"] else 0
    return Zone(name, timedelta(hours=hours))


def read_stamps(texts: "pd.Series[Any]", *, zone: Zone | None, time_format: str | None, where: str) -> Stamps:
    """Read open times.

    Args:
        texts: Texts of the file; missing ones are not readable.
        zone: Time zone of times without an offset.
        time_format: As in `datetime.strptime`; None detects it.
        where: Name of the file for errors.

    Raises:
        CandleFileError: Times have no offset and no zone is given, or no known format fits.
    """
    if pd.api.types.is_datetime64_any_dtype(texts.dtype):
        return _from_wall(pd.DatetimeIndex(texts), zone, "dates of the file itself", where)
    texts = texts.astype("string").str.strip().str.strip('"')
    if time_format is not None and "%z" in time_format:
        times = pd.to_datetime(texts, format=time_format, errors="coerce", utc=True)
        return _from_wall(pd.DatetimeIndex(times), zone, _format_name(time_format), where)
    if time_format is None:
        numbers = _numbers(texts)
        if numbers is not None:
            return numbers
    wall_texts, offsets = _parts(texts)
    if time_format is None:
        time_format = _packed_format(wall_texts) or _known_format(wall_texts, where)
    walls = pd.DatetimeIndex(pd.to_datetime(wall_texts, format=time_format, errors="coerce"))
    has_offset = offsets.notna().to_numpy(np.bool_)
    stamps = _from_offset(walls, offsets, _format_name(time_format))
    is_without = ~has_offset & np.asarray(walls.notna())
    if not is_without.any():
        return stamps
    without = _from_wall(walls[is_without], zone, _format_name(time_format), where)
    stamps.open_ms[is_without], stamps.is_readable[is_without] = without.open_ms, without.is_readable
    return Stamps(stamps.open_ms, stamps.is_readable, stamps.kind if has_offset.any() else without.kind)


def _parts(texts: "pd.Series[Any]") -> "tuple[pd.Series[Any], pd.Series[Any]]":
    """Return the times without their offset, and the offsets; the fast methods are tried first."""
    if texts.str.endswith(("UTC", "GMT")).any():
        texts = texts.str.replace(_UTC_WORD, "Z", regex=True)
    if texts.str.endswith("Z").fillna(False).all():
        return texts.str.removesuffix("Z"), pd.Series("Z", texts.index, dtype="string")
    if not texts.str.contains(_OFFSET, regex=True).any():
        return texts, pd.Series(pd.NA, texts.index, dtype="string")
    parts = texts.str.extract(_PARTS)
    return parts["wall"], parts["offset"]


def _from_offset(walls: pd.DatetimeIndex, offsets: "pd.Series[Any]", kind: str) -> Stamps:
    """Return the times that have an offset from UTC; the others are not readable."""
    numbers = (
        offsets.str.replace("Z", "+0000").str.replace(":", "").astype("Float64").to_numpy(np.float64, na_value=np.nan)
    )
    hours, minutes = np.divmod(np.abs(numbers), 100)
    ahead_ms = np.sign(numbers) * (hours * 60 + minutes) * 60_000
    is_readable = np.isfinite(ahead_ms) & np.asarray(walls.notna())
    open_ms = _ms(walls)
    open_ms[is_readable] -= ahead_ms[is_readable].astype(np.int64)
    open_ms[~is_readable] = NO_TIME
    return Stamps(open_ms, is_readable, f"{kind} with offset")


def _numbers(texts: "pd.Series[Any]") -> Stamps | None:
    """Parse epoch times; None when the texts are not numbers, or are dates written as numbers."""
    present = texts.dropna()
    if not len(present) or present.head(_SAMPLE).str.fullmatch(_PACKED_DATE).all():
        return None
    if not pd.to_numeric(present.head(_SAMPLE), errors="coerce").notna().any():
        return None
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    limits, factors = np.array([limit for limit, _, _ in _UNITS]), np.array([factor for _, _, factor in _UNITS])
    unit = np.searchsorted(limits[:-1], np.abs(np.nan_to_num(numbers)), side="right")
    times_ms = numbers * factors[unit]
    is_readable = (times_ms > _YEAR_1_MS) & (times_ms < YEAR_9999_MS)
    open_ms = np.full(len(numbers), NO_TIME, np.int64)
    open_ms[is_readable] = np.rint(times_ms[is_readable]).astype(np.int64)
    names = [_UNITS[number][1] for number in np.unique(unit[is_readable]).tolist()]
    return Stamps(open_ms, is_readable, f"{' and '.join(names)} since the epoch")


def _packed_format(texts: "pd.Series[Any]") -> str | None:
    first = texts.dropna().head(_SAMPLE)
    lengths = set(first.str.len())
    if len(lengths) == 1 and len(first) and first.str.fullmatch(_PACKED_DATE).all():
        return _PACKED.get(int(lengths.pop()))
    return None


def _known_format(walls: "pd.Series[Any]", where: str) -> str:
    """Return the format that fits most of the first times."""
    first = walls.dropna().head(_SAMPLE)
    for form in _FORMATS:
        read = pd.to_datetime(first, format=form, errors="coerce")
        if len(read) and read.notna().mean() > 0.5:
            return form
    shown = first.iloc[0] if len(first) else ""
    raise CandleFileError(
        f"{where}: the time {shown!r} has no known format; set it with --time-format, such as '%d/%m/%Y %H:%M'"
    )


def _from_wall(times: pd.DatetimeIndex, zone: Zone | None, kind: str, where: str) -> Stamps:
    is_readable = np.asarray(times.notna())
    if times.tz is not None:
        return Stamps(_ms(times), is_readable, f"{kind} with offset")
    if zone is None:
        shown = times[is_readable][0] if is_readable.any() else "?"
        raise CandleFileError(
            f"{where}: its times, such as {shown}, have no offset; set --timezone UTC, or a zone such as "
            "Europe/Berlin, or a MetaTrader server's, which is often America/New_York+7h"
        )
    wall = times - zone.ahead
    try:
        aware = wall.tz_localize(zone.name, ambiguous="infer", nonexistent="NaT")
    except ValueError:  # the repeated hour occurs only once in the file
        aware = wall.tz_localize(zone.name, ambiguous="NaT", nonexistent="NaT")
    ahead = f"{zone.ahead.total_seconds() / 3600:+g}h" if zone.ahead else ""
    return Stamps(_ms(aware), is_readable, f"{kind}, taken as {zone.name}{ahead}")


def _ms(times: pd.DatetimeIndex) -> Times:
    utc = times if times.tz is None else times.tz_convert("UTC")
    open_ms: Times = utc.as_unit("ms").asi8.copy()
    open_ms[np.asarray(utc.isna())] = NO_TIME
    return open_ms


def _format_name(time_format: str) -> str:
    return "ISO 8601" if time_format == "ISO8601" else f"dates as {time_format}"
