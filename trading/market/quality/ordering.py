"""Order, duplicates and spacing of candles."""

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Flags = NDArray[np.bool_]


def usual_spacing_ms(open_ms: Times) -> int | None:
    """Return the most frequent distance between neighbours in time; None for fewer than two times."""
    spacings, counts = np.unique(np.diff(np.unique(open_ms)), return_counts=True)
    return int(spacings[counts.argmax()]) if len(spacings) else None


def out_of_order(open_ms: Times) -> Flags:
    """Flag the rows that are earlier than a row before them."""
    flags = np.zeros(len(open_ms), np.bool_)
    if len(open_ms) > 1:
        flags[1:] = open_ms[1:] < np.maximum.accumulate(open_ms)[:-1]
    return flags


def later_twins(open_ms: Times) -> NDArray[np.intp]:
    """Return, for each row, the position of the last row with the same time; a unique row gives its own position."""
    _, inverse = np.unique(open_ms, return_inverse=True)
    last = np.zeros(int(inverse.max(initial=-1)) + 1, np.intp)
    last[inverse] = np.arange(len(open_ms))  # of several rows the last one wins
    return np.asarray(last[inverse], np.intp)
