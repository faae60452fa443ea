"""Follow momentum where the MACD crosses its signal line."""

from collections.abc import Mapping
from typing import Self

import pandas as pd
from pydantic import Field, model_validator

from trading.indicators import Indicator, atr, macd
from trading.strategies.base import AtrStrategy, columns
from trading.strategies.signals import Signals, crossed_above, crossed_below


class MacdCross(AtrStrategy):
    """Buy when the MACD crosses above its signal line, sell when it crosses below."""

    fast: int = Field(default=12, ge=2, le=1000, description="Bars of the fast average.")
    slow: int = Field(default=26, ge=3, le=2000, description="Bars of the slow average.")
    signal: int = Field(default=9, ge=2, le=500, description="Bars of the signal line.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast} and slow is {self.slow}: fast must be below slow")
        return self

    def indicators(self) -> Mapping[str, Indicator]:
        periods = (self.fast, self.slow, self.signal)
        return {"macd": macd(*periods), "signal": macd(*periods, output="signal"), "atr": atr(self.atr_period)}

    def signals(self, rows: pd.DataFrame) -> Signals:
        close, line, signal, atr = columns(rows, "close", "macd", "signal", "atr")
        name = f"MACD {self.fast}/{self.slow}"
        above, below = (f"{name} crossed {way} its signal line {self.signal}" for way in ("above", "below"))
        return (
            Signals(len(rows))
            .buy(crossed_above(line, signal), reason=above, **self.long_exits(close, atr))
            .sell(crossed_below(line, signal), reason=below, **self.short_exits(close, atr))
        )
