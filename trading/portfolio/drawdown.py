"""Drawdown: how far the realised balance of an account has fallen from its highest."""

from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct


class HighWaterMark(Struct, frozen=True):
    """How high the balance stood, and how deep it fell below that.

    Attributes:
        peak: Highest balance since a person cleared a drawdown, or since the beginning, in quote currency.
        drawdown: Deepest fall since then, as a fraction of the peak that it fell from.
    """

    peak: float
    drawdown: float = 0.0

    def after(self, balance: float) -> "HighWaterMark":
        """Return how it stands once the balance is another one."""
        peak = max(self.peak, balance)
        drawdown = max(self.drawdown, fall(peak, balance))
        return self if (peak, drawdown) == (self.peak, self.drawdown) else HighWaterMark(peak, drawdown)

    def through(self, balance: float, moves: Sequence[float]) -> "HighWaterMark":
        """Return how it stands after `moves`, of which the last one led to `balance`."""
        high = self
        for one in accumulate(moves, initial=balance - sum(moves)):
            high = high.after(one)
        return high.after(balance)


def fall(peak: float, balance: float) -> float:
    """Return which part of `peak` is lost; all of it where there was nothing to lose."""
    return (peak - balance) / peak if peak > 0 else 1.0
