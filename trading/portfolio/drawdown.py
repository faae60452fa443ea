"""Drawdown: the fall of an account's realised balance from its peak."""

from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct


class HighWaterMark(Struct, frozen=True):
    """Peak of the balance and the deepest fall below it.

    Attributes:
        peak: Highest balance since an operator cleared a drawdown, or since the beginning, in quote currency.
        drawdown: Deepest fall since then, as a fraction of the peak that it fell from.
    """

    peak: float
    drawdown: float = 0.0

    def after(self, balance: float) -> "HighWaterMark":
        """Return the mark after a change of the balance."""
        peak = max(self.peak, balance)
        drawdown = max(self.drawdown, fall(peak, balance))
        return self if (peak, drawdown) == (self.peak, self.drawdown) else HighWaterMark(peak, drawdown)

    def through(self, balance: float, moves: Sequence[float]) -> "HighWaterMark":
        """Return the mark after `moves`, the last of which led to `balance`."""
        high = self
        for one in accumulate(moves, initial=balance - sum(moves)):
            high = high.after(one)
        return high.after(balance)


def fall(peak: float, balance: float) -> float:
    """Return the lost fraction of `peak`; 1.0 if the peak is not positive."""
    return (peak - balance) / peak if peak > 0 else 1.0
