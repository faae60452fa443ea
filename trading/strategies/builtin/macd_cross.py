"""Follow momentum where the MACD crosses its signal line."""

from collections.abc import Mapping

import pandas as pd
from pydantic import Field

from trading.indicators import Indicator, atr, macd
from trading.strategies.builtin.cross import CrossStrategy
from trading.strategies.signal_builder import Signals


class MacdCross(CrossStrategy):
    """Buy when the MACD crosses above its signal line, sell when it crosses below."""

    fast: int = Field(default=12, ge=2, le=1000, description="Bars of the fast average.")
    slow: int = Field(default=26, ge=3, le=2000, description="Bars of the slow average.")
    signal: int = Field(default=9, ge=2, le=500, description="Bars of the signal line.")

    def indicators(self) -> Mapping[str, Indicator]:
        periods = (self.fast, self.slow, self.signal)
        return {"macd": macd(*periods), "signal": macd(*periods, output="signal"), "atr": atr(self.atr_period)}

    def signals(self, rows: pd.DataFrame) -> Signals:
        name = f"MACD {self.fast}/{self.slow}"
        return self.crosses(rows, "macd", "signal", reason=f"{name} crossed {{way}} its signal line {self.signal}")
