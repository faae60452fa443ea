"""Follow the trend where a fast simple average crosses a slow one."""

from collections.abc import Mapping
from typing import Self

import pandas as pd
from pydantic import Field, model_validator

from trading.indicators import Indicator, atr, sma
from trading.strategies.base import AtrStrategy, columns
from trading.strategies.signals import Signals, crossed_above, crossed_below


class SmaCross(AtrStrategy):
    """Buy when the fast SMA crosses above the slow one, sell when it crosses below."""

    fast: int = Field(default=20, ge=2, le=1000, description="Bars of the fast average.")
    slow: int = Field(default=50, ge=3, le=2000, description="Bars of the slow average.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast} and slow is {self.slow}: fast must be below slow")
        return self

    def indicators(self) -> Mapping[str, Indicator]:
        return {"fast": sma(self.fast), "slow": sma(self.slow), "atr": atr(self.atr_period)}

    def signals(self, rows: pd.DataFrame) -> Signals:
        close, fast, slow, atr = columns(rows, "close", "fast", "slow", "atr")
        above, below = (f"SMA {self.fast} crossed {way} SMA {self.slow}" for way in ("above", "below"))
        return (
            Signals(len(rows))
            .buy(crossed_above(fast, slow), reason=above, **self.long_exits(close, atr))
            .sell(crossed_below(fast, slow), reason=below, **self.short_exits(close, atr))
        )
