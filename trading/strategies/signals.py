"""What a strategy says about a run of candles, and how it is turned into signals."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading.errors import Broken
from trading.events import Signal, SignalSide

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_BUY, _SELL, _CLOSE = 1, -1, 2
_SIDES = {_BUY: SignalSide.BUY, _SELL: SignalSide.SELL, _CLOSE: SignalSide.CLOSE}


class Signals:
    """Collects what a strategy asks for, at most one thing for each row.

    The first reason given for a row stays, and an entry goes before a close whichever was said first.

    Args:
        count: Rows that the strategy was given.
    """

    def __init__(self, count: int) -> None:
        self._sides: NDArray[np.int8] = np.zeros(count, np.int8)
        self._reasons: list[str | None] = [None] * count
        self._values: dict[str, Floats] = {}
        self._unusable: list[tuple[NDArray[np.intp], str]] = []

    def __len__(self) -> int:
        return len(self._sides)

    def buy(
        self,
        where: Flags,
        *,
        reason: str,
        stop_loss: Floats | float | None = None,
        take_profit: Floats | float | None = None,
        size_units: Floats | float | None = None,
    ) -> Self:
        """Ask to be long after the rows where `where` is true.

        Args:
            where: Shape (count,), booleans.
            reason: Why, in words a trader understands.
            stop_loss: Price, one for all rows or shape (count,); None and NaN are no stop, and so is a price at or
                below zero, which can never be reached.
            take_profit: Price, in the same way.
            size_units: Size to trade, above zero; None and NaN leave it to the risk settings.

        Raises:
            Broken: A row is already a sell, a size is not above zero, or `where` has another shape or other values.
        """
        prices = {"stop_loss": stop_loss, "take_profit": take_profit, "size_units": size_units}
        return self._enter(_BUY, where, reason, prices)

    def sell(
        self,
        where: Flags,
        *,
        reason: str,
        stop_loss: Floats | float | None = None,
        take_profit: Floats | float | None = None,
        size_units: Floats | float | None = None,
    ) -> Self:
        """Ask to be short after the rows where `where` is true; the arguments are those of `buy`.

        Raises:
            Broken: A row is already a buy, a size is not above zero, or `where` has another shape or other values.
        """
        prices = {"stop_loss": stop_loss, "take_profit": take_profit, "size_units": size_units}
        return self._enter(_SELL, where, reason, prices)

    def close(self, where: Flags, *, reason: str) -> Self:
        """Ask to be flat after the rows where `where` is true and no entry is asked for."""
        for row in self._rows_of(where).tolist():
            if not self._sides[row]:
                self._sides[row] = _CLOSE
                self._reasons[row] = reason
        return self

    def last(self, count: int, *, rows: pd.DataFrame, strategy: str) -> list[Signal]:
        """Return the signals of the last `count` rows, oldest first.

        Args:
            rows: What the strategy was given: index `open_ms`, column `close`.
            strategy: Name of the strategy.

        Raises:
            Broken: The strategy answered for another number of rows.
        """
        if len(rows) != len(self):
            raise Broken(f"strategy {strategy} answered for {len(self)} rows, and was given {len(rows)}")
        first = max(0, len(self) - count)
        found = (np.flatnonzero(self._sides[first:]) + first).tolist()
        return list(self._signals(found, rows, strategy)) if found else []

    def unusable(self) -> list[tuple[int, str, float]]:
        """Return (row, name, value) of what was given for an entry and is no price or size: NaN, infinite, not above 0.

        Such an entry is made without it. That is right where none was meant, and hides a mistake where one was.
        """
        return [
            (int(row), name, float(self._values[name][row])) for rows, name in self._unusable for row in rows.tolist()
        ]

    def _signals(self, found: list[int], rows: pd.DataFrame, strategy: str) -> Iterator[Signal]:
        open_ms, close = rows.index.to_numpy(), rows["close"].to_numpy()
        for row in found:
            prices = {name: float(values[row]) for name, values in self._values.items() if values[row] > 0}
            yield Signal(
                strategy=strategy,
                open_ms=int(open_ms[row]),
                side=_SIDES[int(self._sides[row])],
                price=float(close[row]),
                reason=self._reasons[row] or "",
                stop_loss=prices.get("stop_loss"),
                take_profit=prices.get("take_profit"),
                size_units=prices.get("size_units"),
            )

    def _enter(self, side: int, where: Flags, reason: str, prices: Mapping[str, Floats | float | None]) -> Self:
        found = self._rows_of(where)
        if not len(found):
            return self
        if (self._sides[found] == -side).any():
            raise Broken(f"one row is both a buy and a sell: {reason}")
        new = found[self._sides[found] != side]
        self._sides[new] = side
        for row in new.tolist():
            self._reasons[row] = reason
        for name, given in prices.items():
            if given is not None:
                self._set(name, new, np.broadcast_to(given, len(self))[new])
        if prices["size_units"] is not None and (self._values["size_units"][new] <= 0).any():
            raise Broken(f"a size is not above zero: {reason}")
        return self

    def _rows_of(self, where: Flags) -> NDArray[np.intp]:
        flags = np.asarray(where)
        if flags.shape != self._sides.shape:
            raise Broken(f"`where` has shape {flags.shape}, and there are {len(self)} rows")
        if flags.dtype != np.bool_:  # NaN would count as true
            raise Broken(f"`where` holds {flags.dtype}, allowed are booleans{_first_nan(flags)}")
        return flags.nonzero()[0]

    def _set(self, name: str, rows: NDArray[np.intp], values: Floats) -> None:
        self._column(name)[rows] = values
        is_usable = (values > 0) & (values < np.inf)
        if not is_usable.all():
            self._unusable.append((rows[~is_usable], name))

    def _column(self, name: str) -> Floats:
        if name not in self._values:
            self._values[name] = np.full(len(self), np.nan)
        return self._values[name]


def _first_nan(flags: NDArray[Any]) -> str:
    """Return where a NaN is among `flags`, for a message; nothing when there is none."""
    is_nan = pd.isna(flags)
    return f"; row {int(is_nan.argmax())} is {flags[is_nan.argmax()]}" if is_nan.any() else ""


def crossed_above(line: Floats, other: Floats | float) -> Flags:
    """Return where `line` came above `other`: at or below it one row before, above it now. Never at the first row."""
    is_above = line > other
    crossed = np.zeros(len(line), np.bool_)
    np.logical_and(is_above[1:], (line <= other)[:-1], out=crossed[1:])
    return crossed


def crossed_below(line: Floats, other: Floats | float) -> Flags:
    """Return where `line` came below `other`: at or above it one row before, below it now. Never at the first row."""
    is_below = line < other
    crossed = np.zeros(len(line), np.bool_)
    np.logical_and(is_below[1:], (line >= other)[:-1], out=crossed[1:])
    return crossed


def previous(line: Floats) -> Floats:
    """Return the values of one row before, NaN at the first row."""
    shifted = np.full(len(line), np.nan)
    shifted[1:] = line[:-1]
    return shifted
