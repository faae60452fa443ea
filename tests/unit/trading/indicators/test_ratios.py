"""Ratios of fading averages: TA-Lib's values over the whole history, on flats and after price steps."""

import numpy as np
import pytest
import talib
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trading import indicators as ind
from trading.indicators import Indicator, compute, reach
from trading.market.candles import CLOSE, HIGH, LOW, Candles

Floats = NDArray[np.float64]
MINUTE_MS = 60_000
WINDOW = 202
"""Candles that an RSI of 14 needs to settle."""

PERIOD = (("timeperiod", 14),)
RATIOS = {
    "rsi": ind.rsi(14),
    "cmo": Indicator("CMO", PERIOD),
    "dx": Indicator("DX", PERIOD),
    "up": Indicator("PLUS_DI", PERIOD),
    "down": Indicator("MINUS_DI", PERIOD),
    "adx": ind.adx(14),
    "adxr": Indicator("ADXR", PERIOD),
}
OTHERS = {
    "k": Indicator("STOCHRSI", output="fastk"),
    "d": Indicator("STOCHRSI", output="fastd"),
    "fast": ind.ema(20),
    "slow": ind.ema(50),
    "atr": ind.atr(14),
    "macd": ind.macd(),
    "signal": ind.macd(output="signal"),
    "kama": Indicator("KAMA", (("timeperiod", 10),)),
}
ALL = RATIOS | OTHERS


def candles_of(close: Floats, wick: Floats) -> Candles:
    opened = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(opened, close) + wick, np.minimum(opened, close) - wick
    values = np.column_stack((opened, high, low, close, np.ones(len(close))))
    return Candles(np.arange(len(close), dtype=np.int64) * MINUTE_MS, values)


def market(seed: int, stretches: list[tuple[int, float]]) -> Candles:
    """Return a walk of stretches: candles, and the size of their moves; nothing moves at size 0."""
    noise = np.random.default_rng(seed)
    sizes = np.repeat([size for _, size in stretches], [count for count, _ in stretches])
    close = np.round(1_000 + np.cumsum(noise.normal(0, 1, len(sizes)) * sizes), 2)
    return candles_of(np.maximum(close, 1.0), np.round(noise.exponential(0.5, len(sizes)) * sizes, 2))


def flat_csv() -> Candles:
    """Return 300 minutes that move and 260 at one price, then 40 that move."""
    noise = np.random.default_rng(11)
    moves = np.round(noise.normal(0, 0.02, 600), 2)
    moves[300:560] = 0.0
    wick = np.where(np.arange(600) // 20 == 99, 0.0, 0.01)
    wick[300:560] = 0.0
    return candles_of(np.round(100 + np.cumsum(moves), 2), wick)


def over_the_history(indicator: Indicator, candles: Candles) -> Floats:
    inputs = [np.ascontiguousarray(candles.values[:, column]) for column in (HIGH, LOW, CLOSE)]
    inputs = inputs[2:] if indicator.function in ("RSI", "CMO") else inputs
    values: Floats = getattr(talib, indicator.function)(*inputs, 14)
    return values


STRETCHES = st.lists(
    st.tuples(st.integers(1, 400), st.sampled_from([0.0, 0.02, 0.5, 5.0])), min_size=1, max_size=6
).map(lambda found: [(60, 0.5), *found])


@pytest.mark.parametrize("name", sorted(RATIOS))
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), stretches=STRETCHES)
@example(seed=1, stretches=[(300, 0.5), (260, 0.0), (40, 0.5)])
@example(seed=1, stretches=[(60, 0.5), (400, 0.0), (1, 0.02), (300, 0.0), (5, 0.5)])
@example(seed=1, stretches=[(300, 0.5), (1, 200.0), (390, 0.02)])
def test_ratio_is_talibs_over_the_whole_history(name: str, seed: int, stretches: list[tuple[int, float]]) -> None:
    candles = market(seed, stretches)
    rows = compute(candles, {name: RATIOS[name]}, window=60, rows=len(candles))

    expected = over_the_history(RATIOS[name], candles)[-len(rows) :]

    # TA-Lib counts sums below 1e-14 as zero, so that it loses the values on the longest flats
    moved = np.flatnonzero(np.any(np.diff(candles.values[:, :4], axis=0) != 0, axis=1)) + 1
    last = moved[np.maximum(np.searchsorted(moved, np.arange(len(candles)), side="right") - 1, 0)]
    is_known = (np.arange(len(candles)) - last < 350)[-len(rows) :]
    assert rows.values[is_known, 1] == pytest.approx(expected[is_known], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["rsi", "cmo", "dx", "up", "down"])
@pytest.mark.parametrize("flat_count", [1, 30, 260, 2_880, 6_000])
def test_ratio_stays_where_it_was_on_a_flat_of_any_length(name: str, flat_count: int) -> None:
    candles = market(3, [(300, 0.5), (flat_count, 0.0)])
    rows = compute(candles, {name: RATIOS[name]}, window=WINDOW, rows=flat_count)

    before = compute(candles[:300], {name: RATIOS[name]}, window=WINDOW, rows=1).values[0, 1]

    assert set(rows.values[:, 1].tolist()) == {before}
    assert before not in (0.0, 50.0, 100.0)


