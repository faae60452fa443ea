"""Answers of a strategy without measure: one error with found and allowed, not a ledger of gigabytes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from trading.exits import exit_rules
from trading.orders.orders import Side
from trading.services.status import LONGEST_ERROR, describe_error
from trading.strategies import Strategy, StrategyFault
from trading.strategies.invocation import signals_of
from trading.strategies.position_exits import ExitNow, MoveStop, PositionView
from trading.strategies.signal import LONGEST_REASON, Signal
from trading.strategies.signal_builder import SignalBuilder

ROWS = pd.DataFrame({"close": [1.0, 2.0, 3.0]}, index=pd.Index([0, 60_000, 120_000], name="open_ms"))
HUGE = "x" * 100_000_000


class Talkative(Strategy):
    length: int

    def indicators(self) -> dict[str, Any]:
        return {}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy(np.ones(len(rows), np.bool_), reason=HUGE[: self.length])


class Endless(SignalBuilder):
    def last(self, count: int, *, rows: pd.DataFrame, strategy: str) -> list[Signal]:
        (one,) = super().last(1, rows=rows, strategy=strategy)
        return [one] * 1_000_000


class Many(Strategy):
    def indicators(self) -> dict[str, Any]:
        return {}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return Endless(len(rows)).buy(np.ones(len(rows), np.bool_), reason="often")


class Hook:
    def __init__(self, answer: ExitNow | MoveStop) -> None:
        self._answer = answer

    def manage_position(self, row: Any, position: PositionView) -> ExitNow | MoveStop:
        return self._answer


def test_reason_of_the_longest_length_is_kept_whole() -> None:
    signals, _ = signals_of(Talkative(length=LONGEST_REASON), ROWS, last=3, name="t")

    assert [len(signal.reason) for signal in signals] == [LONGEST_REASON] * 3


@pytest.mark.parametrize("length", [LONGEST_REASON + 1, len(HUGE)])
def test_reason_without_measure_is_an_error_of_the_strategy(length: int) -> None:
    with pytest.raises(StrategyFault, match=rf"`reason` has {length:,} characters; expected at most 1,000") as caught:
        signals_of(Talkative(length=length), ROWS, last=3, name="t")

    assert len(str(caught.value)) < 1_000


def test_more_signals_than_candles_are_an_error_of_the_strategy() -> None:
    with pytest.raises(StrategyFault, match="1,000,000 signals; expected at most one for each of 2 candles"):
        signals_of(Many(), ROWS, last=2, name="m")


@pytest.mark.parametrize("answer", [ExitNow(HUGE), MoveStop(1.0, HUGE)], ids=["exit", "stop"])
def test_exit_hook_with_a_reason_without_measure_is_an_error_of_the_strategy(answer: ExitNow | MoveStop) -> None:
    position = PositionView(Side.BUY, 1.0, 1.0, 0)

    with pytest.raises(StrategyFault, match="a reason has at most 1,000 characters") as caught:
        exit_rules._of_hook(Hook(answer), {"close": 1.0}, position)

    assert len(str(caught.value)) < 1_000


def test_error_of_a_venue_or_source_is_cut_in_statuses() -> None:
    text = describe_error(ValueError(HUGE))

    assert len(text) < LONGEST_ERROR + 50
    assert text.endswith("... (100,000,012 characters)")
