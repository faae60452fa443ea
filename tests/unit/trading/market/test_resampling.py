"""Longer candles of shorter ones: the prices of the whole, and no candle where something is missing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sources.file import read_candles
from tests.fixtures.apps.system import recorded
from trading.market.candles import Candles, first_fault
from trading.market.resampling import IncompleteReason, resample
from trading.market.sessions import Session
from trading_orchestrator.testing.candles import START_MS, make_candles

MINUTE_MS = 60_000
GOLD = Session(
    kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00", daily_break="17:00-18:00"
)


def without(candles: Candles, *places: int) -> Candles:
    kept = np.setdiff1d(np.arange(len(candles)), places)
    return Candles(candles.open_ms[kept], candles.values[kept])


def test_longer_candle_has_the_first_open_the_extremes_the_last_close_and_the_sum() -> None:
    values = [[10, 12, 9, 11, 1], [11, 15, 10, 14, 2], [14, 14, 7, 8, 3], [8, 9, 8, 9, 4], [9, 10, 9, 10, 5]]
    candles = Candles(START_MS + np.arange(5) * MINUTE_MS, np.array(values, np.float64))

    done = resample(candles, timeframe="1m", to="5m")

    assert done.candles.rows() == [[START_MS, 10.0, 15.0, 7.0, 10.0, 15.0]]


@settings(max_examples=50, deadline=None)
@given(
    first=st.integers(0, 9),
    lost=st.sets(st.integers(0, 99), max_size=30),
    to=st.sampled_from(["2m", "5m", "10m", "1h"]),
)
def test_longer_candles_are_those_of_pandas_where_none_is_missing(first: int, lost: set[int], to: str) -> None:
    candles = without(make_candles(100)[first:], *(place - first for place in lost if place >= first))
    rule = to.replace("m", "min")
    grouped = candles.frame().resample(rule)
    whole = grouped.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    is_whole = grouped["open"].count() == pd.Timedelta(rule) / pd.Timedelta("1min")

    done = resample(candles, timeframe="1m", to=to)
    partial = resample(candles, timeframe="1m", to=to, keep_partial=True)

    assert done.candles == Candles.from_frame(whole[is_whole])
    assert partial.candles == Candles.from_frame(whole.dropna())
    assert len(done.candles) + len(done.left_out) == len(partial.candles)
    assert len(partial.partial) == len(done.left_out)
    used = sum((candles.open_ms >= at).sum() - (candles.open_ms >= at + _ms(to)).sum() for at in done.candles.open_ms)
    assert used + done.unused == len(candles)
    assert first_fault(done.candles, timeframe=to) is None


def test_gap_stays_a_gap() -> None:
    candles = without(make_candles(60), *range(10, 40))

    done = resample(candles, timeframe="1m", to="5m", keep_partial=True)

    assert np.diff(done.candles.open_ms).tolist() == [5 * MINUTE_MS, 35 * MINUTE_MS, *[5 * MINUTE_MS] * 3]


def test_candle_that_the_market_was_closed_for_is_not_missing() -> None:
    session = Session(kind="weekly", timezone="UTC", opens="mon 00:00", closes="sun 23:00", daily_break="00:30-01:30")
    candles = without(make_candles(120), *range(30, 90))

    known = resample(candles, timeframe="1m", to="1h", are_open=session.are_open)
    unknown = resample(candles, timeframe="1m", to="1h")

    assert (len(known.candles), len(known.left_out)) == (2, 0)
    assert (len(unknown.candles), len(unknown.left_out), unknown.unused) == (0, 2, 60)


def gold(first: str, last: str, *, lost: tuple[str, str] = ("00:00", "00:00")) -> Candles:
    """Return minutes of gold as a broker has them, which ends three minutes before each break; some of one day lost."""
    slots = pd.date_range(first, last, freq="1min", inclusive="left", tz="UTC").as_unit("ms").asi8
    before_break = GOLD.are_open(slots) & ~GOLD.are_open(slots + 3 * MINUTE_MS)
    hole = [pd.Timestamp(f"2026-01-14T{at}", tz="UTC").timestamp() * 1000 for at in lost]
    kept = slots[GOLD.are_open(slots) & ~before_break & ~((slots >= hole[0]) & (slots < hole[1]))]
    noise = np.random.default_rng(5).random((len(kept), 3))
    low, high = 100 + noise.min(axis=1), 100 + noise.max(axis=1)
    return Candles(kept, np.column_stack((low, high, low, high, noise[:, 2])))


def hours(times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[str]:
    return [f"{at:%d %H}" for at in pd.to_datetime(times, unit="ms")]


@pytest.mark.parametrize("to", ["1h", "4h", "1d"])
def test_minutes_missing_at_the_edge_of_a_session_take_nothing_from_a_longer_candle(to: str) -> None:
    candles = gold("2026-01-11T23:00", "2026-01-17T00:00")

    done = resample(candles, timeframe="1m", to=to, are_open=GOLD.are_open)

    grouped = candles.frame().resample(to.upper().replace("H", "h"))
    whole = grouped.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}).dropna()
    made = Candles.from_frame(whole)
    last = {"1h": "16 21", "4h": "16 20", "1d": "16 00"}[to]  # nothing says that the file does not end too early
    assert hours(done.lacking[IncompleteReason.END]) == hours(done.left_out) == [last]
    assert done.candles.open_ms.tolist() == made.open_ms[:-1].tolist()
    np.testing.assert_allclose(done.candles.values, made.values[:-1], rtol=1e-12)
    assert len(done.at_edges) == 4


@pytest.mark.parametrize("is_known", [True, False])
def test_hole_within_a_session_and_the_ends_of_the_file_are_reported_with_their_reason(is_known: bool) -> None:
    candles = gold("2026-01-05T10:20", "2026-01-28T10:20", lost=("12:58", "14:02"))

    done = resample(candles, timeframe="1m", to="1h", are_open=GOLD.are_open if is_known else None)

    assert {reason: hours(times) for reason, times in done.lacking.items()} == {
        IncompleteReason.START: ["05 10"],
        IncompleteReason.HOLE: ["14 12", "14 14"],
        IncompleteReason.END: ["28 10"],
    }
    assert (len(done.left_out), done.unused) == (4, 40 + 58 + 58 + 20)


def test_hole_of_one_minute_next_to_whole_minutes_is_no_edge() -> None:
    candles = gold("2026-01-12T00:00", "2026-01-16T00:00", lost=("21:50", "21:51"))

    done = resample(candles, timeframe="1m", to="1d", are_open=GOLD.are_open)

    assert hours(done.lacking[IncompleteReason.HOLE]) == ["14 00"]


@pytest.mark.parametrize("to", ["1m", "5m", "7m"])
def test_timeframe_that_is_no_multiple_is_rejected(to: str) -> None:
    with pytest.raises(ValueError, match="whole multiple of '5m'"):
        resample(make_candles(10), timeframe="5m", to=to)


@pytest.mark.data
def test_recorded_minutes_make_the_five_minutes_that_the_exchange_gave() -> None:
    minutes = read_candles(recorded("BTCUSDT_1m.csv.gz"), timeframe="1m")
    fives = read_candles(recorded("BTCUSDT_5m.csv.gz"), timeframe="5m")

    made = resample(minutes, timeframe="1m", to="5m").candles

    given = fives.after(int(made.open_ms[0]) - 1).until(made.last_open_ms)
    assert len(made) == len(given) > 8_000
    assert np.array_equal(made.open_ms, given.open_ms)
    assert np.array_equal(made.values[:, :4], given.values[:, :4])
    np.testing.assert_allclose(made.values[:, 4], given.values[:, 4], rtol=1e-12)


def _ms(timeframe: str) -> int:
    return int(pd.Timedelta(timeframe.replace("m", "min")).total_seconds() * 1000)


def hours_from(text: str, count: int) -> Candles:
    """Return so many hours; the open of each is its number, so that sums and edges are easy to say."""
    begin_ms = int(pd.Timestamp(text, tz="UTC").value // 10**6)
    number = np.arange(count, dtype=np.float64) + 1
    values = np.column_stack((number, number + 0.5, number - 0.5, number + 0.25, number * 0 + 1))
    return Candles(begin_ms + np.arange(count, dtype=np.int64) * 60 * MINUTE_MS, values)


@pytest.mark.parametrize(
    ("to", "rule", "zone", "shift_hours"),
    [
        ("1w", "W-MON", "UTC", 0),
        ("1M", "MS", "UTC", 0),
        ("1d@America/New_York", "D", "America/New_York", 0),
        ("1d@America/New_York,17:00", "D", "America/New_York", 7),
        ("1w@America/New_York,17:00", "W-MON", "America/New_York", 7),
        ("1M@America/New_York,17:00", "MS", "America/New_York", 7),
    ],
)
def test_candles_of_a_calendar_are_those_of_pandas_over_clock_changes(
    to: str, rule: str, zone: str, shift_hours: int
) -> None:
    candles = hours_from("2024-01-15", 24 * 330)
    frame = candles.frame()
    local = pd.DatetimeIndex(frame.index).tz_convert(zone).tz_localize(None) + pd.Timedelta(hours=shift_hours)
    label = {
        "D": local.normalize(),
        "MS": local.to_period("M").to_timestamp(),
        "W-MON": local.to_period("W").start_time,
    }
    grouped = frame.groupby(label[rule])
    expected = grouped.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})

    done = resample(candles, timeframe="1h", to=to, keep_partial=True)

    assert done.candles.values.tolist() == expected.to_numpy().tolist()
    begins = (pd.DatetimeIndex(expected.index) - pd.Timedelta(hours=shift_hours)).tz_localize(zone).tz_convert("UTC")
    assert done.candles.open_ms.tolist() == begins.as_unit("ms").asi8.tolist()
    assert first_fault(done.candles, timeframe=to) is None
    whole = resample(candles, timeframe="1h", to=to)
    assert set(whole.left_out.tolist()) <= {int(done.candles.open_ms[0]), int(done.candles.open_ms[-1])}
    lengths = {int(one) for one in whole.candles.values[:, 4].tolist()}
    assert lengths <= {"D": {23, 24, 25}, "W-MON": {167, 168, 169}, "MS": {719, 720, 721, 743, 744, 696, 672}}[rule]


def test_days_of_a_broker_are_no_weeks_of_utc() -> None:
    days = resample(hours_from("2024-01-01", 24 * 60), timeframe="1h", to="1d@America/New_York,17:00").candles

    with pytest.raises(ValueError, match=r"lies in two of its candles; choose the time zone"):
        resample(days, timeframe="1d", to="1w")
    weeks = resample(days, timeframe="1d", to="1w@America/New_York,17:00").candles
    assert weeks.values[:, 4].tolist() == [168.0] * len(weeks)


def test_hours_from_09_30_become_longer_ones_of_the_same_phase() -> None:
    candles = hours_from("2024-01-01", 48)
    shifted = Candles(candles.open_ms + 30 * MINUTE_MS, candles.values)

    done = resample(shifted, timeframe="1h", to="4h")

    assert (done.candles.open_ms % (240 * MINUTE_MS) == 30 * MINUTE_MS).all()
    assert done.candles.values[:, 4].tolist() == [4.0] * 12
