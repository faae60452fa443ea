"""Candles: cutting, forms, and the checks that keep corrupt data out."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import BadCandle
from trading.market.candles import COLUMNS, Candles, first_fault, is_on_grid, timeframe_ms
from trading_orchestrator.testing.candles import MINUTE_MS, START_MS, at_place, make_candles

CANDLES = make_candles(12)


def spoilt(place: int, column: str, value: float) -> Candles:
    values = CANDLES.values.copy()
    values[place, COLUMNS.index(column)] = value
    return Candles(CANDLES.open_ms, values)


@pytest.mark.parametrize(
    ("timeframe", "ms"), [("1m", 60_000), ("5m", 300_000), ("1h", 3_600_000), ("4h", 14_400_000), ("1d", 86_400_000)]
)
def test_timeframe_ms_of_a_timeframe_is_its_length(timeframe: str, ms: int) -> None:
    assert timeframe_ms(timeframe) == ms


@pytest.mark.parametrize("timeframe", ["", "m", "0m", "-1m", "1.5m", "2w", "5M", "m1", "1 m", "²m"])
def test_timeframe_ms_of_anything_else_raises_value_error(timeframe: str) -> None:
    with pytest.raises(ValueError, match="timeframe"):
        timeframe_ms(timeframe)


@given(st.integers(-2, 14))
def test_candles_cut_at_any_time_are_whole_again_when_joined(place: int) -> None:
    cut_ms = at_place(place)

    before, after = CANDLES.until(cut_ms), CANDLES.after(cut_ms)

    assert (before.open_ms <= cut_ms).all()
    assert (after.open_ms > cut_ms).all()
    assert before.then(after) == CANDLES


def test_candles_as_rows_and_back_are_the_same() -> None:
    assert Candles.from_rows(CANDLES.rows()) == CANDLES
    assert Candles.from_rows([]) == Candles.empty()
    assert CANDLES.rows()[0][0] == START_MS


def test_candles_as_frame_and_back_are_the_same() -> None:
    frame = CANDLES.frame()

    assert list(frame.columns) == list(COLUMNS)
    assert frame.index.name == "timestamp"
    assert Candles.from_frame(frame) == CANDLES


def test_candles_of_a_frame_in_another_zone_keep_the_instant() -> None:
    frame = CANDLES.frame()
    frame.index = pd.DatetimeIndex(frame.index).tz_convert("America/New_York")

    assert Candles.from_frame(frame) == CANDLES


def test_candles_of_a_naive_frame_raise_value_error() -> None:
    frame = CANDLES.frame()
    frame.index = pd.DatetimeIndex(frame.index).tz_localize(None)

    with pytest.raises(ValueError, match="naive"):
        Candles.from_frame(frame)


def test_first_fault_of_good_candles_and_of_none_is_none() -> None:
    assert first_fault(CANDLES, timeframe="1m") is None
    assert first_fault(Candles.empty(), timeframe="1m") is None


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        *((column, value, "not a finite number") for column in COLUMNS for value in (np.nan, np.inf, -np.inf)),
        *((column, value, "not positive") for column in COLUMNS[:4] for value in (0.0, -1.0)),
        ("volume", -0.1, "volume is negative"),
        ("high", 1.0, "high is below another price"),
        ("low", 99.4, "low is above another price"),
        ("close", 1_000.0, "high is below another price"),
        ("open", 1.0, "low is above another price"),
    ],
)
def test_first_fault_of_a_bad_value_names_candle_and_fault(column: str, value: float, fault: str) -> None:
    found = first_fault(spoilt(7, column, value), timeframe="1m")

    assert isinstance(found, BadCandle)
    assert found.open_ms == at_place(7)
    assert fault in found.fault


def test_first_fault_reports_time_and_numbers_in_words_and_survives_a_queue() -> None:
    bar = Candles(np.array([1_774_424_520_000]), np.array([[4552.13, 1.0, 4551.18, np.nan, 348.0]]))
    found = first_fault(bar, timeframe="1m")

    numbers = "(open 4552.13, high 1, low 4551.18, close nan, volume 348)"
    assert str(found) == f"candle of 2026-03-25 07:42 UTC: close: not a finite number {numbers}"
    again = pickle.loads(pickle.dumps(BadCandle(1, "why", "XAUUSD", "file, line 7")))
    assert str(again) == "XAUUSD candle of 1970-01-01 00:00:00 UTC: why; file, line 7"
    assert str(BadCandle(10**18, "why")) == "candle of 1000000000000000000 ms since the epoch: why"


@given(st.sets(st.integers(0, 11), min_size=1), st.sampled_from(COLUMNS[:4]))
def test_first_fault_of_several_bad_candles_is_the_oldest(places: set[int], column: str) -> None:
    values = CANDLES.values.copy()
    values[sorted(places), COLUMNS.index(column)] = np.nan

    found = first_fault(Candles(CANDLES.open_ms, values), timeframe="1m")

    assert found is not None
    assert found.open_ms == at_place(min(places))


@pytest.mark.parametrize(
    ("order", "bad"), [([0, 1, 1, 2], 2), ([0, 2, 1, 3], 2), ([2, 1, 0], 1)], ids=["double", "swapped", "backwards"]
)
def test_first_fault_of_candles_out_of_order_is_the_first_that_does_not_follow(order: list[int], bad: int) -> None:
    mixed = Candles(CANDLES.open_ms[order], CANDLES.values[order])

    found = first_fault(mixed, timeframe="1m")

    assert found is not None
    assert found.open_ms == mixed.open_ms[bad]
    assert "not after the bar before" in found.fault


@given(st.integers(1, MINUTE_MS - 1))
def test_first_fault_of_a_candle_off_the_grid_reports_it(shift_ms: int) -> None:
    found = first_fault(Candles(CANDLES.open_ms + shift_ms, CANDLES.values), timeframe="1m")

    assert found is not None
    assert f"grid, by {shift_ms / 1000:g} s after a full minute" in found.fault


def test_first_fault_of_daily_candles_that_begin_at_any_hour_is_none() -> None:
    days = START_MS + 22 * 3_600_000 + np.arange(12, dtype=np.int64) * 86_400_000

    assert first_fault(Candles(days, CANDLES.values), timeframe="1d") is None


@pytest.mark.parametrize("timeframe", ["1h", "4h", "1d", "1M", "1d@America/New_York,17:00"])
def test_time_off_the_full_hour_is_on_the_grid_only_in_the_phase_of_the_candles(timeframe: str) -> None:
    half_past_ms = START_MS + 30 * MINUTE_MS

    assert is_on_grid(START_MS, timeframe)
    assert not is_on_grid(half_past_ms, timeframe)
    assert is_on_grid(half_past_ms, timeframe, phase_ms=30 * MINUTE_MS)
    assert not is_on_grid(START_MS, timeframe, phase_ms=30 * MINUTE_MS)


@settings(max_examples=50)
@given(st.data())
def test_first_fault_of_prices_in_any_order_knows_which_bars_are_crossed(data: st.DataObject) -> None:
    bar = data.draw(st.lists(st.floats(0.01, 1e6), min_size=4, max_size=4))
    opened, high, low, close = bar
    candle = Candles(CANDLES.open_ms[:1], np.array([[*bar, 1.0]]))

    is_good = low <= min(opened, close) and max(opened, close) <= high

    assert (first_fault(candle, timeframe="1m") is None) == is_good
