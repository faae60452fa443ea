"""Drawdown: the fall of the account's equity below its previous peak."""

import numpy as np
from msgspec import Struct

from trading.backtest.result import Floats, Times


class Drawdown(Struct, frozen=True):
    """The deepest and the longest drawdown; they may be different ones.

    Attributes:
        fraction: Depth of the deepest fall as a fraction of its peak: 0 or negative; -0.1 is 10 %.
        amount: The same fall in quote currency, 0 or negative.
        peak_ms: Last time at its peak; None without a drawdown.
        trough_ms: Time of its lowest value; None without a drawdown.
        recovered_ms: Time at which the peak was reached again; None without a drawdown, or if it has not ended.
        duration_s: Time from its peak to its recovery, or to the end; None without a drawdown.
        longest_s: Longest such time of all drawdowns; None without a drawdown.
    """

    fraction: float = 0.0
    amount: float = 0.0
    peak_ms: int | None = None
    trough_ms: int | None = None
    recovered_ms: int | None = None
    duration_s: float | None = None
    longest_s: float | None = None


def depths(equity: Floats) -> Floats:
    """Return each value's fall below the peak so far, as a fraction of it: 0 or negative.

    Args:
        equity: At least one value; the first one is positive.
    """
    return np.minimum(equity / np.maximum.accumulate(equity) - 1, 0.0)


def drawdown_of(at_ms: Times, equity: Floats) -> Drawdown:
    """Find the deepest and the longest drawdown.

    Args:
        at_ms: Time of each value, strictly ascending.
        equity: In quote currency; the first one is positive.
    """
    depth = depths(equity)
    trough = int(depth.argmin())
    if depth[trough] == 0:
        return Drawdown()
    at_peak = np.flatnonzero(depth == 0)
    ends = np.append(at_peak, len(equity) - 1)
    is_fall = np.diff(ends) > 0
    is_fall[:-1] = np.diff(ends)[:-1] > 1  # one step from peak to peak is no fall; one step to the end is
    lengths_ms = (at_ms[ends[1:]] - at_ms[ends[:-1]])[is_fall]
    place = int(at_peak.searchsorted(trough))
    peak = int(at_peak[place - 1])
    recovered = int(at_peak[place]) if place < len(at_peak) else None
    end = len(equity) - 1 if recovered is None else recovered
    return Drawdown(
        fraction=float(depth[trough]),
        amount=float(equity[trough] - equity[peak]),
        peak_ms=int(at_ms[peak]),
        trough_ms=int(at_ms[trough]),
        recovered_ms=None if recovered is None else int(at_ms[recovered]),
        duration_s=float(at_ms[end] - at_ms[peak]) / 1000,
        longest_s=float(lengths_ms.max()) / 1000,
    )
