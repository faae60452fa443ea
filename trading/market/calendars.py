"""Trading hours by the calendar of an exchange, from `exchange_calendars`: holidays, early closes and breaks.

The library is imported when the first calendar is used: the import takes a second, and most configurations use none.
"""

import warnings
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from trading.errors import Rejected

_DAY_MS = 86_400_000
_NOT_A_TIME = np.iinfo(np.int64).min
_EPOCH = date(1970, 1, 1)
_YEARS = range(1970, 2200)
_SHOWN = 120
"""Characters kept of a library error: some list every day of twenty years."""


class CalendarHours:
    """The trading hours of one exchange.

    It starts with the years that the library provides by default, twenty back and one ahead, and computes further years
    on demand; a time beyond the library's range raises.
    """

    def __init__(self, name: str) -> None:
        """Compute the hours.

        Raises:
            ValueError: The library has no such calendar, or cannot compute it.
        """
        self.name = name
        self._span_from_ms = self._span_until_ms = 0
        self._is_span_open = False
        calendar = _computed(name, lambda library: library.get_calendar(name))
        days = calendar.schedule.index
        self._take(calendar, days[0].date(), days[-1].date())

    def is_open(self, ms: int) -> bool:
        """Return whether the exchange is open at an instant, in milliseconds since the epoch, UTC.

        An opening instant is open, a closing instant is closed.

        Raises:
            Rejected: The calendar does not cover that time.
        """
        if not self._span_from_ms <= ms < self._span_until_ms:
            self._look_up(ms)
        return self._is_span_open

    def next_open(self, ms: int) -> int:
        """Return the first instant at or after `ms` at which the exchange is open.

        Raises:
            Rejected: The calendar does not cover that time.
        """
        while not self.is_open(ms):
            ms = self._span_until_ms
        return ms

    def _look_up(self, ms: int) -> None:
        """Cache the span between the two edges around `ms`: the next query is mostly about the same span."""
        if not self._from_ms <= ms < self._until_ms:
            self._reach(ms)
        at = bisect_right(self._edges, ms)
        self._is_span_open = at % 2 == 1
        self._span_from_ms = self._edges[at - 1] if at else self._from_ms
        self._span_until_ms = self._edges[at] if at < len(self._edges) else self._until_ms

    def _take(self, calendar: Any, first: date, last: date) -> None:
        """Store the hours of a calendar with the sessions of these days as alternating open and close instants."""
        self._kind, self._first, self._last = type(calendar), first, last
        self._edges: list[int] = []
        for instants in _in_ms(calendar.schedule):
            is_joined = bool(self._edges) and instants[0] == self._edges[-1]  # one session ends where the next begins
            self._edges[len(self._edges) - is_joined :] = instants[is_joined:]
        # A session may begin a day before or end a day after its own date: only the first and the last day are partial.
        self._from_ms = min(_ms(first) + _DAY_MS, self._edges[0])
        self._until_ms = max(_ms(last), self._edges[-1])

    def _reach(self, ms: int) -> None:
        """Compute further years, so that they include `ms`."""
        try:
            year = datetime.fromtimestamp(ms // 1000, UTC).year
        except (ValueError, OverflowError, OSError):
            raise self._not_known(f"{ms} ms") from None
        if year not in _YEARS:
            raise self._not_known(str(year))
        bound_min, bound_max = self._kind.bound_min(), self._kind.bound_max()
        first, last = min(self._first, date(year - 1, 1, 1)), max(self._last, date(year + 1, 12, 31))
        first = first if bound_min is None else max(first, bound_min.date())
        last = last if bound_max is None else min(last, bound_max.date())
        if first < self._first or last > self._last:
            try:
                calendar = _computed(self.name, lambda _: self._kind(start=first.isoformat(), end=last.isoformat()))
            except ValueError as error:
                raise Rejected("session", str(error)) from error
            self._take(calendar, first, last)
        if not self._from_ms <= ms < self._until_ms:
            raise self._not_known(datetime.fromtimestamp(ms // 1000, UTC).date().isoformat())

    def _not_known(self, when: str) -> Rejected:
        return Rejected(
            "session",
            f"calendar {self.name} covers {self._first} to the close of {self._last}, not {when}; "
            "a newer exchange_calendars may cover more",
        )


@lru_cache(maxsize=256)
def calendar_hours(name: str) -> CalendarHours:
    """Return the hours of a calendar by name, such as `XNYS`; they are computed once.

    Raises:
        ValueError: The calendar is unknown (similar names are listed), or the library cannot compute it.
    """
    return CalendarHours(name)


def _computed(name: str, compute: Callable[[Any], Any]) -> Any:
    import exchange_calendars  # noqa: PLC0415  # slow to import, see the module's docstring

    if name not in (names := exchange_calendars.get_calendar_names(include_aliases=True)):
        by_lower = {known.casefold(): known for known in names}
        near = [by_lower[match] for match in get_close_matches(name.casefold(), by_lower, n=5, cutoff=0.5)]
        raise ValueError(
            f"calendar {name!r} is unknown{', similar names: ' + ', '.join(near) if near else ''}; "
            "expected a name of exchange_calendars, such as XNYS, CMES or XETR"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's use of pandas is outside our control
        try:
            return compute(exchange_calendars)
        except Exception as error:
            raise ValueError(
                f"calendar {name!r}: exchange_calendars cannot compute it with the installed pandas "
                f"({type(error).__name__}: {str(error)[:_SHOWN]}); set the hours with kind 'weekly' instead"
            ) from error


def _in_ms(schedule: Any) -> list[list[int]]:
    """Return the instants of each session: open, close; or open, start and end of the break, close."""
    names = ("open", "break_start", "break_end", "close")
    columns = [pd.DatetimeIndex(schedule[name]).as_unit("ms").asi8.tolist() for name in names]
    return [[at_ms for at_ms in times if at_ms != _NOT_A_TIME] for times in zip(*columns, strict=True)]


def _ms(day: date) -> int:
    return (day - _EPOCH).days * _DAY_MS
