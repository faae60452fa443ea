"""The builder of signals: the answers that it allows, and the comparisons of lines that strategies use."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tests.unit.trading.strategies.rows import frame
from trading.errors import Broken
from trading.strategies import SignalBuilder, crossed_above, crossed_below, previous
from trading.strategies.signal import SignalSide

NAN = float("nan")


def flags(*values: int) -> NDArray[np.bool_]:
    return np.array(values, np.bool_)


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


def test_signals_given_twice_keep_the_first_reason() -> None:
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
