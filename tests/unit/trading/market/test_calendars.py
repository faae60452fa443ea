"""Hours by a calendar: the library is the truth, beside days that anyone can look up."""

import re
import subprocess
import sys
import warnings
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trading.errors import Rejected
from trading.market import calendars
from trading.market.calendars import CalendarHours, calendar_hours
from trading.market.sessions import Session

ROOT = Path(__file__).parents[4]
NAMES = ("XNYS", "XHKG", "XASX", "CMES", "us_futures", "24/7")
FROM, UNTIL = "1994-01-03", "2031-12-31"


def ms(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@lru_cache
def library(name: str) -> Any:
    """Return the library's own calendar, for as many of the years as it has."""
    import exchange_calendars

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = type(exchange_calendars.get_calendar(name))
        first, last = pd.Timestamp(FROM), pd.Timestamp(UNTIL)
        return kind(start=max(first, kind.bound_min() or first), end=min(last, kind.bound_max() or last))


def is_open_in_library(name: str, at_ms: int) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(library(name).is_open_at_time(pd.Timestamp(at_ms, unit="ms", tz="UTC"), side="left"))


@lru_cache
def turns(name: str) -> list[int]:
    """Return every instant at which the calendar opens or closes, milliseconds since the epoch."""
    schedule = library(name).schedule
    found = [pd.DatetimeIndex(schedule[column].dropna()).as_unit("ms").asi8 for column in schedule.columns]
    return sorted({int(at_ms) for column in found for at_ms in column})[40:-40]


@pytest.mark.parametrize("name", NAMES)
@given(place=st.floats(0, 1), off_ms=st.one_of(st.sampled_from((-1, 0, 1)), st.integers(-(10**9), 10**9)))
@settings(deadline=None)
def test_hours_round_every_turn_and_between_are_those_of_the_library(name: str, place: float, off_ms: int) -> None:
    at_ms = turns(name)[int(place * (len(turns(name)) - 1))] + off_ms

    assert calendar_hours(name).is_open(at_ms) is is_open_in_library(name, at_ms)


def test_hours_requested_in_order_are_those_of_the_library() -> None:
    hours, begin_ms = CalendarHours("XHKG"), ms("2024-02-01T00:00")
    for at_ms in range(begin_ms, begin_ms + 30 * 86_400_000, 97 * 60_000):
        assert hours.is_open(at_ms) is is_open_in_library("XHKG", at_ms)


@pytest.mark.parametrize(
    ("name", "at", "zone", "is_open"),
    [
        ("XNYS", "2024-11-27T15:59:59", "America/New_York", True),
        ("XNYS", "2024-11-27T16:00", "America/New_York", False),
        ("XNYS", "2024-11-28T12:00", "America/New_York", False),  # Thanksgiving
        ("XNYS", "2024-11-29T12:59", "America/New_York", True),  # the day after closes early
        ("XNYS", "2024-11-29T13:00", "America/New_York", False),
        ("XNYS", "2025-01-09T12:00", "America/New_York", False),  # a day of mourning, known by the library alone
        ("XNYS", "2025-03-07T14:30", "UTC", True),  # winter in New York
        ("XNYS", "2025-03-10T13:30", "UTC", True),  # summer in New York, still winter in London
        ("XNYS", "2025-03-10T20:00", "UTC", False),
        ("XHKG", "2024-12-23T12:30", "Asia/Hong_Kong", False),  # the break at noon
        ("XHKG", "2024-12-23T13:00", "Asia/Hong_Kong", True),
        ("XHKG", "2024-12-24T13:30", "Asia/Hong_Kong", False),  # Christmas Eve ends at noon
        ("CMES", "2024-07-04T11:59", "America/Chicago", True),  # futures go on for half of Independence Day
        ("CMES", "2024-07-04T12:00", "America/Chicago", False),
        ("CMES", "2024-07-04T17:00", "America/Chicago", True),  # and begin the next day in the evening
        ("CMES", "2024-07-06T12:00", "America/Chicago", False),
        ("CMES", "2024-07-07T16:59", "America/Chicago", False),
        ("CMES", "2024-07-07T17:00", "America/Chicago", True),
    ],
)
def test_hours_of_days_that_anyone_can_look_up(name: str, at: str, zone: str, is_open: bool) -> None:
    assert Session(kind="calendar", calendar=name).is_open(ms(at, zone)) is is_open


def test_hours_beyond_the_years_that_the_library_gives_by_itself_are_computed() -> None:
    hours = CalendarHours("XNYS")

    assert hours.is_open(ms("2038-07-06T12:00", "America/New_York"))
    assert not hours.is_open(ms("2038-07-05T12:00", "America/New_York")), "Independence Day falls on a Sunday"
    assert hours.is_open(ms("1985-07-05T12:00", "America/New_York"))
    assert hours.is_open(ms("2024-11-29T12:00", "America/New_York")), "what was known before is known still"


@pytest.mark.parametrize(
    ("name", "at", "known"),
    [
        (
            "XSAU",
            "2030-01-06T09:00",
            r"covers 20\d\d-\d\d-\d\d to the close of 2029-12-31, not 2030-01-06",
        ),
        ("XHKG", "2050-01-05T03:00", "to the close of 2049-12-31, not 2050-01-05"),
        ("AIXK", "2016-06-01T09:00", "covers 2017-01-01 .* not 2016-06-01"),
        ("XNYS", "1969-12-31T15:00", "not 1969"),
        ("XNYS", "2500-01-05T15:00", "not 2500"),
    ],
)
def test_hours_beyond_the_end_of_a_calendar_are_refused_and_never_called_closed(name: str, at: str, known: str) -> None:
    session = Session(kind="calendar", calendar=name)

    for _ in range(2):
        with pytest.raises(Rejected, match=f"session: calendar {name} .*{known}.*a newer exchange_calendars"):
            session.is_open(ms(at))
    assert session.may_be_open(ms(at))


def test_hours_of_a_time_that_is_none_are_rejected() -> None:
    with pytest.raises(Rejected, match="not 1000000000000000000 ms"):
        calendar_hours("24/7").is_open(10**18)


def test_hours_at_the_very_end_of_a_calendar_are_known_up_to_the_last_close() -> None:
    hours = CalendarHours("XHKG")
    assert [hours.is_open(ms(at, "Asia/Hong_Kong")) for at in ("2049-12-31T09:30", "2049-12-31T11:59")] == [True, True]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("XNYC", "XNYS"),
        ("xnys", "XNYS"),
        ("NYSEE", "NYSE"),
        ("Nasdaq", "NASDAQ"),
        ("CME_ES", "CMES"),
        ("US_FUTURES", "us_futures"),
    ],
)
def test_calendar_that_is_not_known_is_rejected_with_those_near_it(name: str, near: str) -> None:
    with pytest.raises(
        ValidationError, match=rf"calendar '{name}' is unknown, similar names: .*\b{near}\b.*such as XNYS"
    ):
        Session(kind="calendar", calendar=name)


