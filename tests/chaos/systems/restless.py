"""A strategy that wants something at more than every second candle: for tests, not for money."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from trading.indicators import Indicator, atr
from trading.strategies.signal_builder import SignalBuilder
from trading.strategies.strategy import AtrStrategy, columns


class Restless(AtrStrategy):
    """Follow two rises or falls in a row, turn when they turn, and close when the price hardly moved."""

    atr_period: int = 2
    stop_atr: float = 0.8
    target_atr: float = 1.0

    def indicators(self) -> Mapping[str, Indicator]:
        return {"atr": atr(self.atr_period)}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        close, true_range = columns(rows, "close", "atr")
        step = np.diff(close, prepend=close[:1])
        before = np.concatenate((np.zeros(1), step[:-1]))
        rises = (step > 0) & (before > 0)
        falls = (step < 0) & (before < 0)
        rests = np.abs(step) < 0.15 * true_range
        return (
            SignalBuilder(len(rows))
            .buy(rises, reason="two rises", **self.long_exits(close, true_range))
            .sell(falls, reason="two falls", **self.short_exits(close, true_range))
            .close(rests, reason="hardly moved")
        )
