"""Findings in candles: each kind of fault, doubt and note, and none in sound candles."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trading.market.candles import Candles, first_fault
from trading.market.quality import (
    VALUE_FAULTS,
    Found,
    GapKind,
    Hours,
    Market,
    Severity,
    examine,
    find_gaps,
    later_twins,
    out_of_order,
    timeframe_of,
    usual_spacing_ms,
    value_faults,
)
from trading.market.sessions import Session
from trading.market.timeframes import Timeframe
from trading_orchestrator.testing.candles import make_candles

MINUTE_MS = 60_000
NAN = float("nan")
GOLD = Session(
    kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00", daily_break="17:00-18:00"
)


def at(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


def times(*spans: tuple[str, str], every: str = "1min") -> NDArray[np.int64]:
    """Return the open times from each first time up to, and without, its last one."""
    runs = [pd.date_range(first, last, freq=every, inclusive="left", tz="UTC") for first, last in spans]
    return np.concatenate([run.as_unit("ms").asi8 for run in runs])


def gold_week(
    *, every: str = "1min", weeks: int = 3, skip: Callable[[Any], bool] = lambda _: False
) -> NDArray[np.int64]:
    """Return the times at which gold is open in some weeks from Sunday, 11 January 2026, 23:00 UTC on."""
    slots = pd.date_range("2026-01-11T23:00", periods=weeks * 7 * 1440, freq="1min", tz="UTC")
    opens = slots.as_unit("ms").asi8
    return np.array([one for one in opens.tolist() if GOLD.is_open(one) and not skip(one)], np.int64)


def found(
    open_ms: NDArray[np.int64],
    values: NDArray[np.float64] | None = None,
    *,
    length_ms: int = MINUTE_MS,
    are_open: Hours | None = None,
    now: str = "2026-11-01",
    written: str = "2026-11-01",
) -> dict[str, Found]:
    """Look at candles, and return what there is at least one of."""
    if values is None:
        values = np.tile([1.0, 1.2, 0.8, 1.1, 10.0], (len(open_ms), 1))
    market = Market(Timeframe.of_spacing(length_ms), are_open, now_ms=at(now), written_ms=at(written))
    return {one.check: one for one in examine(open_ms, values, market) if one.count}


def test_sound_candles_have_no_finding_and_every_check_is_reported() -> None:
    candles = make_candles(500)
    market = Market(Timeframe.parse("1m"), None, now_ms=at("2027-01-01"), written_ms=at("2027-01-01"))
    findings = examine(candles.open_ms, candles.values, market)

    assert [one.check for one in findings if one.count] == []
    assert {"gap", "duplicate", "crossed", "unfinished", "time zone", *VALUE_FAULTS} <= {one.check for one in findings}
    assert [one.severity for one in findings] == sorted((one.severity for one in findings), key=list(Severity).index)


@pytest.mark.parametrize(
    ("row", "check"),
    [
        ((1.0, NAN, 1.0, 1.0, 1.0), "not a number"),
        ((1.0, 1.0, 1.0, 1.0, np.inf), "not a number"),
        ((0.0, 1.0, 0.0, 1.0, 1.0), "not positive"),
        ((-1.0, 1.0, -2.0, 1.0, 1.0), "not positive"),
        ((1.0, 0.9, 0.8, 1.0, 1.0), "crossed"),
        ((1.0, 1.0, 1.0, 0.9, 1.0), "crossed"),
        ((1.0, 1.2, 0.9, 1.0, -1.0), "negative volume"),
    ],
)
def test_values_that_cannot_be_are_found_in_their_row_and_nowhere_else(row: tuple[float, ...], check: str) -> None:
    candles = make_candles(20)
    candles.values[7] = row

    findings = found(candles.open_ms, candles.values)

    assert findings.keys() & VALUE_FAULTS.keys() == {check}
    assert [place.row for place in findings[check].first] == [7]
    assert findings[check].is_wrong


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(*[st.sampled_from([NAN, np.inf, -1.0, 0.0, 1.0, 2.0])] * 5), min_size=1, max_size=6))
def test_values_are_faulty_exactly_where_the_system_rejects_the_candle(rows: list[tuple[float, ...]]) -> None:
    values = np.array(rows)
    faults = value_faults(values)
    is_faulty = np.any(list(faults.values()), axis=0)
    refused = [
        first_fault(Candles(np.array([0], np.int64), values[row : row + 1]), timeframe="1m") is not None
        for row in range(len(rows))
    ]
    assert is_faulty.tolist() == refused
    assert (np.sum(list(faults.values()), axis=0) <= 1).all()


def test_duplicates_report_whether_they_are_the_same() -> None:
    candles = make_candles(5)
    places = [0, 1, 2, 1, 2, 3, 4]
    values = candles.values[places].copy()
    values[4, 4] += 1.0

    duplicate = found(candles.open_ms[places], values)["duplicate"]

    assert [(place.row, place.text) for place in duplicate.first] == [
        (1, "again 2 rows later, the same"),
        (2, "again 2 rows later, with other values"),
    ]


def test_rows_out_of_order_are_found_and_are_no_gap() -> None:
    findings = found(make_candles(5).open_ms[[0, 3, 1, 2, 4]])

    assert findings.keys() == {"unsorted"}
    assert [place.row for place in findings["unsorted"].first] == [2, 3]


def test_candle_off_the_grid_is_found() -> None:
    open_ms = make_candles(5).open_ms.copy()
    open_ms[4] += 59_000

    assert found(open_ms)["off the grid"].first[0].text == "59 s after a full bar"


@pytest.mark.parametrize(
    ("now", "written", "count", "text"),
    [
        ("2026-01-01T00:05:00", "2026-01-01T00:05:00", 0, ""),
        ("2026-01-01T00:04:30", "2026-01-01T00:04:30", 1, "ends in the future"),
        ("2026-01-02", "2026-01-01T00:04:30", 1, "ended after the file was written"),
        ("2026-01-01T00:03:00", "2026-01-01T00:03:00", 2, "ends in the future"),
    ],
)
def test_last_candle_that_was_still_open_is_found(now: str, written: str, count: int, text: str) -> None:
    opens = times(("2026-01-01T00:00", "2026-01-01T00:05"))

    unfinished = found(opens, now=now, written=written).get("unfinished")

    assert (unfinished.count if unfinished else 0) == count
    assert unfinished is None or unfinished.first[0].text == text


def test_holes_in_a_market_that_never_closes_are_gaps_those_over_a_weekend_too() -> None:
    opens = times(
        ("2026-01-05T00:00", "2026-01-07T09:30"),
        ("2026-01-07T09:33", "2026-01-16T20:00"),
        ("2026-01-18T22:00", "2026-01-30T00:00"),
    )
    gaps = find_gaps(opens, timeframe=Timeframe.parse("1m"))

    assert [(gap.kind, gap.after_ms, gap.missing) for gap in gaps] == [
        (GapKind.GAP, at("2026-01-07T09:29"), 3),
        (GapKind.GAP, at("2026-01-16T19:59"), 3_000),
    ]


@pytest.mark.parametrize("is_known", [True, False])
def test_breaks_and_weekends_are_distinguished_from_gaps_with_and_without_known_hours(is_known: bool) -> None:
    lost = range(at("2026-01-21T10:00"), at("2026-01-21T10:04"), MINUTE_MS)
    opens = gold_week(skip=lambda one: one in lost)
    gaps = find_gaps(opens, timeframe=Timeframe.parse("1m"), are_open=GOLD.are_open if is_known else None)
    kinds = [gap.kind for gap in gaps]

    assert (kinds.count(GapKind.BREAK), kinds.count(GapKind.WEEKEND)) == (12, 2)
    assert [(gap.after_ms, gap.missing) for gap in gaps if gap.kind is GapKind.GAP] == [(at("2026-01-21T09:59"), 4)]


@pytest.mark.parametrize("is_known", [True, False])
def test_holiday_beside_a_weekend_is_a_gap(is_known: bool) -> None:
    friday = range(at("2026-01-15T22:00"), at("2026-01-16T22:00"), MINUTE_MS)
    opens = gold_week(skip=lambda one: one in friday, weeks=4)
    gaps = find_gaps(opens, timeframe=Timeframe.parse("1m"), are_open=GOLD.are_open if is_known else None)

    (gap,) = [gap for gap in gaps if gap.kind is GapKind.GAP]
    assert gap.after_ms == at("2026-01-15T21:59")
    assert gap.missing == (23 if is_known else 24) * 60


def test_breaks_keep_their_place_when_summer_time_moves_them() -> None:
    slots = pd.date_range("2026-02-22T23:00", "2026-03-28", freq="15min", tz="UTC").as_unit("ms").asi8.tolist()
    opens = np.array([one for one in slots if GOLD.is_open(one)], np.int64)
    gaps = find_gaps(opens, timeframe=Timeframe.parse("15m"))

    assert {gap.kind for gap in gaps} == {GapKind.BREAK, GapKind.WEEKEND}


def test_hole_that_comes_back_only_now_and_then_is_a_gap() -> None:
    opens = times(
        ("2026-01-05T00:00", "2026-01-05T12:00"),
        ("2026-01-05T13:00", "2026-01-06T12:00"),
        ("2026-01-06T13:00", "2026-01-07T00:00"),
    )

    assert [gap.kind for gap in find_gaps(opens, timeframe=Timeframe.parse("1m"))] == [GapKind.GAP] * 2


def test_few_minutes_missing_before_and_after_a_break_are_its_edge() -> None:
    break_with_edges = range(21 * 60 + 57, 23 * 60 + 3)
    opens = gold_week(weeks=1, skip=lambda one: one // MINUTE_MS % 1_440 in break_with_edges)
    gaps = find_gaps(opens, timeframe=Timeframe.parse("1m"), are_open=GOLD.are_open)

    assert {gap.kind for gap in gaps} == {GapKind.EDGE}
    assert {gap.missing for gap in gaps} == {6}


def test_candles_while_the_market_is_closed_are_wrong() -> None:
    opens = np.concatenate((gold_week(weeks=1), [at("2026-01-17T12:00")]))

    outside = found(opens, are_open=GOLD.are_open)["outside hours"]

    assert (outside.count, outside.first[0].open_ms, outside.is_wrong) == (1, at("2026-01-17T12:00"), True)


def test_weeks_that_begin_at_a_servers_midnight_are_doubted_and_those_in_utc_are_not() -> None:
    opens = gold_week(weeks=4)
    in_server_time = opens + 2 * 3_600_000

    assert "time zone" not in found(opens)
    assert found(in_server_time)["time zone"].severity is Severity.DOUBT


def test_shares_whose_week_begins_at_midnight_in_utc_are_not_doubted() -> None:
    days = pd.date_range("2026-01-05", "2026-02-07", freq="B")
    opens = times(*[(f"{day:%Y-%m-%d}T00:00", f"{day:%Y-%m-%d}T06:30") for day in days])

    assert found(opens).keys() == {"daily break", "weekend"}


def test_seconds_taken_for_milliseconds_are_doubted() -> None:
    assert found(times(("2026-01-05T00:00", "2026-01-05T01:00")) // 1000 // MINUTE_MS * MINUTE_MS)["time unit"].count


def test_leap_of_the_price_is_doubted() -> None:
    candles = make_candles(30)
    candles.values[12:, :4] *= 100

    jump = found(candles.open_ms, candles.values)["jump"]

    assert (jump.severity, jump.count, jump.first[0].open_ms) == (Severity.DOUBT, 1, int(candles.open_ms[12]))


def test_last_candle_with_next_to_no_volume_is_doubted() -> None:
    candles = make_candles(30)
    candles.values[-1, 4] = 0.1

    assert found(candles.open_ms, candles.values).keys() == {"thin end"}


def test_flat_candles_and_those_without_volume_are_reported() -> None:
    candles = make_candles(30)
    candles.values[5, :] = (7.0, 7.0, 7.0, 7.0, 0.0)

    findings = found(candles.open_ms, candles.values)

    assert findings["flat"].severity is findings["no volume"].severity is Severity.NOTE
    assert findings["flat"].first[0].text == "all at 7"


def test_findings_keep_the_first_five_places() -> None:
    findings = found(times(("2026-01-05T00:00", "2026-01-06T00:00"), every="2min"))

    assert (findings["gap"].count, len(findings["gap"].first)) == (719, 5)


def test_spacing_and_timeframe_are_those_of_most_candles() -> None:
    opens = times(("2026-01-05T00:00", "2026-01-05T02:00"), ("2026-01-05T03:00", "2026-01-05T04:00"), every="5min")

    assert usual_spacing_ms(opens[::-1]) == 5 * MINUTE_MS
    assert usual_spacing_ms(opens[:1]) is None
    assert [timeframe_of(ms) for ms in (60_000, 300_000, 5_400_000, 14_400_000, 86_400_000, 1_000)] == [
        "1m",
        "5m",
        "90m",
        "4h",
        "1d",
        None,
    ]


@given(times=st.lists(st.integers(0, 6), max_size=12))
def test_twins_and_order_are_those_of_the_definition(times: list[int]) -> None:
    array = np.array(times, np.int64)

    assert later_twins(array).tolist() == [len(times) - 1 - times[::-1].index(one) for one in times]
    assert out_of_order(array).tolist() == [any(one < earlier for earlier in times[:n]) for n, one in enumerate(times)]
