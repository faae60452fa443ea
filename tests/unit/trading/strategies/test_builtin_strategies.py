"""Built-in strategies: what each says on rows, on hand-made candles, live and in a replay."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.plugins.strategies import load_strategy
from tests.unit.trading.strategies.rows import frame
from trading.indicators import compute
from trading.market.candles import Candles
from trading.strategies import Strategy
from trading.strategies.signal import Signal, SignalSide

QUIET = 80
SMALL: Mapping[str, dict[str, int]] = {
    "ema_cross": {"fast": 3, "slow": 8, "atr_period": 5},
    "sma_cross": {"fast": 3, "slow": 8, "atr_period": 5},
    "macd_cross": {"fast": 3, "slow": 6, "signal": 3, "atr_period": 5},
    "donchian_breakout": {"period": 5, "atr_period": 5},
    "rsi_reversion": {"period": 5, "atr_period": 5},
}
every_strategy = pytest.mark.parametrize("name", sorted(SMALL))


def walk(count: int, seed: int) -> Candles:
    noise = np.random.default_rng(seed)
    close = 2000.0 + np.cumsum(noise.normal(size=count))
    opened = np.concatenate(([2000.0], close[:-1]))
    high, low = np.maximum(opened, close) + 0.2, np.minimum(opened, close) - 0.2
    values = np.column_stack((opened, high, low, close, np.ones(count)))
    return Candles(np.arange(count, dtype=np.int64) * 60_000, values)


def signals_of_last(strategy: Strategy, candles: Candles, count: int, *, rows: int) -> list[Signal]:
    """Ask for the signals of the last `count` candles, seen through `rows` rows."""
    found = compute(candles, strategy.indicators(), window=strategy.startup_candle_count, rows=rows).frame()
    return strategy.signals(found).last(count, rows=found, strategy="s")


def hand_made(*closes: float) -> Candles:
    """Return candles with these closes after a long quiet at 100; each opens at the close before, with wicks of 0.5."""
    close = np.array([100.0] * QUIET + list(closes))
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close) + 0.5, np.minimum(opened, close) - 0.5
    values = np.column_stack((opened, high, low, close, np.ones(len(close))))
    return Candles(np.arange(len(close), dtype=np.int64) * 60_000, values)


def whole_history(strategy: Strategy, rows: pd.DataFrame) -> list[Signal]:
    return strategy.signals(rows).last(len(rows), rows=rows, strategy="s")


def test_ema_cross_when_the_averages_cross_buys_and_sells_with_stop_and_target() -> None:
    rows = frame(close=[100, 101, 99, 98], fast=[9, 11, 11, 9], slow=[10, 10, 10, 10], atr=[1, 2, 2, 3])
    assert whole_history(load_strategy("ema_cross", {}), rows) == [
        Signal(
            strategy="s",
            open_ms=60_000,
            side=SignalSide.BUY,
            price=101,
            stop_loss=97,
            take_profit=107,
            reason="EMA 20 crossed above EMA 50",
        ),
        Signal(
            strategy="s",
            open_ms=180_000,
            side=SignalSide.SELL,
            price=98,
            stop_loss=104,
            take_profit=89,
            reason="EMA 20 crossed below EMA 50",
        ),
    ]


def test_ema_cross_without_stop_and_target_gives_none() -> None:
    rows = frame(close=[100, 101], fast=[9, 11], slow=[10, 10], atr=[1, 2])
    (signal,) = whole_history(load_strategy("ema_cross", {"stop_atr": 0, "target_atr": 0}), rows)
    assert (signal.stop_loss, signal.take_profit) == (None, None)


def test_sma_cross_names_its_averages() -> None:
    rows = frame(close=[100, 101], fast=[9, 11], slow=[10, 10], atr=[1, 2])
    (signal,) = whole_history(load_strategy("sma_cross", {"fast": 5, "slow": 9}), rows)
    assert signal.reason == "SMA 5 crossed above SMA 9"


def test_macd_cross_follows_the_line_over_its_signal() -> None:
    rows = frame(close=[100, 101, 99], macd=[-1, 1, -1], signal=[0, 0, 0], atr=[1, 1, 1])
    sides = [(one.open_ms, one.side) for one in whole_history(load_strategy("macd_cross", {}), rows)]
    assert sides == [(60_000, SignalSide.BUY), (120_000, SignalSide.SELL)]


def test_donchian_breakout_speaks_at_the_first_close_outside_only() -> None:
    rows = frame(close=[100, 100, 106, 107, 90], highest=[105, 105, 107, 108, 108], lowest=[95] * 5, atr=[1] * 5)
    sides = [(one.open_ms, one.side) for one in whole_history(load_strategy("donchian_breakout", {}), rows)]
    assert sides == [(120_000, SignalSide.BUY), (240_000, SignalSide.SELL)]


def test_rsi_reversion_enters_from_the_extremes_and_closes_in_the_middle() -> None:
    rows = frame(close=[100.0] * 6, rsi=[25, 35, 55, 75, 65, 45], atr=[1] * 6)
    signals = whole_history(load_strategy("rsi_reversion", {}), rows)
    assert [one.side.value for one in signals] == ["buy", "close", "sell", "close"]
    assert signals[0].reason == "RSI 14 crossed above 30"
    assert signals[1].stop_loss is None


def test_rsi_reversion_that_jumps_over_the_middle_enters() -> None:
    rows = frame(close=[100.0] * 2, rsi=[25, 55], atr=[1] * 2)
    assert [one.side for one in whole_history(load_strategy("rsi_reversion", {}), rows)] == [SignalSide.BUY]


@pytest.mark.parametrize(
    ("name", "params", "closes", "expected"),
    [
        # fast 99, 97.5, 98, 100 against slow 99.33, 98.33, 98, 99: a touch is no cross
        ("sma_cross", {"fast": 2, "slow": 3}, (98, 97, 99, 101), {0: "sell", 3: "buy"}),
        # fast 98, 96.67, 98.89 against slow 98.5, 97.25, 98.63
        ("ema_cross", {"fast": 2, "slow": 3}, (97, 96, 100), {0: "sell", 2: "buy"}),
        # MACD 0.5, 0.42, 0.26 against its signal line 0.33, 0.39, 0.31
        ("macd_cross", {"fast": 2, "slow": 3, "signal": 2}, (103, 103, 103), {0: "buy", 2: "sell"}),
        # above the highest high of three bars, 100.7; below the lowest low, 99.5
        ("donchian_breakout", {"period": 3}, (100.2, 101, 101.5, 99, 98), {1: "buy", 3: "sell"}),
        # RSI 50 before any move, then 0, 0, 0, 53, 70, 87, 32, 61
        (
            "rsi_reversion",
            {"period": 2},
            (99, 98, 97, 98, 98.5, 99.5, 98, 98.9),
            {0: "close", 3: "buy", 6: "sell", 7: "close"},
        ),
    ],
)
def test_a_strategy_on_hand_made_candles_signals_where_the_arithmetic_requires(
    name: str, params: dict[str, int], closes: tuple[float, ...], expected: dict[int, str]
) -> None:
    strategy = load_strategy(name, {**params, "atr_period": 2})
    signals = signals_of_last(strategy, hand_made(*closes), len(closes), rows=len(closes) + 5)

    assert {one.open_ms // 60_000 - QUIET: one.side.value for one in signals} == expected
    for one in signals:
        sign = {"buy": 1, "sell": -1, "close": 0}[one.side.value]
        if sign:
            assert one.stop_loss is not None
            assert one.take_profit is not None
            assert (one.price - one.stop_loss) * sign / 2.0 == pytest.approx((one.take_profit - one.price) * sign / 3.0)
            assert (one.price - one.stop_loss) * sign > 1.0


@every_strategy
def test_startup_candle_count_of_a_strategy_settles_its_slowest_indicator(name: str) -> None:
    strategy = load_strategy(name, SMALL[name])
    assert strategy.startup_candle_count == max(one.settle_count for one in strategy.indicators().values())


@every_strategy
def test_a_strategy_on_a_random_walk_reports_both_sides(name: str) -> None:
    signals = signals_of_last(load_strategy(name, SMALL[name]), walk(600, seed=7), 400, rows=400)
    assert {one.side for one in signals} >= {SignalSide.BUY, SignalSide.SELL}


@every_strategy
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_signals_live_are_those_of_the_replay(name: str, seed: int) -> None:
    strategy, candles = load_strategy(name, SMALL[name]), walk(240, seed)
    replay = signals_of_last(strategy, candles, 40, rows=60)
    live = [one for end in range(201, 241) for one in signals_of_last(strategy, candles[:end], 1, rows=6)]
    assert live == replay


@every_strategy
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), later=st.integers(1, 30))
def test_signals_stay_the_same_when_later_candles_are_appended(name: str, seed: int, later: int) -> None:
    strategy, candles = load_strategy(name, SMALL[name]), walk(240 + later, seed)
    before = signals_of_last(strategy, candles[:240], 60, rows=60)
    after = signals_of_last(strategy, candles, 60 + later, rows=60 + later)
    assert [one for one in after if one.open_ms < 240 * 60_000] == before
