"""The results of a run on both sides (journal, ledger, and the venue's own books), and the differences of two runs."""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy as sa

from adapters.database import create_engine, read_only
from adapters.ledger.tables import account_days, intents, stop_moves
from adapters.redis import keys
from adapters.venues import paper_books
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.books import verdicts
from trading.orders.orders import OrderState

Row = Mapping[str, Any]
Rows = Mapping[Hashable, Row]
LIMIT = 1_000_000

_NOT_COMPARED = {"written_at_ms", "id", "decision_id", "venue_order_id", "sequence", "number", "last_sequence"}
"""Wall-clock times, and numbers that the symbols draw from one counter in whatever order they come."""
_FINAL = {state.value for state in OrderState if state.is_final}
_DECIDED_LEGS = ("entry", "exit")


@dataclass(frozen=True, slots=True)
class Books:
    """The results of a run.

    Attributes:
        parts: For each kind of row, the rows by their key.
        sequences: Things whose order counts, by name: candles of a journal, fills of a symbol.
        faults: What is wrong in these books alone, without another run beside them.
    """

    parts: Mapping[str, Rows]
    sequences: Mapping[str, Sequence[Hashable]]
    faults: Sequence["Difference"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the books are not as they should be.

    Attributes:
        kind: lost, doubled, reordered, duplicate order, orphan, or differs.
        part: Of the books, such as `fills`.
    """

    kind: str
    part: str
    key: Hashable
    found: Any = field(default=None, compare=False)
    expected: Any = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.kind} in {self.part}: {self.key}\n    found  {self.found}\n    wanted {self.expected}"


def read_books(system: TradingSystem, candles: Mapping[str, Sequence[int]]) -> Books:
    """Read the books of a system that does nothing at the moment.

    Args:
        candles: For each symbol the open times of the candles that it shall have decided.
    """
    ledger = system.stores().ledger
    journal = {name: system.journal(name) for name in system.symbols}
    venue = _read_venue(system)
    parts: dict[str, Rows] = {
        "journal": {(name, ms): {"decision": text} for name, texts in journal.items() for ms, text in texts.items()},
        "decisions": _by(verdicts(ledger.decisions(limit=LIMIT)), "symbol", "strategy", "open_ms"),
        "orders": _by(ledger.orders(limit=LIMIT), "client_order_id"),
        "fills": _by(ledger.fills(limit=LIMIT), "fill_id"),
        "positions": {
            (at.symbol, at.strategy): {
                "units": at.units,
                "average_price": at.average_price,
                "realised": at.realised,
                "stop_loss": at.stop_loss,
            }
            for at in ledger.positions()
        },
        "stop moves": _by(
            _select(system.settings.ledger_url.get_secret_value(), stop_moves), "symbol", "strategy", "open_ms"
        ),
        "days": _by(_select(system.settings.ledger_url.get_secret_value(), account_days), "account", "day"),
        "venue orders": _by(venue["orders"], "client_order_id"),
        "venue fills": _by(venue["fills"], "fill_id"),
        "venue positions": _by(venue["books"], "symbol", "strategy"),
        "venue cash": _cash(venue["fills"]),
    }
    sequences: dict[str, Sequence[Hashable]] = {f"journal of {name}": list(texts) for name, texts in journal.items()}
    for name in system.symbols:
        fills = ledger.fills(name, limit=LIMIT)
        sequences[f"fills of {name}"] = [row["fill_id"] for row in sorted(fills, key=lambda row: row["sequence"])]
    planned = _select(system.settings.ledger_url.get_secret_value(), intents)
    faults = [
        *_candle_faults(system, journal, candles),
        *duplicates(venue["orders"]),
        *orphans(planned, venue["orders"]),
    ]
    return Books(parts, sequences, faults)


def compare(found: Books, expected: Books) -> list[Difference]:
    """Return in what a run differs from the undisturbed one; what is wrong in its own books comes first."""
    differences = list(found.faults)
    for part, rows in expected.parts.items():
        differences += _compare_rows(part, found.parts[part], rows)
    for name, items in expected.sequences.items():
        texts = found.sequences[name]
        if list(texts) != list(items) and Counter(texts) == Counter(items):
            at = next(at for at, (one, other) in enumerate(zip(texts, items, strict=True)) if one != other)
            differences.append(Difference("reordered", name, at, texts[at], items[at]))
    return differences


def duplicates(venue_orders: Sequence[Row]) -> Iterator[Difference]:
    """Yield each decision and leg for which the venue has more than one order."""
    places: dict[Hashable, list[str]] = {}
    for row in venue_orders:
        if row["leg"] in _DECIDED_LEGS:
            key = (row["symbol"], row["strategy"], row["decided_ms"], row["leg"])
            places.setdefault(key, []).append(row["client_order_id"])
    for place, found in places.items():
        if len(found) > 1:
            yield Difference("duplicate order", "venue orders", place, found, found[:1])


def orphans(planned: Sequence[Row], venue_orders: Sequence[Row]) -> Iterator[Difference]:
    """Yield each order at the venue that no intent names, and each open intent that the venue does not know."""
    ours = {row["client_order_id"] for row in planned}
    theirs = {row["client_order_id"] for row in venue_orders}
    for row in venue_orders:
        if row["leg"] in _DECIDED_LEGS and row["client_order_id"] not in ours:
            yield Difference("orphan", "venue orders", row["client_order_id"], dict(row), None)
    for row in planned:
        if row["state"] not in _FINAL and row["client_order_id"] not in theirs:
            yield Difference("orphan", "intents", row["client_order_id"], dict(row), None)


def _candle_faults(
    system: TradingSystem, journal: Mapping[str, Mapping[int, str]], candles: Mapping[str, Sequence[int]]
) -> Iterator[Difference]:
    for name, due in candles.items():
        texts = list(journal[name])
        for ms in sorted(set(due) - set(texts)):
            yield Difference("lost", f"journal of {name}", ms, None, "a decision")
        for ms in sorted(set(texts) - set(due)):
            yield Difference("doubled", f"journal of {name}", ms, "a decision on a candle that was not due", None)
        if texts != sorted(texts):
            yield Difference("reordered", f"journal of {name}", name, texts, sorted(texts))
        text = cast("bytes | None", system.stores().redis.hget(keys.state(system.settings.namespace, name), "candles"))
        if int(text or 0) > len(texts):
            yield Difference("doubled", f"journal of {name}", "count", int(text or 0), len(texts))


def _compare_rows(part: str, found: Rows, expected: Rows) -> Iterator[Difference]:
    for key in found.keys() - expected.keys():
        yield Difference("doubled", part, key, found[key], None)
    for key in expected.keys() - found.keys():
        yield Difference("lost", part, key, None, expected[key])
    for key in found.keys() & expected.keys():
        if not _is_equal(found[key], expected[key]):
            yield Difference("differs", part, key, found[key], expected[key])


def _is_equal(one: Row, other: Row) -> bool:
    """Return whether two rows agree; sums over symbols that interleave may differ by the rounding of their order."""
    if one == other:
        return True
    return one.keys() == other.keys() and all(
        value == other[name]
        or (name == "total" and math.isclose(float(value), float(other[name]), rel_tol=1e-9, abs_tol=1e-6))
        for name, value in one.items()
    )


def _read_venue(system: TradingSystem) -> dict[str, list[Row]]:
    url = system.settings.paper_url.get_secret_value()
    return {
        "orders": _select(url, paper_books.orders_table),
        "fills": _select(url, paper_books.fills_table),
        "books": _select(url, paper_books.books_table),
    }


def _cash(fills: Sequence[Row]) -> Rows:
    """Work out per symbol what all fills together brought: the exact sum, whatever the order of the fills."""
    flows: dict[Hashable, list[float]] = {}
    for row in fills:
        sign = -1 if row["side"] == "buy" else 1
        flows.setdefault(row["symbol"], []).extend((sign * row["units"] * row["price"], -row["fee"]))
    return {symbol: {"cash": math.fsum(amounts)} for symbol, amounts in flows.items()}


def _select(url: str, table: sa.Table) -> list[Row]:
    engine = create_engine(url)
    try:
        with read_only(engine).connect() as connection:
            return [dict(row) for row in connection.execute(sa.select(table)).mappings()]
    finally:
        engine.dispose()


def _by(rows: Sequence[Row], *names: str) -> Rows:
    found: dict[Hashable, Row] = {}
    for row in rows:
        key = tuple(str(row[name]) for name in names)
        kept = {name: value for name, value in row.items() if name not in _NOT_COMPARED}
        if "realised" in kept and "day" in kept:
            kept["total"] = kept.pop("realised")
        found[key] = kept
    return found
