"""Indicators: values against plain formulas, windows, and what they do not depend on."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.fixtures.apps.system import recorded
from trading import indicators as ind
from trading.errors import Broken
from trading.indicators import Indicator, compute
from trading.indicators.rows import IndicatorRows
from trading.market.candles import CLOSE, HIGH, LOW, Candles

Floats = NDArray[np.float64]
MINUTE_MS = 60_000


def walk(count: int, seed: int = 1) -> Candles:
    noise = np.random.default_rng(seed)
    close = 2000 * np.exp(np.cumsum(noise.normal(0, 1e-3, count)))
    opened = np.concatenate(([2000.0], close[:-1]))
    high = np.maximum(opened, close) * (1 + noise.uniform(0, 1e-3, count))
    low = np.minimum(opened, close) * (1 - noise.uniform(0, 1e-3, count))
    values = np.column_stack((opened, high, low, close, noise.uniform(1, 100, count)))
    return Candles(np.arange(count, dtype=np.int64) * MINUTE_MS, values)


def flat(count: int, price: float = 100.0) -> Candles:
    return Candles(np.arange(count, dtype=np.int64) * MINUTE_MS, np.full((count, 5), price))


def value(candles: Candles, indicator: Indicator, window: int | None = None) -> float:
    rows = compute(candles, {"x": indicator}, window=window or len(candles), rows=1)
    return float(rows.values[0, 1])


def exponential(values: Floats, period: int, weight: float) -> float:
    smoothed = float(values[:period].mean())
    for one in values[period:].tolist():
        smoothed += weight * (one - smoothed)
    return smoothed


def true_ranges(candles: Candles) -> Floats:
    high, low, before = candles.values[1:, HIGH], candles.values[1:, LOW], candles.values[:-1, CLOSE]
    return np.maximum(high, before) - np.minimum(low, before)


def relative_strength(close: Floats, period: int) -> float:
    change = np.diff(close)
    gain = exponential(np.maximum(change, 0), period, 1 / period)
    loss = exponential(np.maximum(-change, 0), period, 1 / period)
    return 100 * gain / (gain + loss)


def test_ema_equals_the_recursion_seeded_by_the_mean() -> None:
    candles = walk(150)
    assert value(candles, ind.ema(20)) == pytest.approx(exponential(candles.values[:, CLOSE], 20, 2 / 21), rel=1e-12)


def test_sma_equals_the_mean_of_the_last_bars() -> None:
    candles = walk(60)
    assert value(candles, ind.sma(20)) == pytest.approx(candles.values[-20:, CLOSE].mean(), rel=1e-12)


def test_rsi_equals_wilders_formula() -> None:
    candles = walk(150)
    assert value(candles, ind.rsi(14)) == pytest.approx(relative_strength(candles.values[:, CLOSE], 14), rel=1e-10)


def test_atr_equals_wilders_formula() -> None:
    candles = walk(150)
    assert value(candles, ind.atr(14)) == pytest.approx(exponential(true_ranges(candles), 14, 1 / 14), rel=1e-10)


def test_bollinger_bands_are_deviations_from_the_mean() -> None:
    candles = walk(40)
    last = candles.values[-20:, CLOSE]
    for output, sign in (("upper", 1), ("middle", 0), ("lower", -1)):
        band = ind.bollinger(20, 2.5, output=output)  # type: ignore[arg-type]  # from the loop
        assert value(candles, band) == pytest.approx(last.mean() + sign * 2.5 * last.std(), rel=1e-10)


def test_macd_histogram_is_the_distance_of_its_lines() -> None:
    candles = walk(150)
    line, signal, histogram = (value(candles, ind.macd(output=name)) for name in ("macd", "signal", "histogram"))
    assert histogram == pytest.approx(line - signal, abs=1e-12)
    assert line != signal


def test_stochastic_k_and_d_equal_averages_of_the_fast_line() -> None:
    candles = walk(60)
    fast = []
    for end in range(len(candles) - 5, len(candles) + 1):
        part = candles.values[end - 14 : end]
        lowest, highest = part[:, LOW].min(), part[:, HIGH].max()
        fast.append(100 * (part[-1, CLOSE] - lowest) / (highest - lowest))
    slow = np.convolve(fast, np.ones(3) / 3, "valid")
    assert value(candles, ind.stochastic(14, 3, 3, output="k")) == pytest.approx(slow[-1])
    assert value(candles, ind.stochastic(14, 3, 3, output="d")) == pytest.approx(slow[-3:].mean())


def test_highest_and_lowest_take_the_extremes_of_the_bars() -> None:
    candles = walk(60)
    assert value(candles, ind.highest(20)) == candles.values[-20:, HIGH].max()
    assert value(candles, ind.lowest(20)) == candles.values[-20:, LOW].min()


def test_adx_of_a_steady_rise_is_hundred() -> None:
    steps = np.arange(100.0)[:, None]
    rising = Candles(np.arange(100, dtype=np.int64) * MINUTE_MS, np.array([100.0, 101.5, 99.5, 101.0, 1.0]) + steps)
    assert value(rising, ind.adx(14)) == pytest.approx(100.0)


def recorded_days() -> Candles:
    path = recorded("indicator_input_502d.csv")
    return Candles.from_frame(pd.read_csv(path, index_col="date", parse_dates=True).tz_localize("UTC"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        (ind.ema(20), 249.3519),
        (ind.sma(20), 251.8600),
        (ind.rsi(14), 42.0773),
        (ind.atr(14), 6.1497),
        (ind.adx(14), 34.2987),
        (ind.macd(), -6.2198),
        (ind.macd(output="signal"), -5.8569),
        (ind.macd(output="histogram"), -0.3629),
        (ind.stochastic(14, 3, 3), 43.1353),
        (ind.stochastic(14, 3, 3, output="d"), 35.5674),
        (ind.bollinger(20, 2, output="upper"), 273.7004),
        (ind.bollinger(20, 2, output="lower"), 230.0196),
    ],
    ids=str,
)
def test_value_of_recorded_candles_is_what_stock_indicators_publishes(indicator: Indicator, expected: float) -> None:
    """The figures are those of the last day in the tests of DaveSkender/Stock.Indicators, another implementation."""
    candles = recorded_days()
    assert value(candles, indicator, window=indicator.settle_count) == pytest.approx(expected, abs=5e-5)


ALL = {
    "ema": ind.ema(20),
    "rsi": ind.rsi(14),
    "atr": ind.atr(14),
    "adx": ind.adx(14),
    "macd": ind.macd(),
    "signal": ind.macd(output="signal"),
    "band": ind.bollinger(output="upper"),
    "k": ind.stochastic(),
    "highest": ind.highest(20),
}


def test_a_value_is_the_last_of_the_function_over_its_window_alone() -> None:
    candles = walk(400)
    bound = {name: one for name, one in ALL.items() if name not in ("rsi", "adx")}  # ratios look back further
    rows = compute(candles, bound, window=150, rows=400)
    assert len(rows) == 251
    for at in (0, 100, 250):
        alone = compute(candles[at : at + 150], bound, window=150, rows=1)
        assert rows.values[at].tobytes() == alone.values[0].tobytes()
        assert rows.open_ms[at] == alone.open_ms[0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), batches=st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_values_in_batches_of_any_size_are_the_same_bits(seed: int, batches: list[int]) -> None:
    reach = ALL["adx"].reach_count
    candles = walk(reach + sum(batches), seed)
    whole = compute(candles, ALL, window=120, rows=sum(batches))
    end, parts = reach, []
    for count in batches:
        end += count
        parts.append(compute(candles[end - reach - count + 1 : end], ALL, window=120, rows=count).values)
    assert np.concatenate(parts).tobytes() == whole.values.tobytes()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), later=st.integers(1, 50))
def test_values_stay_the_same_when_later_candles_are_appended(seed: int, later: int) -> None:
    candles = walk(200 + later, seed)
    before = compute(candles[:200], ALL, window=120, rows=50)
    after = compute(candles, ALL, window=120, rows=50 + later)
    assert after.values[:50].tobytes() == before.values.tobytes()


@pytest.mark.parametrize(("candle_count", "row_count"), [(0, 0), (99, 0), (100, 1), (103, 4), (200, 6)])
def test_compute_with_few_candles_returns_the_rows_that_have_a_window(candle_count: int, row_count: int) -> None:
    rows = compute(walk(200)[:candle_count], {"ema": ind.ema(20)}, window=100, rows=6)
    assert len(rows) == row_count
    assert rows.values.shape == (row_count, 2)


def test_compute_without_indicators_returns_the_closes() -> None:
    candles = walk(10)
    assert compute(candles, {}, window=1, rows=3).values[:, 0].tolist() == candles.values[-3:, CLOSE].tolist()


def test_compute_with_a_short_window_names_the_indicator() -> None:
    with pytest.raises(
        Broken, match=r"window of 10 candles is too short for slow = EMA\(50\); at least 50 are required"
    ):
        compute(walk(100), {"fast": ind.ema(5), "slow": ind.ema(50)}, window=10, rows=1)


def test_compute_of_a_nan_is_broken_and_names_indicator_and_candle() -> None:
    with pytest.raises(Broken, match=f"candle {19 * MINUTE_MS}: indicator angle is nan"):
        compute(walk(20), {"ema": ind.ema(5), "angle": Indicator("ACOS")}, window=10, rows=1)


@pytest.mark.parametrize("name", sorted(ALL))
def test_indicators_of_flat_prices_are_finite(name: str) -> None:
    assert np.isfinite(value(flat(150), ALL[name]))


@pytest.mark.parametrize("indicator", [*ALL.values(), Indicator("SAR"), Indicator("T3"), Indicator("KAMA")], ids=str)
def test_a_settled_value_does_not_depend_on_where_the_window_starts(indicator: Indicator) -> None:
    candles = walk(3000)
    settled = compute(candles, {"x": indicator}, window=indicator.settle_count, rows=200).values[:, 1]
    older = compute(candles, {"x": indicator}, window=2500, rows=200).values[:, 1]
    assert np.abs(settled - older).max() <= 1e-6 * np.ptp(older)


@pytest.mark.parametrize(
    ("indicator", "count"),
    [(ind.sma(20), 20), (ind.highest(20), 20), (ind.ema(1000), 7908), (ind.atr(14), 202)],
    ids=str,
)
def test_settle_count_is_the_lookback_and_the_time_to_forget_the_seed(indicator: Indicator, count: int) -> None:
    assert indicator.settle_count == count


def test_settle_count_with_recursive_averages_is_longer() -> None:
    exponential_bands = Indicator("BBANDS", (("timeperiod", 20), ("matype", 1)), "upperband")
    assert exponential_bands.settle_count > ind.bollinger(20, output="upper").settle_count


@pytest.mark.parametrize(
    ("function", "parameters", "output", "price", "message"),
    [
        ("EMMA", (), None, "close", "TA-Lib has no function 'EMMA'"),
        ("EMA", (("period", 20),), None, "close", "EMA has no parameter 'period'; it has: timeperiod"),
        ("MACD", (), None, "close", "MACD has no output None; it has: macd, macdsignal, macdhist"),
        ("EMA", (), "upper", "close", "EMA has no output 'upper'; it has: real"),
        ("EMA", (), None, "middle", "no candle column 'middle'"),
        ("OBV", (), None, "close", "OBV is a running total"),
        ("MAVP", (), None, "close", "MAVP needs the series 'periods'"),
    ],
)
def test_an_indicator_that_talib_does_not_have_is_rejected(
    function: str, parameters: tuple[tuple[str, float], ...], output: str | None, price: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Indicator(function, parameters, output, price)


def test_an_indicator_is_a_hashable_value_that_survives_a_pickle() -> None:
    copy = pickle.loads(pickle.dumps(ind.macd()))
    assert copy == ind.macd()
    assert len({copy, ind.macd(), ind.macd(output="signal")}) == 2


def test_rows_in_a_message_come_back_as_they_were() -> None:
    rows = compute(walk(130), ALL, window=120, rows=6)
    again = IndicatorRows.from_rows(rows.columns, rows.rows())
    assert again.columns == rows.columns
    assert again.open_ms.tolist() == rows.open_ms.tolist()
    assert again.values.tobytes() == rows.values.tobytes()


def test_frame_has_the_close_and_the_indicators_by_open_time() -> None:
    candles = walk(130)
    frame = compute(candles, ALL, window=120, rows=6).frame()
    assert list(frame.columns) == ["close", *ALL]
    assert frame.index.name == "open_ms"
    assert frame.index.tolist() == candles.open_ms[-6:].tolist()
    assert frame["close"].tolist() == candles.values[-6:, CLOSE].tolist()
