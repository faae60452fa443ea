"""Market regime: what each kind of market is called, and what that depends on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.indicators import Floats
from trading.indicators.regime import Regime, RegimeRule, regime_reach, regimes
from trading.market.candles import Candles

RULE = RegimeRule()
WINDOW = RULE.startup_candle_count
COUNT = 600


def candles_of(close: Floats, half_range: float = 0.5) -> Candles:
    opened = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(opened, close) + half_range, np.minimum(opened, close) - half_range
    values = np.column_stack((opened, high, low, close, np.ones(len(close))))
    return Candles(np.arange(len(close), dtype=np.int64) * 60_000, values)


def swings(count: int) -> Floats:
    return np.array([(2000.0, 2001.0, 2000.0, 1999.0)[at % 4] for at in range(count)])


def last(candles: Candles) -> Regime:
    return regimes(candles, RULE, window=WINDOW, count=1)[0]


@pytest.mark.parametrize(("step", "regime"), [(1.0, Regime.TRENDING_UP), (-1.0, Regime.TRENDING_DOWN)])
def test_regime_of_a_steady_move_is_a_trend_in_its_direction(step: float, regime: Regime) -> None:
    assert last(candles_of(np.linspace(2000.0, 2000.0 + step * COUNT, COUNT))) is regime


def test_regime_of_small_swings_is_ranging() -> None:
    assert last(candles_of(swings(COUNT))) is Regime.RANGING


def test_regime_of_a_market_that_does_not_move_is_ranging() -> None:
    assert last(candles_of(np.full(COUNT, 2000.0), half_range=0.0)) is Regime.RANGING


def test_regime_of_swings_that_grow_at_once_is_volatile() -> None:
    close = swings(COUNT)
    close[-12:] = 2000.0 + np.tile([8.0, -8.0], 6)
    assert last(candles_of(close)) is Regime.VOLATILE


def test_regimes_without_a_whole_window_are_unknown() -> None:
    candles = candles_of(swings(WINDOW + 1))
    assert regimes(candles, RULE, window=WINDOW, count=4) == [Regime.UNKNOWN] * 2 + [Regime.RANGING] * 2
    assert regimes(candles[:10], RULE, window=WINDOW, count=1) == [Regime.UNKNOWN]


def test_regimes_with_a_window_shorter_than_the_rule_needs_are_unknown() -> None:
    candles = candles_of(swings(COUNT))
    shortest = RULE.shortest_window
    assert regimes(candles, RULE, window=shortest - 1, count=2) == [Regime.UNKNOWN] * 2
    assert Regime.UNKNOWN not in regimes(candles, RULE, window=shortest, count=2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), later=st.integers(1, 40))
def test_regimes_stay_the_same_when_later_candles_are_appended(seed: int, later: int) -> None:
    close = 2000.0 + np.cumsum(np.random.default_rng(seed).normal(size=WINDOW + 20 + later))
    candles = candles_of(close)
    before = regimes(candles[: WINDOW + 20], RULE, window=WINDOW, count=20)
    after = regimes(candles, RULE, window=WINDOW, count=20 + later)
    one_by_one = [last(candles[: WINDOW + at + 1]) for at in range(20)]
    assert after[:20] == before == one_by_one


def restless(seed: int, count: int) -> Candles:
    """Return candles that stand still, creep, and jump by a million times as much."""
    noise = np.random.default_rng(seed)
    parts = noise.integers(1, 120, count)
    scale = np.repeat(10.0 ** noise.integers(-6, 3, count) * (noise.random(count) > 0.3), parts)[:count]
    close = np.maximum(1_000 + np.cumsum(noise.normal(0, 0.1, count) * scale), 1.0)
    opened = np.concatenate(([1_000.0], close[:-1]))
    wick = noise.exponential(0.05, count) * scale
    high, low = np.maximum(opened, close) + wick, np.maximum(np.minimum(opened, close) - wick, 0.5)
    values = np.column_stack((opened, high, low, close, np.zeros(count)))
    return Candles(np.arange(count, dtype=np.int64) * 60_000, values)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    period=st.integers(2, 15),
    bars=st.integers(2, 40),
    threshold=st.floats(5, 60),
    ratio=st.floats(1.01, 2.5),
    is_settled=st.booleans(),
)
def test_regimes_of_many_candles_are_those_of_each_alone(
    seed: int, period: int, bars: int, threshold: float, ratio: float, is_settled: bool
) -> None:
    rule = RegimeRule(
        adx_period=period, atr_period=period, volatility_bars=bars, adx_threshold=threshold, volatile_ratio=ratio
    )
    window = rule.startup_candle_count if is_settled else rule.shortest_window + period
    candles = restless(seed, 6 * window + 150)

    together = regimes(candles, rule, window=window, count=150)

    for at in range(0, 150, 10):
        until = candles[: len(candles) - at]
        kept = until[-regime_reach(until, rule, window=window, count=1) :]
        assert regimes(kept, rule, window=window, count=1)[0] is together[149 - at]


def test_regime_of_a_flat_is_that_of_the_last_move() -> None:
    trending = np.linspace(2000.0, 2000.0 + COUNT, COUNT)
    close = np.concatenate((trending, np.full(3_000, trending[-1])))
    opened = np.concatenate((close[:1], close[:-1]))
    candles = Candles(
        np.arange(len(close), dtype=np.int64) * 60_000,
        np.column_stack((opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(len(close)))),
    )
    assert set(regimes(candles, RULE, window=WINDOW, count=3_000)) == {Regime.TRENDING_UP}
