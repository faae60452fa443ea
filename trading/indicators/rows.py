"""Rows of indicator values, passed from the second stage to the third and read by strategies."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from msgspec import Struct
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class IndicatorRows(Struct, frozen=True, eq=False):
    """Close and indicator values of a run of candles.

    Attributes:
        columns: Names of the indicators.
        open_ms: Shape (n,), int64: open time of the candles, ascending.
        values: Shape (n, 1 + len(columns)), float64: the close, then the indicators; all finite.
    """

    columns: tuple[str, ...]
    open_ms: NDArray[np.int64]
    values: Floats

    def __len__(self) -> int:
        return len(self.open_ms)

    def __getitem__(self, part: slice) -> "IndicatorRows":
        return IndicatorRows(self.columns, self.open_ms[part], self.values[part])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IndicatorRows):
            return NotImplemented
        is_alike = self.columns == other.columns and np.array_equal(self.open_ms, other.open_ms)
        return is_alike and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by value, so no hash can hold

    def rows(self) -> list[list[float]]:
        """Return `[open_ms, close, *values]` for each candle, the form used in messages."""
        return [[int(at), *row] for at, row in zip(self.open_ms.tolist(), self.values.tolist(), strict=True)]

    def frame(self) -> pd.DataFrame:
        """Return the frame that a strategy reads: index `open_ms`, float64 columns `close` and the indicators."""
        return pd.DataFrame(self.values, pd.Index(self.open_ms, name="open_ms"), _columns_index(self.columns))

    def since(self, open_ms: int) -> "IndicatorRows":
        """Return the rows of candles that opened at or after `open_ms`."""
        return self[int(self.open_ms.searchsorted(open_ms)) :]

    def then(self, later: "IndicatorRows") -> "IndicatorRows":
        """Return these rows followed by `later`, which have the same columns and begin after the last one."""
        if not len(self):
            return later
        open_ms = np.concatenate((self.open_ms, later.open_ms))
        return IndicatorRows(self.columns, open_ms, np.concatenate((self.values, later.values)))

    @classmethod
    def from_rows(cls, columns: Sequence[str], rows: Iterable[Sequence[float]]) -> "IndicatorRows":
        """Create rows from the lists that `rows` returns."""
        table = np.array(list(rows), np.float64).reshape(-1, 2 + len(columns))
        return cls(tuple(columns), table[:, 0].astype(np.int64), np.ascontiguousarray(table[:, 1:]))

    __ne__ = object.__ne__  # negates __eq__; a Struct would bring its own


@lru_cache(maxsize=64)
def _columns_index(columns: tuple[str, ...]) -> pd.Index:
    return pd.Index(("close", *columns))