def test_rsi_of_a_flat_after_a_walk_is_wilders_from_the_first_candle() -> None:
    candles = flat_csv()
    change = np.diff(candles.values[:, CLOSE])
    gain, loss = float(np.maximum(change[:14], 0).mean()), float(np.maximum(-change[:14], 0).mean())
    wilder = []
    for one in change[14:].tolist():
        gain, loss = (13 * gain + max(one, 0)) / 14, (13 * loss + max(-one, 0)) / 14
        wilder.append(100 * gain / (gain + loss))

    rows = compute(candles, {"rsi": ind.rsi(14)}, window=WINDOW, rows=len(candles))

    assert rows.values[:, 1] == pytest.approx(wilder[-len(rows) :], rel=1e-9)
    assert len(set(rows.values[300 - len(candles) : 560 - len(candles), 1].tolist())) == 1


@pytest.mark.parametrize(("name", "neutral"), [("rsi", 50.0), ("cmo", 0.0), ("dx", 0.0), ("up", 0.0), ("adx", 0.0)])
def test_ratio_of_a_history_without_any_move_is_neutral(name: str, neutral: float) -> None:
    candles = market(1, [(300, 0.0)])
    assert compute(candles, {name: RATIOS[name]}, window=WINDOW, rows=300).values[:, 1].tolist() == [neutral] * 99


def test_ratio_does_not_depend_on_the_scale_of_prices() -> None:
    candles = market(5, [(300, 0.5), (500, 0.0), (40, 0.02)])
    tiny = Candles(candles.open_ms, candles.values * 2.0**-60)
    scaled, whole = (compute(one, RATIOS, window=402, rows=400).values[:, 1:] for one in (tiny, candles))
    assert scaled.tobytes() == whole.tobytes()


def test_stochastic_rsi_of_a_flat_is_zero_and_not_noise() -> None:
    candles = market(4, [(300, 0.5), (100, 0.0)])
    rows = compute(candles, {"k": OTHERS["k"], "d": OTHERS["d"]}, window=WINDOW, rows=90)
    assert rows.values[:, 1:].tolist() == [[0.0, 0.0]] * 90


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    stretches=STRETCHES,
    batches=st.lists(st.integers(1, 90), min_size=1, max_size=12),
    restarts=st.sets(st.integers(0, 11)),
)
def test_values_of_batches_that_keep_their_reach_are_the_same_bits(
    seed: int, stretches: list[tuple[int, float]], batches: list[int], restarts: set[int]
) -> None:
    """Memory keeps what `reach` says of the last batch; a restart reads as much as decides the rows again."""
    candles = market(seed, [(500, 0.5), *stretches, (sum(batches), 0.5)])
    window = 411
    whole = compute(candles, ALL, window=window, rows=len(candles))
    end = len(candles) - sum(batches)
    kept = candles[:end]
    kept = kept[-reach(kept, ALL, window=window, rows=1) :]
    for number, count in enumerate(batches):
        if number in restarts:
            stored = candles[: end + count]
            needed = reach(stored, ALL, window=window, rows=count)
            kept = stored[-needed:][:-count]
        given_candles = kept.then(candles[end : end + count])
        end += count
        part = compute(given_candles, ALL, window=window, rows=count)
        place = len(whole) - (len(candles) - end)
        assert part.values.tobytes() == whole.values[place - count : place].tobytes()
        kept = given_candles[-reach(given_candles, ALL, window=window, rows=1) :]


def test_reach_of_a_market_that_moves_is_the_reach_count() -> None:
    candles = market(1, [(3_000, 0.5)])
    indicators = {"rsi": ind.rsi(14)}
    assert ind.rsi(14).reach_count == 2 * WINDOW
    assert reach(candles, indicators, window=WINDOW, rows=1) == 2 * WINDOW


def test_reach_of_a_history_that_is_too_short_is_longer_than_it() -> None:
    candles = market(1, [(600, 0.5), (900, 0.0)])
    assert reach(candles, {"rsi": ind.rsi(14)}, window=WINDOW, rows=1) <= 1_500
    assert reach(candles[500:], {"rsi": ind.rsi(14)}, window=WINDOW, rows=1) > 1_000


@pytest.mark.parametrize(
    ("fast", "slow"), [(ind.ema(20), ind.ema(50)), (ind.macd(), ind.macd(output="signal")), (ind.sma(10), ind.sma(30))]
)
@pytest.mark.parametrize("seed", range(20))
def test_averages_do_not_cross_once_a_flat_has_filled_their_window(fast: Indicator, slow: Indicator, seed: int) -> None:
    candles = market(seed, [(600, 0.5), (900, 0.0)])
    rows = compute(candles, {"fast": fast, "slow": slow}, window=411, rows=800)
    side = np.sign(rows.values[:, 1] - rows.values[:, 2])
    assert len(set(side[side != 0].tolist())) <= 1


def test_bollinger_bands_of_a_flat_are_its_price() -> None:
    candles = Candles(np.arange(60, dtype=np.int64) * MINUTE_MS, np.full((60, 5), 61_234.56))
    bands = {name: ind.bollinger(output=name) for name in ("upper", "middle", "lower")}
    rows = compute(candles, bands | {"deviation": Indicator("STDDEV"), "mean": ind.sma(30)}, window=30, rows=5)
    assert rows.values[0, 1:].tolist() == [61_234.56, 61_234.56, 61_234.56, 0.0, 61_234.56]
