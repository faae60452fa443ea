"""Collect a strategy's decisions for a run of candles, and convert them to signals."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading.errors import Broken
from trading.strategies.errors import brief
from trading.strategies.signal import LONGEST_REASON, Signal, SignalSide

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_BUY, _SELL, _CLOSE = 1, -1, 2
_SIDES = {_BUY: SignalSide.BUY, _SELL: SignalSide.SELL, _CLOSE: SignalSide.CLOSE}


class UnusableSignals(Broken):
    """A strategy's decision for a row is invalid; `row` counts from the first row that it was given."""

    def __init__(self, what: str, row: int) -> None:
        super().__init__(what)
        self.args = (what, row)
        self.row = row


class SignalBuilder:
    """Collect a strategy's decisions, at most one per row.

    The first reason given for a row stays, and an entry takes precedence over a close, whichever was given first.

    Args:
        count: Number of rows that the strategy was given.
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
        """Request a long position after the rows where `where` is true.

        Args:
            where: Shape (count,), booleans.
            reason: Explanation in terms that a trader understands.
            stop_loss: Price, one for all rows or shape (count,). None and NaN mean no stop, and so does a price at or
                below zero, which can never be reached.
            take_profit: Price, in the same way.
            size_units: Positive size to trade; None and NaN leave it to the risk settings.

        Raises:
            Broken: A row is already a sell, a size is not positive, or an argument has a wrong shape or wrong values.
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
        """Request a short position after the rows where `where` is true; the arguments are those of `buy`.

        Raises:
            Broken: A row is already a buy, or as for `buy`.
        """
        prices = {"stop_loss": stop_loss, "take_profit": take_profit, "size_units": size_units}
        return self._enter(_SELL, where, reason, prices)

    def close(self, where: Flags, *, reason: str) -> Self:
        """Request a flat position after the rows where `where` is true and no entry is requested."""
        text = _text(reason)
        for row in self._rows_of(where).tolist():
            if not self._sides[row]:
                self._sides[row] = _CLOSE
                self._reasons[row] = text
        return self

    def last(self, count: int, *, rows: pd.DataFrame, strategy: str) -> list[Signal]:
        """Return the signals of the last `count` rows, oldest first.

        Args:
            rows: The strategy's input: index `open_ms`, column `close`.
            strategy: Name of the strategy.

        Raises:
            Broken: The strategy answered for another number of rows, or gave an infinite price or size for a signal.
        """
        if len(rows) != len(self):
            raise Broken(f"the answer has {len(self)} rows, expected {len(rows)}")
        first = max(0, len(self) - count)
        found = np.flatnonzero(self._sides[first:]) + first
        if not len(found):
            return []
        self._reject_infinite(found)
        return list(self._signals(found.tolist(), rows, strategy))

    def unusable(self) -> list[tuple[int, str, float]]:
        """Return (row, name, value) of prices and sizes that are NaN, infinite or not positive.

        The entry is made without them. That is right where none was intended, but may hide a mistake.
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

    def _reject_infinite(self, found: NDArray[np.intp]) -> None:
        for name, values in self._values.items():
            is_infinite = np.isinf(values[found])
            if is_infinite.any():
                row = int(found[is_infinite.argmax()])
                raise UnusableSignals(f"{name} is {values[row]}; expected a finite number, or None for none", row)

    def _enter(self, side: int, where: Flags, reason: str, prices: Mapping[str, Floats | float | None]) -> Self:
        found, text = self._rows_of(where), _text(reason)
        if not len(found):
            return self
        values = {name: _numbers(name, given, len(self)) for name, given in prices.items() if given is not None}
        is_other = self._sides[found] == -side
        if is_other.any():
            row = int(found[is_other.argmax()])
            other = self._reasons[row]
            raise UnusableSignals(f"one row is both a buy and a sell ({text}; {other}); expected only one of them", row)
        new = found[self._sides[found] != side]
        self._sides[new] = side
        for row in new.tolist():
            self._reasons[row] = text
        for name, given in values.items():
            self._set(name, new, given[new])
        if "size_units" in values:
            self._reject_no_size(new, text)
        return self

    def _reject_no_size(self, rows: NDArray[np.intp], text: str | None) -> None:
        is_none = self._values["size_units"][rows] <= 0
        if is_none.any():
            row = int(rows[is_none.argmax()])
            found = f"size_units is {self._values['size_units'][row]:g}"
            raise UnusableSignals(f"{found} ({text}); expected a positive size, or None for the risk settings", row)

    def _rows_of(self, where: Flags) -> NDArray[np.intp]:
        flags = np.asarray(where)
        if flags.shape != self._sides.shape:
            found = f"has shape {flags.shape}" if flags.dtype != np.object_ or flags.ndim else f"is {brief(where)}"
            raise Broken(f"`where` {found}; expected a boolean for each of the {len(self)} rows")
        if flags.dtype != np.bool_:  # NaN would count as true
            raise Broken(f"`where` holds {flags.dtype}; expected booleans{_first_nan(flags)}")
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


Signals = SignalBuilder
"""The name before 0.2; existing strategies may keep using it."""


def _text(reason: object) -> str | None:
    if reason is not None and not isinstance(reason, str):
        raise Broken(f"`reason` is {brief(reason)}; expected one text for all rows of a call")
    if reason is not None and len(reason) > LONGEST_REASON:
        raise Broken(f"`reason` has {len(reason):,} characters; expected at most {LONGEST_REASON:,}")
    return reason


def _numbers(name: str, given: object, count: int) -> Floats:
    """Return a price or size for each row.

    Raises:
        Broken: It has a wrong shape, or contains a value that is not a number.
    """
    values = np.asarray(given)
    if values.dtype == np.object_:
        values = _of_objects(name, values)
    elif values.dtype.kind not in "fiu":
        first = f", such as {brief(values.flat[0].item())}" if values.size else ""
        raise Broken(f"{name} holds {values.dtype}{first}; expected numbers, and NaN or None for none")
    if values.shape not in ((), (1,), (count,)):
        raise Broken(f"{name} has shape {values.shape}; expected one number, or {count}, one per row")
    return np.broadcast_to(values, count)


def _of_objects(name: str, values: NDArray[np.object_]) -> Floats:
    """Convert a column of objects to numbers; None and pandas' missing values become NaN."""
    numbers = np.full(values.shape, np.nan)
    for place, value in np.ndenumerate(values):
        if value is None or value is pd.NA:
            continue
        if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
            row = f"row {place[0]} is " if place else ""
            found = f"{name} has a value that is not a number: {row}{brief(value)}"
            raise Broken(f"{found}; expected numbers, and NaN or None for none")
        numbers[place] = float(value)
    return numbers


def _first_nan(flags: NDArray[Any]) -> str:
    """Describe the first NaN in `flags` for a message; empty if there is none."""
    is_nan = pd.isna(flags)
    return f"; row {int(is_nan.argmax())} is {flags[is_nan.argmax()]}" if is_nan.any() else ""


def crossed_above(line: Floats, other: Floats | float) -> Flags:
    """Flag where `line` rose above `other`: at or below it one row before, above it now. Never at the first row."""
    is_above = line > other
    crossed = np.zeros(len(line), np.bool_)
    np.logical_and(is_above[1:], (line <= other)[:-1], out=crossed[1:])
    return crossed


def crossed_below(line: Floats, other: Floats | float) -> Flags:
    """Flag where `line` fell below `other`: at or above it one row before, below it now. Never at the first row."""
    is_below = line < other
    crossed = np.zeros(len(line), np.bool_)
    np.logical_and(is_below[1:], (line >= other)[:-1], out=crossed[1:])
    return crossed


def previous(line: Floats) -> Floats:
    """Return each row's previous value, NaN at the first row."""
    shifted = np.full(len(line), np.nan)
    shifted[1:] = line[:-1]
    return shifted
