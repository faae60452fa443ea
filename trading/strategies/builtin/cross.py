"""Strategies that follow a fast line crossing a slow one."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Self

import pandas as pd
from pydantic import Field, model_validator

from trading.indicators import Indicator, ema, macd, sma
from trading.strategies.signal_builder import SignalBuilder, crossed_above, crossed_below
from trading.strategies.strategy import AtrStrategy, columns


class CrossStrategy(AtrStrategy):
    """Base of strategies with a fast and a slow period, the fast one below the slow one."""

    fast: int = Field(default=20, ge=2, le=1000, description="Bars of the fast average.")
    slow: int = Field(default=50, ge=3, le=2000, description="Bars of the slow average.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast} and slow is {self.slow}: fast must be below slow")
        return self

    def crosses(self, rows: pd.DataFrame, line: str, other: str, *, reason: str) -> SignalBuilder:
        """Buy where column `line` crosses above column `other`, sell where it crosses below.

        Args:
            reason: Text with `{way}` in place of above or below.
        """
        close, moving, still = columns(rows, "close", line, other)
        true_range = self.exit_range(rows)
        above, below = (reason.format(way=way) for way in ("above", "below"))
        return (
            SignalBuilder(len(rows))
            .buy(crossed_above(moving, still), reason=above, **self.long_exits(close, true_range))
            .sell(crossed_below(moving, still), reason=below, **self.short_exits(close, true_range))
        )


class AverageCross(CrossStrategy):
    """Base of strategies that compare two moving averages of one kind."""

    @abstractmethod
    def average(self, period: int) -> Indicator:
        """Return the moving average over `period` bars."""

    def indicators(self) -> Mapping[str, Indicator]:
        return {"fast": self.average(self.fast), "slow": self.average(self.slow)} | self.exit_indicators()

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        name = self.average(self.fast).function
        return self.crosses(rows, "fast", "slow", reason=f"{name} {self.fast} crossed {{way}} {name} {self.slow}")


class EmaCross(AverageCross):
    """Buy when the fast EMA crosses above the slow one, sell when it crosses below."""

    def average(self, period: int) -> Indicator:
        return ema(period)


class SmaCross(AverageCross):
    """Buy when the fast SMA crosses above the slow one, sell when it crosses below."""

    def average(self, period: int) -> Indicator:
        return sma(period)


class MacdCross(CrossStrategy):
    """Buy when the MACD crosses above its signal line, sell when it crosses below."""

    fast: int = Field(default=12, ge=2, le=1000, description="Bars of the fast average.")
    slow: int = Field(default=26, ge=3, le=2000, description="Bars of the slow average.")
    signal: int = Field(default=9, ge=2, le=500, description="Bars of the signal line.")

    def indicators(self) -> Mapping[str, Indicator]:
        periods = (self.fast, self.slow, self.signal)
        lines = {"macd": macd(*periods), "signal": macd(*periods, output="signal")}
        return lines | self.exit_indicators()

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        name = f"MACD {self.fast}/{self.slow}"
        return self.crosses(rows, "macd", "signal", reason=f"{name} crossed {{way}} its signal line {self.signal}")
