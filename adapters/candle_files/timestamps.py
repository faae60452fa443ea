"""Parse the open times of other programs to milliseconds since the epoch, UTC."""

from typing import Any

import numpy as np
import pandas as pd
from msgspec import Struct

from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.local_times import NO_TIME, Flags, Times, to_utc_ms, utc_ms
from adapters.candle_files.time_formats import known_format
from trading.market.time_zones import Zone

_UNITS = (
    (1e11, "seconds", 1e3),
    (1e14, "milliseconds", 1.0),
    (1e17, "microseconds", 1e-3),
    (np.inf, "nanoseconds", 1e-6),
)
"""Epoch times below the first number are in this unit: as seconds 1e11 is the year 5138."""
_FACTORS = {name: factor for _, name, factor in _UNITS}
_YEAR_1_MS = -62_135_596_800_000
YEAR_9999_MS = 253_370_764_800_000
_PACKED = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_PACKED_DATE = r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])(?:[0-5]\d){1,2})?"
_TIME_OF_DAY = r"(?::\d{2}(?:\.\d+)?|T\d{2,6}|\s)\s*(?:UTC|GMT)?\s*"
_OFFSET = rf"{_TIME_OF_DAY}[+-]\d{{2}}(?::?\d{{2}})?$"
_PARTS = rf"^(?P<wall>.*?{_TIME_OF_DAY})(?P<offset>[+-]\d{{2}}(?::?\d{{2}})?)$"
_WORD_AT_END = r"\s*(?:UTC|GMT)?\s*$"
_UTC_WORD = r"\s*(?:UTC|GMT)$"
_SAMPLE = 50


class Stamps(Struct, frozen=True):
    """Times that were read.

    Attributes:
        open_ms: Open times; NO_TIME for an unreadable one.
        is_readable: Whether the text is a time, including local times that the zone's clock skips.
        kind: Format of the times, as text.
    """

    open_ms: Times
    is_readable: Flags
    kind: str


def read_stamps(
    texts: "pd.Series[Any]", *, zone: Zone | None, time_format: str | None, where: str, named_zone: str | None = None
) -> Stamps:
    """Read open times.

    Args:
        texts: Texts of the file; missing ones are not readable.
        zone: Time zone of times without an offset.
        time_format: As in `datetime.strptime`, or a unit such as `seconds`; None detects it.
        where: Name of the file for errors.
        named_zone: Zone in the name of the column, which the error for a missing zone names.

    Raises:
        CandleFileError: Times have no offset and no zone is given, or no known format fits.
    """
    if pd.api.types.is_datetime64_any_dtype(texts.dtype):
        return _from_wall(pd.DatetimeIndex(texts), zone, "dates of the file itself", where, named_zone)
    texts = texts.astype("string").str.strip().str.strip('"')
    if time_format in _FACTORS:
        return _checked(
            _epoch(texts, _FACTORS[time_format], f"{time_format} since the epoch"), texts, time_format, where
        )
    if time_format is not None and "%z" in time_format:
        times = pd.DatetimeIndex(pd.to_datetime(texts, format=time_format, errors="coerce", utc=True))
        found = _from_wall(times, zone, _format_name(time_format), where, named_zone)
        return _checked(found, texts, time_format, where)
    if time_format is None and (numbers := _numbers(texts)) is not None:
        return numbers
    return _from_texts(texts, zone, time_format, where, named_zone)


def _from_texts(
    texts: "pd.Series[Any]", zone: Zone | None, time_format: str | None, where: str, named_zone: str | None
) -> Stamps:
    wall_texts, offsets = _parts(texts)
    if time_format is None:
        time_format = _packed_format(wall_texts) or known_format(wall_texts, where)
        walls = pd.DatetimeIndex(pd.to_datetime(wall_texts, format=time_format, errors="coerce"))
    else:
        walls = _in_named_format(texts, wall_texts, time_format, where)
    has_offset = offsets.notna().to_numpy(np.bool_)
    stamps = _from_offset(walls, offsets, _format_name(time_format))
    is_without = ~has_offset & np.asarray(walls.notna())
    if not is_without.any():
        return stamps
    without = _from_wall(walls[is_without], zone, _format_name(time_format), where, named_zone)
    stamps.open_ms[is_without], stamps.is_readable[is_without] = without.open_ms, without.is_readable
    return Stamps(stamps.open_ms, stamps.is_readable, stamps.kind if has_offset.any() else without.kind)


def _in_named_format(
    texts: "pd.Series[Any]", wall_texts: "pd.Series[Any]", time_format: str, where: str
) -> pd.DatetimeIndex:
    """Read times in the format that the user names: of the whole text, else of the text before its offset."""
    try:
        whole = pd.DatetimeIndex(pd.to_datetime(texts, format=time_format, errors="coerce"))
        before = pd.DatetimeIndex(pd.to_datetime(wall_texts, format=time_format, errors="coerce"))
    except ValueError as error:
        raise CandleFileError(f"{where}: --time-format {time_format!r}: {error}") from error
    found = whole if np.count_nonzero(whole.notna()) >= np.count_nonzero(before.notna()) else before
    if not found.notna().any():
        raise _unfitting(texts, time_format, where)
    return found


