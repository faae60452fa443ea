"""Find rows whose values no candle can have."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trading.market.candles import CLOSE, HIGH, LOW, OPEN, VOLUME

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

VALUE_FAULTS: Mapping[str, str] = {
    "not a number": "a value is missing or no finite number",
    "not positive": "a price is zero or negative",
    "crossed": "high is below another price, or low above one",
    "negative volume": "the volume is below zero",
}
"""In the order of the checks: a row gets the first fault that fits."""


def value_faults(values: Floats, *, allow_non_positive: bool = False) -> Mapping[str, Flags]:
    """Flag the rows of each of `VALUE_FAULTS`; each row has at most one.

    Args:
        values: Shape (n, 5): open, high, low, close, volume.
        allow_non_positive: Prices may be zero or negative.
    """
    with np.errstate(invalid="ignore"):  # the first check finds NaN
        prices = values[:, : CLOSE + 1]
        faults: dict[str, Flags] = {
            "not a number": np.asarray(~np.isfinite(values).all(axis=1)),
            "not positive": np.asarray((prices <= 0).any(axis=1)) & (not allow_non_positive),
            "crossed": (values[:, HIGH] < np.maximum(values[:, OPEN], values[:, CLOSE]))
            | (values[:, LOW] > np.minimum(values[:, OPEN], values[:, CLOSE])),
            "negative volume": values[:, VOLUME] < 0,
        }
    is_reported = np.zeros(len(values), np.bool_)
    for name, flags in faults.items():
        faults[name] = flags & ~is_reported
        is_reported |= flags
    return faults
