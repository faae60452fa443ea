"""Where candles begin and end: on the clock, on the calendar of a zone, and by their next row."""

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.market.timeframes import BadTimeframe, Timeframe, phase_of, timeframe_ms, timeframe_of

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
CALENDARS = (
    "1w",
    "1M",
    "3M",
    "1d@America/New_York",
    "1d@America/New_York,17:00",
    "1d@Asia/Kolkata,09:15",
    "1d@America/Havana",
    "4h@Europe/Athens",
    "2h@Australia/Lord_Howe",
    "1w@America/New_York,17:00",
    "1M@America/New_York,17:00",
)


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("timeframe", "opens", "closes"),
    [
        ("1m", "2024-03-10T06:59", "2024-03-10T07:00"),
        ("1M", "2018-04-01", "2018-05-01"),
        ("1M", "2024-02-01", "2024-03-01"),
        ("3M", "2023-10-01", "2024-01-01"),
        ("1w", "2024-12-30", "2025-01-06"),
        ("1M", "2024-02-01T05:00", "2024-03-01T05:00"),  # months of a zone keep their hour
    ],
)
def test_close_of_a_candle_is_the_begin_of_the_next(timeframe: str, opens: str, closes: str) -> None:
    assert Timeframe.parse(timeframe).close_of(at(opens)) == at(closes)


@pytest.mark.parametrize(
    ("timeframe", "opens", "hours"),
    [
        ("1d@America/New_York", "2024-03-09T00:00", 24),
        ("1d@America/New_York", "2024-03-10T00:00", 23),
        ("1d@America/New_York", "2024-11-03T00:00", 25),
        ("1d@America/New_York,17:00", "2024-03-09T17:00", 23),
        ("1d@America/New_York,17:00", "2024-11-02T17:00", 25),
        ("4h@America/New_York", "2024-03-10T00:00", 3),
        ("4h@America/New_York", "2024-11-03T00:00", 5),
        ("1w@America/New_York,17:00", "2024-03-03T17:00", 167),
        ("1w@America/New_York,17:00", "2024-03-10T17:00", 168),
    ],
)
def test_close_of_a_candle_in_a_zone_follows_its_clock_changes(timeframe: str, opens: str, hours: int) -> None:
    open_ms = at(opens, "America/New_York")

    assert (Timeframe.parse(timeframe).close_of(open_ms) - open_ms) / HOUR_MS == hours


@pytest.mark.parametrize(("hours", "closes_after"), [(3, 3), (4, 4), (5, 5), (6, 6), (7, 4), (60, 4)])
def test_close_of_a_candle_with_a_next_row_is_its_open_unless_a_hole_lies_between(
    hours: int, closes_after: int
) -> None:
    open_ms = at("2024-10-27")
    grid = Timeframe.parse("4h")

    assert grid.close_of(open_ms, open_ms + hours * HOUR_MS) == open_ms + closes_after * HOUR_MS
    times = np.array([open_ms, open_ms + hours * HOUR_MS], np.int64)
    assert grid.closes(times).tolist() == [open_ms + closes_after * HOUR_MS, open_ms + (hours + 4) * HOUR_MS]


@given(name=st.sampled_from(CALENDARS), ms=st.integers(at("1990-01-01"), at("2035-01-01")))
def test_slots_follow_one_another_without_gap_or_overlap(name: str, ms: int) -> None:
    grid = Timeframe.parse(name)
    slot = grid.slot(ms)

    assert grid.opens_ms(slot) <= ms < grid.opens_ms(slot + 1)
    assert grid.slot(grid.opens_ms(slot)) == slot
    assert grid.close_of(grid.opens_ms(slot)) == grid.opens_ms(slot + 1)
    assert grid.length_ms // 2 <= grid.opens_ms(slot + 1) - grid.opens_ms(slot) <= grid.longest_ms
    assert grid.floor(np.array([ms], np.int64)).tolist() == [grid.opens_ms(slot)]
    assert grid.shifted(grid.opens_ms(slot), -3) == grid.opens_ms(slot - 3)


@given(
    name=st.sampled_from(("1m", "4h", *CALENDARS)),
    first=st.integers(at("2000-01-01"), at("2030-01-01")),
    kept=st.lists(st.booleans(), min_size=2, max_size=60),
)
def test_closes_of_a_grid_with_holes_lie_after_each_open_and_not_after_the_next(
    name: str, first: int, kept: list[bool]
) -> None:
    grid = Timeframe.parse(name)
    slot = grid.slot(first)
    opens = np.array([grid.opens_ms(slot + place) for place, is_kept in enumerate(kept) if is_kept], np.int64)

    closes = grid.closes(opens)

    assert (closes > opens).all()
    assert (closes[:-1] <= opens[1:]).all()
    assert closes.tolist() == [grid.opens_ms(grid.slot(one) + 1) for one in opens.tolist()]
    for before, after in pairwise(opens.tolist()):
        assert len(grid.expected(before, after)) == grid.slot(after) - grid.slot(before) - 1


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "M", "0M", "1y", "2w", "5M", "1s", "1d@", "1d@Mars/Base", "1d@America/New_York,25:00", "1m@UTC",
        "1h@UTC", "5h@UTC", "2d@UTC", "1d@UTC,", "99999999m",
    ],
)  # fmt: skip
def test_text_that_is_no_timeframe_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(BadTimeframe, match="allowed is"):
        Timeframe.parse(text)


@pytest.mark.parametrize(
    ("days", "name"), [(28, "1M"), (30, "1M"), (31, "1M"), (92, "3M"), (365, "12M"), (7, "1w"), (1, "1d"), (2, "2d")]
)
def test_timeframe_of_a_spacing_in_days_is_the_calendar_s(days: int, name: str) -> None:
    assert timeframe_of(days * DAY_MS) == name
    assert Timeframe.parse(name).fits(days * DAY_MS)
    assert not Timeframe.parse(name).fits(days * DAY_MS * 5)


def test_phase_is_that_of_most_candles() -> None:
    nine_thirty = at("2024-01-02T14:30")
    opens = np.array([nine_thirty + hour * HOUR_MS for hour in range(7)] + [nine_thirty + 8 * HOUR_MS + 1], np.int64)

    assert phase_of(opens, Timeframe.parse("1h")) == HOUR_MS // 2
    assert phase_of(opens[:0], Timeframe.parse("1h")) == 0
    assert phase_of(opens + 7_000, Timeframe.parse("1h")) == 0, "seconds are a fault, not a grid"
    assert phase_of(opens, Timeframe.parse("1m")) == 0


def test_length_of_a_calendar_timeframe_is_the_usual_one() -> None:
    lengths: Callable[[str], int] = timeframe_ms
    assert [lengths(name) // DAY_MS for name in ("1w", "1M", "1d@UTC")] == [7, 30, 1]
