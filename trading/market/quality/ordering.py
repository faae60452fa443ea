"""The order of candles, those that stand twice, and how far they are apart."""

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Flags = NDArray[np.bool_]

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000))


def usual_spacing_ms(open_ms: Times) -> int | None:
    """Return the distance that most neighbours in time have, None for fewer than two times."""
    spacings, counts = np.unique(np.diff(np.unique(open_ms)), return_counts=True)
    return int(spacings[counts.argmax()]) if len(spacings) else None


def timeframe_of(length_ms: int) -> str | None:
    """Return the ccxt timeframe of that length, such as `5m`; None where there is none."""
    return next((f"{length_ms // unit_ms}{unit}" for unit, unit_ms in _UNITS if length_ms % unit_ms == 0), None)


def out_of_order(open_ms: Times) -> Flags:
    """Return which rows are earlier than one that stands before them."""
    flags = np.zeros(len(open_ms), np.bool_)
    if len(open_ms) > 1:
        flags[1:] = open_ms[1:] < np.maximum.accumulate(open_ms)[:-1]
    return flags


def later_twins(open_ms: Times) -> NDArray[np.intp]:
    """Return for each row the place of the last row that has its time: its own where that is itself or the only one."""
    _, inverse = np.unique(open_ms, return_inverse=True)
    last = np.zeros(int(inverse.max(initial=-1)) + 1, np.intp)
    last[inverse] = np.arange(len(open_ms))  # of several rows the last one stays
    return np.asarray(last[inverse], np.intp)
