"""Trade against an exaggerated move, back to the mean."""

from collections.abc import Mapping

import pandas as pd
from pydantic import Field

from trading.indicators import Indicator, rsi
from trading.strategies.signal_builder import SignalBuilder, crossed_above, crossed_below
from trading.strategies.strategy import AtrStrategy, columns


class RsiReversion(AtrStrategy):
    """Buy when the RSI returns above oversold, sell when it returns below overbought, close in the middle."""

    period: int = Field(default=14, ge=2, le=500, description="Bars of the RSI.")
    oversold: float = Field(default=30.0, gt=0, lt=50, description="RSI below which the market is oversold.")
    overbought: float = Field(default=70.0, gt=50, lt=100, description="RSI above which the market is overbought.")

    def indicators(self) -> Mapping[str, Indicator]:
        return {"rsi": rsi(self.period)} | self.exit_indicators()

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        close, rsi = columns(rows, "close", "rsi")
        atr = self.exit_range(rows)
        up, down = crossed_above(rsi, self.oversold), crossed_below(rsi, self.overbought)
        middle = crossed_above(rsi, 50.0) | crossed_below(rsi, 50.0)
        name = f"RSI {self.period}"
        return (
            SignalBuilder(len(rows))
            .buy(up, reason=f"{name} crossed above {self.oversold:g}", **self.long_exits(close, atr))
            .sell(down, reason=f"{name} crossed below {self.overbought:g}", **self.short_exits(close, atr))
            .close(middle, reason=f"{name} crossed 50")
        )
