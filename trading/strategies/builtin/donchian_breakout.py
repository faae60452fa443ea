"""Follow a breakout from the range of the last bars."""

from collections.abc import Mapping

import pandas as pd
from pydantic import Field

from trading.indicators import Indicator, highest, lowest
from trading.strategies.signal_builder import SignalBuilder, crossed_above, crossed_below, previous
from trading.strategies.strategy import AtrStrategy, columns


class DonchianBreakout(AtrStrategy):
    """Buy when the close leaves the Donchian channel of the previous bars at the top, sell at the bottom.

    A signal needs two bars before the breakout: only the first close outside counts, not the following ones.
    """

    period: int = Field(default=20, ge=2, le=2000, description="Bars of the channel.")

    def indicators(self) -> Mapping[str, Indicator]:
        return {"highest": highest(self.period), "lowest": lowest(self.period)} | self.exit_indicators()

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        close, high, low = columns(rows, "close", "highest", "lowest")
        atr = self.exit_range(rows)
        up, down = crossed_above(close, previous(high)), crossed_below(close, previous(low))
        above = f"close above the highest high of {self.period} bars"
        below = f"close below the lowest low of {self.period} bars"
        return (
            SignalBuilder(len(rows))
            .buy(up, reason=above, **self.long_exits(close, atr))
            .sell(down, reason=below, **self.short_exits(close, atr))
        )