def test_calendar_like_no_other_is_rejected_with_the_names_that_are_allowed() -> None:
    with pytest.raises(ValidationError, match=r"calendar '§§§§' is unknown; expected a name of exchange_calendars"):
        Session(kind="calendar", calendar="§§§§")


def test_calendar_that_the_library_fails_at_is_rejected_when_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise NotImplementedError("x" * 10_000)

    broken = SimpleNamespace(get_calendar=fail, get_calendar_names=lambda **_: ["XNYS"])
    monkeypatch.setitem(sys.modules, "exchange_calendars", broken)
    calendars.calendar_hours.cache_clear()

    with pytest.raises(
        ValidationError, match=r"'XNYS': exchange_calendars cannot compute it .*NotImplementedError"
    ) as message:
        Session(kind="calendar", calendar="XNYS")
    assert len(str(message.value)) < 1_000
    calendars.calendar_hours.cache_clear()


BREAK = {"kind": "calendar", "calendar": "CMES", "timezone": "America/Chicago", "daily_break": "16:00-17:00"}


def test_break_beside_a_calendar_is_closed_each_day() -> None:
    session = Session.model_validate(BREAK)

    opens = [
        session.is_open(ms(f"2024-07-03T{hour}", "America/Chicago")) for hour in ("15:59", "16:00", "16:59", "17:00")
    ]
    assert opens == [True, False, False, True]
    assert session.hours == "hours of CMES, except 16:00-17:00 each day"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"calendar": None}, "kind 'calendar' requires calendar"),
        ({"opens": "sun 17:00", "closes": "fri 16:00"}, "kind 'calendar' does not allow opens, closes; remove them"),
        ({"timezone": None}, "requires timezone and daily_break; set both or neither"),
        ({"daily_break": None}, "requires timezone and daily_break; set both or neither"),
        ({"daily_break": "16:00"}, "expected two different hours"),
        ({"kind": "always"}, "kind 'always' does not allow calendar, timezone, daily_break"),
        (
            {"kind": "weekly", "opens": "sun 17:00", "closes": "fri 16:00"},
            "kind 'weekly' does not allow calendar; set kind to 'calendar'",
        ),
    ],
)
def test_session_by_a_calendar_with_wrong_hours_is_rejected(changes: dict[str, str | None], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Session.model_validate({**BREAK, **changes})


def test_library_is_imported_by_who_names_a_calendar_alone() -> None:
    code = (
        "import sys; import adapters.wiring.pipeline; from trading.market.sessions import Session; "
        "Session(kind='weekly', timezone='UTC', opens='mon 00:00', closes='fri 22:00').is_open(0); "
        "print('exchange_calendars' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "False"


def test_page_lists_each_calendar_that_can_be_named() -> None:
    import exchange_calendars

    page = (ROOT / "docs" / "reference" / "sessions.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([^`\s]+)`", page))

    assert set(exchange_calendars.get_calendar_names(include_aliases=True)) <= listed
