"""Trading hours, above all in the weeks in which clocks change."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trading.market.sessions import EntryHours, Session

NEW_YORK = ZoneInfo("America/New_York")
GOLD = Session(
    kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00", daily_break="17:00-18:00"
)


def ms(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-01-14T12:00", True),
        ("2026-01-14T16:59:59.999", True),
        ("2026-01-14T17:00", False),
        ("2026-01-14T17:59", False),
        ("2026-01-14T18:00", True),
        ("2026-01-16T16:59", True),
        ("2026-01-16T17:00", False),
        ("2026-01-16T18:30", False),
        ("2026-01-17T12:00", False),
        ("2026-01-18T17:59", False),
        ("2026-01-18T18:00", True),
        ("2026-01-19T00:00", True),
    ],
)
def test_gold_in_new_york_hours_is_open_from_sunday_to_friday_with_a_break(at: str, is_open: bool) -> None:
    assert GOLD.is_open(ms(at, "America/New_York")) is is_open


@pytest.mark.parametrize(
    ("opening_utc", "closing_utc"),
    [
        ("2026-03-01T23:00", "2026-03-06T22:00"),  # winter
        ("2026-03-08T22:00", "2026-03-13T21:00"),  # New York put its clocks forward that Sunday, Europe did not yet
        ("2026-03-29T22:00", "2026-04-03T21:00"),
        ("2026-10-25T22:00", "2026-10-30T21:00"),  # Europe put its clocks back that Sunday, New York did not yet
        ("2026-11-01T23:00", "2026-11-06T22:00"),
    ],
)
def test_gold_around_the_change_of_clocks_keeps_new_york_hours(opening_utc: str, closing_utc: str) -> None:
    opening, closing = ms(opening_utc), ms(closing_utc)
    assert [GOLD.is_open(at) for at in (opening - 1, opening, closing - 1, closing)] == [False, True, True, False]


@given(st.integers(ms("2020-01-01T00:00"), ms("2030-01-01T00:00")))
def test_gold_at_any_instant_agrees_with_the_calendar(at: int) -> None:
    local = datetime.fromtimestamp(at / 1000, NEW_YORK)
    day, hour = local.weekday(), local.hour
    weekend = day == 5 or (day == 4 and hour >= 17) or (day == 6 and hour < 18)
    assert GOLD.is_open(at) is not (weekend or hour == 17)


def test_a_week_within_itself_is_open_between_its_hours() -> None:
    office = Session(kind="weekly", timezone="Europe/Berlin", opens="mon 09:00", closes="fri 17:30")
    assert office.is_open(ms("2026-01-14T23:00", "Europe/Berlin"))
    assert not office.is_open(ms("2026-01-16T17:30", "Europe/Berlin"))
    assert not office.is_open(ms("2026-01-12T08:59", "Europe/Berlin"))


def test_a_break_over_midnight_is_closed_on_both_sides() -> None:
    session = Session(kind="weekly", timezone="UTC", opens="mon 00:00", closes="sat 00:00", daily_break="23:55-00:05")
    opens = [session.is_open(ms(f"2026-01-14T{hour}")) for hour in ("23:54", "23:55", "00:04", "00:05")]
    assert opens == [True, False, False, True]


def test_a_session_without_hours_is_always_open() -> None:
    assert Session().is_open(0)
    assert Session(kind="always").is_open(ms("2026-01-17T12:00"))


WEEK = {"kind": "weekly", "timezone": "America/New_York", "opens": "sun 18:00", "closes": "fri 17:00"}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"kind": "always"},
            "kind 'always' does not allow timezone, opens, closes; set kind to 'weekly'",
        ),
        ({"timezone": None, "closes": None}, "kind 'weekly' requires timezone, closes"),
        ({"timezone": "America/Gotham"}, "time zone 'America/Gotham' is unknown"),
        ({"timezone": "../etc/passwd"}, "is unknown"),
        ({"opens": "sunday 18:00"}, "expected a day"),
        ({"opens": "sun 24:00"}, "expected an hour from 00:00 to 23:59"),
        ({"opens": "sun"}, "expected an hour"),
        ({"closes": "sun 18:00"}, "set kind to 'always' for a market that never closes"),
        ({"daily_break": "17:00"}, "expected two different hours"),
        ({"daily_break": "17:00-17:00"}, "expected two different hours"),
        ({"daily_break": "17:00-18:00-19:00"}, "expected two different hours"),
        ({"holidays": "none"}, "Extra inputs"),
    ],
)
def test_a_session_with_wrong_hours_is_rejected(changes: dict[str, str | None], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Session.model_validate({**WEEK, **changes})


# hours of entries


@pytest.mark.parametrize(
    ("hours", "instant", "holds"),
    [
        ({"hours": ["07:00-16:00"]}, "2026-03-24T07:00:00Z", True),
        ({"hours": ["07:00-16:00"]}, "2026-03-24T06:59:59Z", False),
        ({"hours": ["07:00-16:00"]}, "2026-03-24T16:00:00Z", False),
        ({"hours": ["07:00-16:00"], "timezone": "America/New_York"}, "2026-03-24T11:00:00Z", True),  # summer time
        ({"hours": ["07:00-16:00"], "timezone": "America/New_York"}, "2026-02-24T11:00:00Z", False),
        ({"hours": ["07:00-11:00", "13:00-16:00"]}, "2026-03-24T12:00:00Z", False),
        ({"hours": ["07:00-11:00", "13:00-16:00"]}, "2026-03-24T13:00:00Z", True),
        ({"hours": ["22:00-02:00"]}, "2026-03-24T01:59:00Z", True),
        ({"hours": ["22:00-24:00"]}, "2026-03-24T23:59:00Z", True),
        ({"hours": ["22:00-24:00"]}, "2026-03-24T00:00:00Z", False),
        ({"hours": ["07:00-16:00"], "days": ["tue"]}, "2026-03-24T08:00:00Z", True),
        ({"hours": ["07:00-16:00"], "days": ["mon", "wed"]}, "2026-03-24T08:00:00Z", False),
    ],
)
def test_entry_hours_hold_from_their_first_minute_to_before_their_last(
    hours: dict[str, object], instant: str, holds: bool
) -> None:
    ms = int(datetime.fromisoformat(instant).timestamp() * 1000)
    assert EntryHours.model_validate(hours).holds(ms) is holds


@pytest.mark.parametrize(
    ("hours", "fault"),
    [
        ({"hours": []}, "at least 1 item"),
        ({"hours": ["07:00"]}, "expected two different hours such as '07:00-16:00'"),
        ({"hours": ["07:00-07:00"]}, "expected two different hours"),
        ({"hours": ["7-25:00"]}, "expected an hour from 00:00 to 23:59"),
        ({"hours": ["07:00-16:00"], "timezone": "Mars"}, "time zone 'Mars' is unknown"),
        ({"hours": ["07:00-16:00"], "days": ["monday"]}, "Input should be 'mon'"),
    ],
)
def test_entry_hours_that_make_no_sense_are_rejected(hours: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        EntryHours.model_validate(hours)


@settings(max_examples=100, deadline=None)
@given(
    session=st.sampled_from([GOLD, Session(), Session(kind="calendar", calendar="XNYS")]),
    first=st.integers(ms("2024-02-20T00:00"), ms("2025-12-01T00:00")),
    step=st.sampled_from([60_000, 61_001, 900_000]),
)
def test_many_times_at_once_are_what_each_of_them_is(session: Session, first: int, step: int) -> None:
    times = first + np.arange(500, dtype=np.int64) * step

    assert session.are_open(times).tolist() == [session.may_be_open(at) for at in times.tolist()]
    assert session.are_open(times[:0]).tolist() == []


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2024-01-05T17:00", "2024-01-07T18:00"),  # Friday's close
        ("2024-01-06T12:00", "2024-01-07T18:00"),
        ("2024-01-08T17:00", "2024-01-08T18:00"),  # the break
        ("2024-01-08T16:59", "2024-01-08T16:59"),  # open already
        ("2024-03-08T17:00", "2024-03-10T18:00"),  # clocks are changed on that Sunday
        ("2024-11-01T17:00", "2024-11-03T18:00"),
    ],
)
def test_next_open_of_gold_is_the_end_of_the_weekend_or_the_break(at: str, opens: str) -> None:
    assert GOLD.next_open(ms(at, "America/New_York")) == ms(opens, "America/New_York")


@pytest.mark.parametrize(
    ("daily_break", "at", "opens"),
    [
        (None, "2024-01-05T16:00", "2024-01-08T09:30"),
        (None, "2024-01-12T17:00", "2024-01-16T09:30"),  # Monday is a holiday
        ("09:00-10:00", "2024-01-05T16:00", "2024-01-08T10:00"),
    ],
)
def test_next_open_of_an_exchange_knows_its_holidays(daily_break: str | None, at: str, opens: str) -> None:
    zone = "America/New_York"
    session = Session(kind="calendar", calendar="XNYS", timezone=daily_break and zone, daily_break=daily_break)

    assert session.next_open(ms(at, zone)) == ms(opens, zone)


@settings(max_examples=100)
@given(st.integers(ms("2020-01-01"), ms("2030-01-01")))
def test_next_open_is_open_and_nothing_before_it_is(at: int) -> None:
    opens_ms = GOLD.next_open(at)

    assert GOLD.is_open(opens_ms)
    assert opens_ms == at or not GOLD.is_open(opens_ms - 1)
    assert not any(GOLD.is_open(one) for one in range(at, opens_ms, 600_000))
    assert Session().next_open(at) == at
