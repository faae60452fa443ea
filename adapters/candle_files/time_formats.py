"""Detect the format of times; one that may be read in two ways is never guessed."""

from typing import Any

import pandas as pd

from adapters.candle_files.errors import CandleFileError

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
    "%b %d, %Y",
    "%d %b %Y",
    "%d-%b-%Y",
)
_DATE = r"^(?P<first>\d{1,2})(?P<mark>[-/])(?P<second>\d{1,2})(?P=mark)\d{4}(?P<rest>.*)$"
_TIMES_OF_DAY = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
_SAMPLE = 50
_SHOWN = 60


def known_format(walls: "pd.Series[Any]", where: str) -> str:
    """Return the format that fits most of the times, for `pandas.to_datetime`.

    Raises:
        CandleFileError: No format fits, or day and month may be exchanged.
    """
    first = walls.dropna().head(_SAMPLE)
    for form in _FORMATS:
        if _fits(first, form):
            return form
    parts = walls.str.extract(_DATE)
    if not first.empty and parts["first"].loc[first.index].notna().mean() > 0.5:
        return _day_or_month_first(walls, parts, where)
    shown = first.iloc[0][:_SHOWN] if len(first) else ""
    raise CandleFileError(
        f"{where}: the time {shown!r} has no known format; set it with --time-format, such as '%d/%m/%Y %H:%M'; if it "
        "is no time, name the column of the time with --column time=NAME"
    )


def _fits(texts: "pd.Series[Any]", form: str) -> bool:
    read = pd.to_datetime(texts, format=form, errors="coerce")
    return len(read) > 0 and bool(read.notna().mean() >= 0.5)


def _day_or_month_first(walls: "pd.Series[Any]", parts: pd.DataFrame, where: str) -> str:
    """Return the format of dates such as 13/01/2024, which only a number above 12 decides."""
    first, second = (pd.to_numeric(parts[name]) for name in ("first", "second"))
    has_day_first, has_month_first = bool((first > 12).any()), bool((second > 12).any())
    text = walls[first.notna()].iloc[0]
    mark = parts["mark"].dropna().iloc[0]
    time_of_day = next((one for one in _TIMES_OF_DAY if _fits(walls, f"%d{mark}%m{mark}%Y{one}")
                        or _fits(walls, f"%m{mark}%d{mark}%Y{one}")), "")  # fmt: skip
    day_first, month_first = f"%d{mark}%m{mark}%Y{time_of_day}", f"%m{mark}%d{mark}%Y{time_of_day}"
    if has_day_first != has_month_first:
        return day_first if has_day_first else month_first
    reason = "day and month of some times are exchanged" if has_day_first else "day and month may be exchanged"
    raise CandleFileError(
        f"{where}: the time {text!r} has no certain format: {reason}; set --time-format '{day_first}' or "
        f"--time-format '{month_first}'"
    )
