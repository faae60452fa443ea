"""Recompute everything that follows from a ledger's fills, and compare it with the recorded values.

Fills of a strategy on a symbol are folded in the order of their sequence, as in the ledger; an adoption comes after the
fills that were known then. The results (the profit that each fill realised, and the position) may differ by
`FOREIGN_ROUNDING` of their inputs, because older versions added units as binary fractions. Sums that the ledger may
have added up in another order (of an order, a day, or cash) may differ by `TOLERANCE` of the summed amounts.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import date
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, field
from sqlalchemy.engine import Connection

from adapters.ledger.queries.reads import FOLDED, mine
from adapters.ledger.rows import fill_of
from adapters.ledger.tables import account_days, accounts, fills, intents, orders, positions
from trading.execution.fill_booking import day_of
from trading.portfolio.positions import Position, PositionFold
from trading.tolerance import FOREIGN_ROUNDING, TOLERANCE

DIFFERENCES_KEPT = 1_000
_PART = 0.01
"""Part of `FOREIGN_ROUNDING` that the units of a position may differ by: they are a sum of few fills."""

_PLACE = ("account", "symbol", "strategy")
_HISTORY = sa.select(fills).where(mine(fills, "symbol", "strategy")).order_by(*FOLDED)

Place = tuple[str, str, str]
"""Account, symbol, strategy."""


class Difference(Struct, frozen=True):
    """One difference; `where` names the row."""

    check: str
    where: str
    found: str
    expected: str


class Total(Struct):
    """A sum, and the sum of the absolute values that went into it: the measure of its rounding."""

    value: float = 0.0
    gross: float = 0.0

    def add(self, value: float) -> None:
        self.value += value
        self.gross += abs(value)

    def agrees(self, other: float, *, least_gross: float = 0.0) -> bool:
        """Return whether `other` is this sum but for rounding; never for NaN."""
        return abs(self.value - other) <= TOLERANCE * max(self.gross, least_gross)


class Scale(Struct):
    """The sizes by which the rounding of a position is judged.

    Attributes:
        units: Largest number of units that were held or filled at once.
        value: Sum of the values of all fills, in quote currency.
    """

    units: float = 0.0
    value: float = 0.0


class Books(Struct):
    """Positions and profits recomputed from the fills of one account, in quote currency.

    Attributes:
        realised: Profit realised, after fees.
        cash: Cash flow of all fills.
        open_value: Units of open positions at their average price: `cash` plus this is the realised profit.
    """

    realised: Total = field(default_factory=Total)
    cash: Total = field(default_factory=Total)
    open_value: Total = field(default_factory=Total)


class Findings(Struct):
    """Recomputed values and differences; beyond `DIFFERENCES_KEPT` differences only their number is known."""

    fills: int = 0
    differences: list[Difference] = field(default_factory=list)
    number: int = 0
    books: dict[str, Books] = field(default_factory=lambda: defaultdict(Books))
    positions: dict[Place, Position] = field(default_factory=dict)
    days: dict[tuple[str, date], Total] = field(default_factory=lambda: defaultdict(Total))
    scales: dict[Place, Scale] = field(default_factory=lambda: defaultdict(Scale))
    traded: dict[tuple[str, date], float] = field(default_factory=lambda: defaultdict(float))
    """Value of the fills of a day: one that was corrected may have passed through larger profits than it shows."""

    def differ(self, check: str, where: object, found: object, expected: object) -> None:
        self.number += 1
        if len(self.differences) < DIFFERENCES_KEPT:
            name = " ".join(map(str, where)) if isinstance(where, tuple) else str(where)
            self.differences.append(Difference(check, name, _shown(found), _shown(expected)))

    def compare(self, check: str, where: object, found: object, expected: object) -> None:
        """Record a difference if two values are not identical, bit for bit."""
        if found != expected:
            self.differ(check, where, found, expected)

    def compare_number(self, check: str, where: object, found: float, expected: float, gross: float) -> None:
        """Record two numbers that differ by more than the rounding of sums as large as `gross`; NaN always differs."""
        if not abs(found - expected) <= FOREIGN_ROUNDING * gross:
            self.differ(check, where, found, expected)


def recompute(connection: Connection, progress: Callable[[int], None]) -> Findings:
    """Recompute the values that follow from the fills, and compare them with the recorded ones.

    Args:
        connection: From `adapters.backup.snapshot.snapshot`.
        progress: Receives the number of rows checked since its last call.
    """
    findings = Findings()
    chosen = sa.select(fills.c.account, fills.c.symbol, fills.c.strategy).distinct().order_by(*fills.c[_PLACE])
    for place in [(row.account, row.symbol, row.strategy) for row in connection.execute(chosen)]:
        _fold(connection, place, findings, progress)
    _compare_positions(connection, findings)
    _compare_days(connection, findings)
    _compare_cash(findings)
    _compare_peaks(connection, findings)
    for table in (intents, orders):
        _compare_filled_units(connection, table, findings, progress)
    return findings


def _fold(connection: Connection, place: Place, findings: Findings, progress: Callable[[int], None]) -> None:
    account, symbol, strategy = place
    fold = PositionFold(symbol, strategy)
    with connection.execute(_HISTORY, dict(zip(_PLACE, place, strict=True))) as rows:
        try:
            for row in rows:
                _book(row, fold, account, findings)
                progress(1)
        except (ValueError, ArithmeticError) as error:  # an impossible side, leg or number
            findings.differ("fill: readable", place, error, "a fill")
    position = findings.positions[place] = fold.position
    findings.books[account].open_value.add(position.units * position.average_price)


def _book(row: Any, fold: PositionFold, account: str, findings: Findings) -> None:
    fill, before = fill_of(row._mapping), fold.position
    after = fold.add(fill)
    realised = after.realised - before.realised
    scale, value = findings.scales[account, fill.symbol, fill.strategy], fill.units * fill.price
    scale.units = max(scale.units, fill.units, abs(after.units))
    scale.value += value
    gross = max(value, abs(after.realised), abs(before.realised))
    findings.compare_number("fill: realised", (fill.symbol, fill.strategy, fill.fill_id), row.realised, realised, gross)
    findings.fills += 1
    findings.traded[account, day_of(fill.market_ms)] += value
    findings.days[account, day_of(fill.market_ms)].add(realised)
    books = findings.books[account]
    books.realised.add(realised)
    books.cash.add(-fill.side.sign * fill.units * fill.price)
    books.cash.add(-fill.fee)


def _compare_positions(connection: Connection, findings: Findings) -> None:
    stored = {(row.account, row.symbol, row.strategy): row for row in connection.execute(sa.select(positions))}
    for place in sorted(stored.keys() | findings.positions.keys()):
        row, expected = stored.get(place), findings.positions.get(place) or Position(*place[1:])
        if row is None:
            findings.differ("position", place, "no row", f"{expected.units:+g} at {expected.average_price:g}")
            continue
        scale = findings.scales[place]
        grosses = {"units": _PART * scale.units, "average_price": expected.average_price, "realised": scale.value}
        for name, gross in grosses.items():
            findings.compare_number(f"position: {name}", place, getattr(row, name), getattr(expected, name), gross)
        findings.compare("position: opened_ms", place, row.opened_ms, expected.opened_ms)


def _compare_days(connection: Connection, findings: Findings) -> None:
    stored = {(row.account, row.day): row.realised for row in connection.execute(sa.select(account_days))}
    for key in sorted(stored.keys() | findings.days.keys()):
        expected, found = findings.days.get(key) or Total(), stored.get(key)
        if found is None or not expected.agrees(found, least_gross=findings.traded.get(key, 0.0)):
            findings.differ("day: realised", key, "no row" if found is None else found, expected.value)


def _compare_cash(findings: Findings) -> None:
    """Check that cash plus open positions equals the realised profit."""
    for account, books in findings.books.items():
        worth = Total(books.cash.value + books.open_value.value, books.cash.gross + books.open_value.gross)
        if not worth.agrees(books.realised.value):
            findings.differ("cash and positions", account, books.realised.value, worth.value)


def _compare_peaks(connection: Connection, findings: Findings) -> None:
    """Check that no account's realised profit exceeds its peak: otherwise a drawdown would be underestimated."""
    for row in connection.execute(sa.select(accounts).where(accounts.c.peak_realised.is_not(None))):
        books = findings.books.get(row.account) or Books()
        if row.peak_realised < books.realised.value and not books.realised.agrees(
            row.peak_realised, least_gross=books.cash.gross
        ):
            found = f"{books.realised.value!r} or more"
            findings.differ("account: highest profit", row.account, row.peak_realised, found)
        if (row.drawdown or 0.0) < 0.0:
            findings.differ("account: drawdown", row.account, row.drawdown, "0.0 or more")


def _compare_filled_units(
    connection: Connection, table: sa.Table, findings: Findings, progress: Callable[[int], None]
) -> None:
    filled = (
        sa.select(fills.c.account, fills.c.client_order_id, sa.func.sum(fills.c.units).label("total"))
        .group_by(fills.c.account, fills.c.client_order_id)
        .subquery()
    )
    is_same = sa.and_(filled.c.account == table.c.account, filled.c.client_order_id == table.c.client_order_id)
    total = sa.func.coalesce(filled.c.total, 0.0)
    chosen = sa.select(table.c.client_order_id, table.c.filled_units, total).select_from(
        table.outerjoin(filled, is_same)
    )
    for identity, found, expected in connection.execute(chosen):
        progress(1)
        if not Total(expected, expected).agrees(found):
            findings.differ(f"{table.name}: filled_units", identity, found, expected)


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def rows_to_look_at(connection: Connection) -> int:
    """Return the number of rows that `recompute` and `adapters.ledger.audit.invariants.check_rules` read together."""
    return 2 * sum(count_of(connection, table) for table in (fills, intents, orders))


def count_of(connection: Connection, table: sa.Table) -> int:
    number: int = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return number
