"""Strategies that raise, or that give what is no answer."""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import Field, model_validator

from tests.unit.trading.strategies.rows import frame
from trading.indicators import Indicator
from trading.strategies import ExitNow, MoveStop, PositionView, SignalBuilder, Strategy, StrategyFault
from trading.strategies.invocation import signals_of
from trading_orchestrator.testing.candles import at_place

FAULTY = "tests.unit.trading.strategies.faulty_strategies"
"""The module of the strategies below, as a configuration names it."""
ROWS = 6


class Says(Strategy):
    """Answers with what is given."""

    answer: Any = Field(default=None)

    def indicators(self) -> Mapping[str, Indicator]:
        return {}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return self.answer(rows) if callable(self.answer) else self.answer  # type: ignore[no-any-return]


class Raises(Says):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy((rows["nope"] > 3).to_numpy(), reason="never")


class Quits(Says):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        sys.exit(0)


class Exits(Says):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        exit()  # noqa: PLR1722  # as a user may write it


class Parses(Says):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        ArgumentParser().parse_args(["--nope"])
        return SignalBuilder(len(rows))


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class WithIndicators(Says):
    named: Any = Field(default=None)

    def indicators(self) -> Mapping[str, Indicator]:
        return self.named() if callable(self.named) else self.named  # type: ignore[no-any-return]


class NoValue(Says):
    def indicators(self) -> Mapping[str, Indicator]:
        return {"root": Indicator("ACOS")}


class Validates(Says):
    @model_validator(mode="after")
    def _is_sound(self) -> "Validates":
        raise TypeError("no such thing")


class HookRaises(Says):
    def manage_position(self, row: Mapping[str, float], position: PositionView) -> ExitNow | MoveStop | None:
        return ExitNow("thin") if row["volume"] < 1 else None


def rows() -> pd.DataFrame:
    found = frame(close=[100.0 + row for row in range(ROWS)])
    return found.set_axis(pd.Index(at_place(0) + np.arange(ROWS) * 60_000, name="open_ms"))


def fault_of(strategy: Strategy, *, last: int = ROWS) -> StrategyFault:
    with pytest.raises(StrategyFault) as caught:
        signals_of(strategy, rows(), last=last, name="mine")
    return caught.value


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)