def _checked(stamps: Stamps, texts: "pd.Series[Any]", time_format: str, where: str) -> Stamps:
    if not stamps.is_readable.any():
        raise _unfitting(texts, time_format, where)
    return stamps


def _unfitting(texts: "pd.Series[Any]", time_format: str, where: str) -> CandleFileError:
    present = texts.dropna()
    shown = present.iloc[0] if len(present) else ""
    return CandleFileError(
        f"{where}: --time-format {time_format!r} reads none of its {len(texts):,} times, such as {shown!r}; write the "
        "format of that text, such as '%d/%m/%Y %H:%M', or omit the option"
    )


def _parts(texts: "pd.Series[Any]") -> "tuple[pd.Series[Any], pd.Series[Any]]":
    """Return the times without their offset, and the offsets; the fast methods are tried first."""
    if texts.str.endswith(("UTC", "GMT")).any():
        texts = texts.str.replace(_UTC_WORD, "Z", regex=True)
    if texts.str.endswith("Z").fillna(False).all():
        return texts.str.removesuffix("Z"), pd.Series("Z", texts.index, dtype="string")
    if not texts.str.contains(_OFFSET, regex=True).any() and not texts.str.endswith("Z").any():
        return texts, pd.Series(pd.NA, texts.index, dtype="string")
    parts = texts.str.extract(_PARTS)
    is_utc = texts.str.endswith("Z").fillna(False)
    walls = (
        parts["wall"].str.replace(_WORD_AT_END, "", regex=True).fillna(texts).mask(is_utc, texts.str.removesuffix("Z"))
    )
    return walls, parts["offset"].mask(is_utc, "Z")


def _from_offset(walls: pd.DatetimeIndex, offsets: "pd.Series[Any]", kind: str) -> Stamps:
    """Return the times that have an offset from UTC; the others are not readable."""
    digits = offsets.str.replace("Z", "+0000").str.replace(":", "").str.pad(5, side="right", fillchar="0")
    numbers = digits.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    hours, minutes = np.divmod(np.abs(numbers), 100)
    ahead_ms = np.sign(numbers) * (hours * 60 + minutes) * 60_000
    is_readable = np.isfinite(ahead_ms) & np.asarray(walls.notna())
    open_ms = utc_ms(walls)
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
    larger = unit[np.isfinite(numbers) & (unit > 0)]
    if len(larger):  # small numbers beside milliseconds are milliseconds of the first years, and no seconds
        unit[unit == 0] = larger.min()
    stamps = _epoch(texts, factors[unit], "")
    names = [_UNITS[number][1] for number in np.unique(unit[stamps.is_readable]).tolist()]
    return Stamps(stamps.open_ms, stamps.is_readable, f"{' and '.join(names)} since the epoch")


def _epoch(texts: "pd.Series[Any]", factor: Any, kind: str) -> Stamps:
    times_ms = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, na_value=np.nan) * factor
    is_readable = (times_ms > _YEAR_1_MS) & (times_ms < YEAR_9999_MS)
    open_ms = np.full(len(times_ms), NO_TIME, np.int64)
    open_ms[is_readable] = np.rint(times_ms[is_readable]).astype(np.int64)
    return Stamps(open_ms, is_readable, kind)


def _packed_format(texts: "pd.Series[Any]") -> str | None:
    first = texts.dropna().head(_SAMPLE)
    lengths = set(first.str.len())
    if len(lengths) == 1 and len(first) and first.str.fullmatch(_PACKED_DATE).all():
        return _PACKED.get(int(lengths.pop()))
    return None


def _from_wall(times: pd.DatetimeIndex, zone: Zone | None, kind: str, where: str, named_zone: str | None) -> Stamps:
    is_readable = np.asarray(times.notna())
    if times.tz is not None:
        return Stamps(utc_ms(times), is_readable, f"{kind} with offset")
    if zone is None and named_zone is not None and named_zone.upper() in {"UTC", "GMT"}:
        zone = Zone("UTC")
    if zone is None:
        shown = times[is_readable][0] if is_readable.any() else "?"
        named = (
            f", and their column names {named_zone}; set --timezone {named_zone} if it is that zone"
            if named_zone
            else ""
        )
        raise CandleFileError(
            f"{where}: its times, such as {shown}, have no offset{named}; set --timezone UTC, or a zone such as "
            "Europe/Berlin, or a MetaTrader server's, which is often America/New_York+7h"
        )
    return Stamps(to_utc_ms(times, zone), is_readable, f"{kind}, taken as {zone}")


def _format_name(time_format: str) -> str:
    return "ISO 8601" if time_format == "ISO8601" else f"dates as {time_format}"
