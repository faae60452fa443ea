"""Strategies: what the shipped ones say, what the builder allows, how one is found by its name."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from configs.plugins.strategies import load_strategy
from trading.errors import Broken
from trading.indicators import compute
from trading.market.candles import Candles
from trading.orders.orders import Side
from trading.strategies import SHIPPED, SignalBuilder, Strategy, crossed_above, crossed_below, previous
from trading.strategies.builtin.cross import EmaCross
from trading.strategies.position_exits import ExitNow, MoveStop, PositionRule, PositionView
from trading.strategies.signal import Signal, SignalSide

NAN = float("nan")
QUIET = 80
SMALL: Mapping[str, dict[str, int]] = {
    "ema_cross": {"fast": 3, "slow": 8, "atr_period": 5},
    "sma_cross": {"fast": 3, "slow": 8, "atr_period": 5},
    "macd_cross": {"fast": 3, "slow": 6, "signal": 3, "atr_period": 5},
    "donchian_breakout": {"period": 5, "atr_period": 5},
    "rsi_reversion": {"period": 5, "atr_period": 5},
}
every_strategy = pytest.mark.parametrize("name", sorted(SMALL))


class Trailing(EmaCross):
    """Moves its stop behind the market."""

    def manage_position(self, row: Mapping[str, float], position: PositionView) -> ExitNow | MoveStop | None:
        return MoveStop(row["close"] - 2 * row["atr"], "trailing") if position.side is Side.BUY else None


def frame(**columns: list[float]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.Index(np.arange(count) * 60_000, name="open_ms"), dtype=np.float64)


def flags(*values: int) -> NDArray[np.bool_]:
    return np.array(values, np.bool_)


def walk(count: int, seed: int) -> Candles:
    noise = np.random.default_rng(seed)
    close = 2000.0 + np.cumsum(noise.normal(size=count))
    opened = np.concatenate(([2000.0], close[:-1]))
    high, low = np.maximum(opened, close) + 0.2, np.minimum(opened, close) - 0.2
    values = np.column_stack((opened, high, low, close, np.ones(count)))
    return Candles(np.arange(count, dtype=np.int64) * 60_000, values)


def said(strategy: Strategy, candles: Candles, count: int, *, rows: int) -> list[Signal]:
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
def test_a_strategy_on_hand_made_candles_speaks_where_the_arithmetic_says(
    name: str, params: dict[str, int], closes: tuple[float, ...], expected: dict[int, str]
) -> None:
    strategy = load_strategy(name, {**params, "atr_period": 2})
    signals = said(strategy, hand_made(*closes), len(closes), rows=len(closes) + 5)

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
    signals = said(load_strategy(name, SMALL[name]), walk(600, seed=7), 400, rows=400)
    assert {one.side for one in signals} >= {SignalSide.BUY, SignalSide.SELL}


@every_strategy
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_signals_live_are_those_of_the_replay(name: str, seed: int) -> None:
    strategy, candles = load_strategy(name, SMALL[name]), walk(240, seed)
    replay = said(strategy, candles, 40, rows=60)
    live = [one for end in range(201, 241) for one in said(strategy, candles[:end], 1, rows=6)]
    assert live == replay


@every_strategy
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), later=st.integers(1, 30))
def test_signals_stay_the_same_when_later_candles_are_appended(name: str, seed: int, later: int) -> None:
    strategy, candles = load_strategy(name, SMALL[name]), walk(240 + later, seed)
    before = said(strategy, candles[:240], 60, rows=60)
    after = said(strategy, candles, 60 + later, rows=60 + later)
    assert [one for one in after if one.open_ms < 240 * 60_000] == before


def test_crossing_needs_a_row_before_and_a_touch_is_none() -> None:
    line, other = np.array([2.0, 1.0, 2.0, 2.0, 3.0, 1.0]), np.full(6, 2.0)
    assert crossed_above(line, other).tolist() == [False, False, False, False, True, False]
    assert crossed_below(line, 2.0).tolist() == [False, True, False, False, False, True]


def test_previous_has_no_first_value() -> None:
    shifted = previous(np.array([1.0, 2.0, 3.0]))
    assert np.isnan(shifted[0])
    assert shifted[1:].tolist() == [1.0, 2.0]


def test_signals_last_gives_the_last_rows_only() -> None:
    rows = frame(close=[1, 2, 3])
    signals = SignalBuilder(3).buy(flags(1, 0, 1), reason="up")
    assert [one.open_ms for one in signals.last(2, rows=rows, strategy="s")] == [120_000]
    assert [one.open_ms for one in signals.last(9, rows=rows, strategy="s")] == [0, 120_000]


def test_signals_of_a_row_that_is_buy_and_sell_are_broken() -> None:
    with pytest.raises(Broken, match=r"both a buy and a sell \(down; up\)"):
        SignalBuilder(2).buy(flags(0, 1), reason="up").sell(flags(1, 1), reason="down")


def test_signals_said_twice_keep_the_first_reason() -> None:
    signals = (
        SignalBuilder(1).buy(flags(1), reason="first", stop_loss=1.0).buy(flags(1), reason="second", stop_loss=2.0)
    )
    (signal,) = signals.last(1, rows=frame(close=[3]), strategy="s")
    assert (signal.reason, signal.stop_loss) == ("first", 1.0)


@pytest.mark.parametrize("is_close_first", [True, False])
def test_signals_of_an_entry_and_a_close_enter(is_close_first: bool) -> None:
    signals = SignalBuilder(1)
    if is_close_first:
        signals.close(flags(1), reason="out").sell(flags(1), reason="in")
    else:
        signals.sell(flags(1), reason="in").close(flags(1), reason="out")
    (signal,) = signals.last(1, rows=frame(close=[3]), strategy="s")
    assert (signal.side, signal.reason) == (SignalSide.SELL, "in")


@pytest.mark.parametrize("price", [NAN, 0.0, -5.0])
def test_signals_with_a_price_that_cannot_be_reached_have_none(price: float) -> None:
    signals = SignalBuilder(1).buy(flags(1), reason="in", stop_loss=price, take_profit=np.array([9.0]))
    (signal,) = signals.last(1, rows=frame(close=[3]), strategy="s")
    assert (signal.stop_loss, signal.take_profit) == (None, 9.0)


def test_signals_with_a_size_hand_it_on_and_refuse_none_at_all() -> None:
    (signal,) = SignalBuilder(1).buy(flags(1), reason="in", size_units=0.5).last(1, rows=frame(close=[3]), strategy="s")
    assert signal.size_units == 0.5
    with pytest.raises(Broken, match="expected a positive size"):
        SignalBuilder(1).buy(flags(1), reason="in", size_units=0.0)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (np.array([np.nan, 1.0]), "holds float64; expected booleans; row 0 is nan"),
        (pd.Series([True, None]), "holds object; expected booleans; row 1 is None"),
        (np.array([0, 1]), "holds int64; expected booleans"),
    ],
)
def test_signals_where_something_else_than_a_boolean_stands_are_broken(where: Any, found: str) -> None:
    with pytest.raises(Broken, match=found):
        SignalBuilder(2).buy(where, reason="in")


def test_signals_report_which_prices_of_entries_are_none() -> None:
    signals = (
        SignalBuilder(4)
        .buy(flags(1, 0, 1, 0), reason="in", stop_loss=np.array([NAN, NAN, 5.0, NAN]), take_profit=None)
        .sell(flags(0, 1, 0, 0), reason="in", take_profit=-1.0, size_units=2.0)
        .close(flags(0, 0, 0, 1), reason="out")
    )
    found = signals.unusable()

    assert [(row, name) for row, name, _ in found] == [(0, "stop_loss"), (1, "take_profit")]
    assert np.isnan(found[0][2])
    assert found[1][2] == -1.0


def test_signals_for_another_number_of_rows_are_broken() -> None:
    with pytest.raises(Broken, match="the answer has 2 rows, expected 3"):
        SignalBuilder(2).last(1, rows=frame(close=[1, 2, 3]), strategy="s")
    with pytest.raises(Broken, match=r"shape \(3,\); expected a boolean for each of the 2 rows"):
        SignalBuilder(2).close(flags(0, 0, 1), reason="out")


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_load_strategy_by_its_short_name_uses_the_defaults(name: str) -> None:
    assert type(load_strategy(name, {})) is SHIPPED[name]


def test_load_strategy_by_import_path_finds_the_class() -> None:
    strategy = load_strategy("trading.strategies.builtin.cross:EmaCross", {"fast": 5})
    assert strategy == load_strategy("ema_cross", {"fast": 5})


def test_load_strategy_of_a_file_in_the_current_folder_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_strategy_file.py").write_text(
        "from trading.strategies import Signals, Strategy\n"
        "class Quiet(Strategy):\n"
        "    level: float = 1.0\n"
        "    def indicators(self):\n        return {}\n"
        "    def signals(self, rows):\n        return Signals(len(rows))\n"
        "class Half(Strategy):\n"
        "    def indicators(self):\n        return {}\n"
    )
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    strategy = load_strategy("own_strategy_file:Quiet", {"level": 2.0})
    assert strategy.model_dump() == {"level": 2.0}
    assert strategy.startup_candle_count == 1
    with pytest.raises(ValueError, match="'own_strategy_file:Half' does not define: signals"):
        load_strategy("own_strategy_file:Half", {})


def test_load_strategy_with_manage_position_is_a_rule_of_positions_and_others_are_not() -> None:
    assert isinstance(load_strategy("tests.unit.trading.strategies.test_strategies:Trailing", {}), PositionRule)
    assert not isinstance(load_strategy("ema_cross", {}), PositionRule)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ema_crosss", "'ema_crosss' is not the name of a strategy"),
        ("no.such.module:Thing", "cannot be imported from .*No module named 'no'"),
        (":Thing", "cannot be imported from .*Empty module name"),
        ("trading.market.candles:Nothing", "candles.py has no 'Nothing'"),
        ("trading.market.candles:Candles", "not a subclass of trading.strategies.Strategy"),
        ("trading.strategies.strategy:Strategy", "does not define: indicators, signals"),
    ],
)
def test_load_strategy_that_is_none_reports_what_was_found_and_what_is_allowed(name: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"{fault}.*Use one of: donchian_breakout, ema_cross.*package.module:Class"):
        load_strategy(name, {})


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"fast": 50, "slow": 20}, "fast is 50 and slow is 20: fast must be below slow"),
        ({"fats": 5}, "Extra inputs are not permitted"),
        ({"stop_atr": -1}, "greater than or equal to 0"),
        ({"stop_atr": NAN}, "finite number"),
    ],
)
def test_load_strategy_with_wrong_parameters_is_a_validation_error(params: dict[str, float], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        load_strategy("ema_cross", params)
