"""Strategies that keep a chain in the measured state."""

import pandas as pd

from trading.indicators import Indicator, atr, ema
from trading.strategies import SignalBuilder, Strategy

_MINUTE_MS = 60_000


class Hold(Strategy):
    """Buys at the first candle of a day and never exits: from then on a position is open at every candle."""

    def indicators(self) -> dict[str, Indicator]:
        return {"fast": ema(20), "slow": ema(50), "atr": atr(14)}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        minutes = rows.index.to_numpy() // _MINUTE_MS
        return SignalBuilder(len(rows)).buy(minutes % 1_440 == 420, reason="07:00")


class Flip(Strategy):
    """Reverses at every candle: the most expensive chain, with two orders and two fills each."""

    def indicators(self) -> dict[str, Indicator]:
        return {"fast": ema(20), "slow": ema(50), "atr": atr(14)}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        is_even = rows.index.to_numpy() // _MINUTE_MS % 2 == 0
        return SignalBuilder(len(rows)).buy(is_even, reason="even minute").sell(~is_even, reason="odd minute")
