"""Compare the results of two runs row by row, and find the first difference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

Row = Mapping[str, Any]
Rows = Mapping[Any, Row]

PARTS = ("candles", "decisions", "orders", "fills", "positions")
"""The compared parts, each one a cause of differences in the next."""


class Run(Struct, frozen=True):
    """The result of a run; each row has `symbol` and `market_ms`, by which differences are sorted.

    Attributes:
        candles: The journal's decision and regime, by (symbol, open time).
        decisions: The rules' decision on a signal, by (symbol, strategy, open time).
        orders: Orders by client order id; stops and targets once they are filled.
        fills: Fills by fill id.
        positions: Final positions, by (symbol, strategy).
    """

    candles: Rows
    decisions: Rows
    orders: Rows
    fills: Rows
    positions: Rows


class Difference(Struct, frozen=True):
    """One row in which two runs differ.

    Attributes:
        part: One of `PARTS`.
        market_ms: Open time of the candle, or market time of the order or fill.
        recorded: Row of the live run; None if there is none.
        replayed: Row of the backtest; None if there is none.
        columns: Columns that differ, if both have the row.
    """

    part: str
    key: tuple[Any, ...]
    symbol: str
    market_ms: int
    recorded: Row | None
    replayed: Row | None
    columns: tuple[str, ...] = ()


class Comparison(Struct, frozen=True):
    """The comparison of a live run with its backtest.

    Attributes:
        counts: Rows compared, by part.
        differences: Differences by market time, causes before their consequences.
        left_out: Parts that were not compared, with the reason, one line each.
        notes: Further information for the reader.
    """

    counts: Mapping[str, int]
    differences: Sequence[Difference]
    left_out: Sequence[str] = ()
    notes: Sequence[str] = field(default=())

    @property
    def is_identical(self) -> bool:
        """Whether something was compared, and no row differed."""
        return not self.differences and bool(self.counts.get("candles"))


def compare(recorded: Run, replayed: Run, *, left_out: Sequence[str] = (), notes: Sequence[str] = ()) -> Comparison:
    """Compare all rows of two runs."""
    found = [one for part in PARTS for one in _differences(part, getattr(recorded, part), getattr(replayed, part))]
    counts = {part: len(getattr(recorded, part).keys() | getattr(replayed, part).keys()) for part in PARTS}
    return Comparison(counts, sorted(found, key=_moment), left_out, notes)


def _moment(found: Difference) -> tuple[bool, int, int, str]:
    return found.part == "positions", found.market_ms, PARTS.index(found.part), str(found.key)


def _differences(part: str, recorded: Rows, replayed: Rows) -> Iterator[Difference]:
    for key in recorded.keys() | replayed.keys():
        ours, theirs = recorded.get(key), replayed.get(key)
        if ours == theirs:
            continue
        known = ours or theirs or {}
        columns = tuple(name for name in known if ours and theirs and ours.get(name) != theirs.get(name))
        yield Difference(part, key, known["symbol"], known["market_ms"], ours, theirs, columns)
