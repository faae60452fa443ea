"""What a run came to, row by row, and the first thing in which two runs differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

Row = Mapping[str, Any]
Rows = Mapping[Any, Row]

PARTS = ("candles", "decisions", "orders", "fills", "positions")
"""What is compared, in the order in which one leads to the next."""


class Run(Struct, frozen=True):
    """What a run came to; each row has `symbol` and `market_ms`, by which differences are put in order.

    Attributes:
        candles: By (symbol, open time): the journal's decision and regime.
        decisions: By (symbol, strategy, open time): what the rules said of a signal.
        orders: By client order id, those of a stop or target once they are filled.
        fills: By fill id.
        positions: By (symbol, strategy), at the end.
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
        market_ms: When: open time of the candle, market time of the order or fill.
        recorded: Of the live run; None where it has no such row.
        replayed: Of the replay; None where it has no such row.
        columns: Those in which they differ, where both have the row.
    """

    part: str
    key: tuple[Any, ...]
    symbol: str
    market_ms: int
    recorded: Row | None
    replayed: Row | None
    columns: tuple[str, ...] = ()


class Comparison(Struct, frozen=True):
    """What came of comparing a live run with its replay.

    Attributes:
        counts: Rows compared, by part.
        differences: By market time; what leads to the others comes first.
        left_out: What was not compared, and why, one line each.
        notes: What a reader must know beside it.
    """

    counts: Mapping[str, int]
    differences: Sequence[Difference]
    left_out: Sequence[str] = ()
    notes: Sequence[str] = field(default=())

    @property
    def is_identical(self) -> bool:
        """Whether something was compared, and all of it agreed."""
        return not self.differences and bool(self.counts.get("candles"))


def compare(recorded: Run, replayed: Run, *, left_out: Sequence[str] = (), notes: Sequence[str] = ()) -> Comparison:
    """Compare two runs, every row of either."""
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
