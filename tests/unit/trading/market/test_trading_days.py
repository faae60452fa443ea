"""The day of an account: its beginning in a zone, over clock changes."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading.market.trading_days import UTC_DAY, TradingDay

NEW_YORK = TradingDay(starts="17:00", timezone="America/New_York")
HOUR_MS = 3_600_000


def at(text: str, zone: str = "America/New_York") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("day", "when", "date_"),
    [
        (UTC_DAY, at("2024-01-05T23:59:59", "UTC"), "2024-01-05"),
        (UTC_DAY, at("2024-01-06T00:00:00", "UTC"), "2024-01-06"),
        (NEW_YORK, at("2024-01-07T16:59:59"), "2024-01-07"),
        (NEW_YORK, at("2024-01-07T17:00:00"), "2024-01-08"),  # Sunday evening is Monday
        (NEW_YORK, at("2024-07-07T20:59:59", "UTC"), "2024-07-07"),  # 17:00 is 21:00 UTC in summer
        (NEW_YORK, at("2024-07-07T21:00:00", "UTC"), "2024-07-08"),
        (TradingDay(starts="06:00", timezone="Asia/Tokyo"), at("2024-01-05T05:59", "Asia/Tokyo"), "2024-01-04"),
        (TradingDay(starts="06:00", timezone="Asia/Tokyo"), at("2024-01-05T06:00", "Asia/Tokyo"), "2024-01-05"),
    ],
)
def test_date_changes_at_the_begin_of_the_day(day: TradingDay, when: int, date_: str) -> None:
    assert day.date_of(when) == date.fromisoformat(date_)


@pytest.mark.parametrize(
    ("when", "hours"), [("2024-03-09T18:00", 23), ("2024-11-02T18:00", 25), ("2024-06-01T18:00", 24)]
)
def test_day_of_a_clock_change_has_23_or_25_hours(when: str, hours: int) -> None:
    first, end = NEW_YORK.bounds(at(when))

    assert (end - first) / HOUR_MS == hours


@given(
    day=st.sampled_from((UTC_DAY, NEW_YORK, TradingDay(timezone="America/Havana"), TradingDay(starts="12:00"))),
    times=st.lists(st.integers(at("1995-01-01"), at("2030-01-01")), min_size=1, max_size=20).map(sorted),
)
def test_each_time_is_within_the_bounds_of_its_day(day: TradingDay, times: list[int]) -> None:
    assert all(first <= one < end for one in times for first, end in [day.bounds(one)])
    assert day.numbers_of(np.array(times, np.int64)).tolist() == list(map(day.number_of, times))


@pytest.mark.parametrize("fault", [{"starts": "24:00"}, {"starts": "noon"}, {"timezone": "Mars/Base"}, {"hour": 3}])
def test_day_without_a_known_hour_or_zone_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TradingDay.model_validate(fault)
