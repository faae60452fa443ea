"""The observer of a race: sums of the account computed from its rows and from the actions, never by the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.database import read_only
from adapters.ledger.tables import metadata
from tests.racing.transactions import DAY_MS, T0_MS, Sums, Transaction
from trading.execution.fill_booking import day_of
from trading.orders.orders import Fill, Leg, OrderRequest

_SUMS = sa.text("""
    SELECT
        (SELECT count(*) FROM (
            SELECT symbol FROM positions WHERE account = :account AND units <> 0
            UNION
            SELECT symbol FROM intents WHERE account = :account AND leg = 'entry' AND NOT is_final
        ) AS places),
        (SELECT coalesce(sum(abs(units) * average_price), 0.0) FROM positions WHERE account = :account)
        + (SELECT coalesce(sum((units - filled_units) * reference_price), 0.0) FROM intents
            WHERE account = :account AND leg = 'entry' AND NOT is_final),
        (SELECT coalesce(sum(abs(units) * abs(average_price - stop_loss)), 0.0) FROM positions
            WHERE account = :account AND units <> 0)
        + (SELECT coalesce(sum((units - filled_units) * abs(reference_price - stop_loss)), 0.0) FROM intents
            WHERE account = :account AND leg = 'entry' AND NOT is_final),
        (SELECT coalesce(sum(realised), 0.0) FROM fills
            WHERE account = :account AND market_ms >= :midnight_ms AND market_ms < :midnight_ms + 86400000)
""")


def sums_of_rows(engine: Engine, account: str, market_ms: int) -> Sums:
    """Add up the rows of intents, positions and fills, in one statement: they are of one moment."""
    parameters = {"account": account, "midnight_ms": market_ms // DAY_MS * DAY_MS}
    with read_only(engine).connect() as connection:
        places, notional, risk, realised = connection.execute(_SUMS, parameters).one()
    return Sums(places, notional, max(0.0, -realised) + risk)


@dataclass(slots=True)
class Held:
    """One symbol, as it follows from what was done.

    Attributes:
        price: Of the entry; all fills of an entry have the same.
        stop: Price of its stop.
    """

    units: float = 0.0
    price: float = 0.0
    stop: float = 0.0
    realised: float = 0.0
    waiting: dict[str, OrderRequest] = field(default_factory=dict)
    filled: dict[str, float] = field(default_factory=dict)

    def fill(self, fill: Fill) -> float:
        """Book a fill, and return the profit that it realises."""
        request = self.waiting.get(fill.client_order_id)
        signed = fill.side.sign * fill.units
        if request is not None:
            self.filled[fill.client_order_id] = self.filled.get(fill.client_order_id, 0.0) + fill.units
            if self.filled[fill.client_order_id] == request.units:
                del self.waiting[fill.client_order_id]
        if fill.leg is Leg.ENTRY:
            assert request is not None, f"{fill} fills nothing that was planned"
            assert self.units * signed >= 0, f"{fill} enters against {self.units:g} units"
            self.units += signed
            self.price, self.stop = fill.price, request.stop_loss or 0.0
            return 0.0
        assert abs(signed) <= abs(self.units), f"{fill} ends more than {self.units:g} units"
        assert signed * self.units < 0, f"{fill} ends more than {self.units:g} units"
        self.units += signed
        profit = -signed * (fill.price - self.price)
        self.realised += profit
        return profit

    @property
    def entries(self) -> Iterable[tuple[OrderRequest, float]]:
        """Each entry on its way, with the units that it may still fill."""
        return (
            (request, request.units - self.filled.get(identity, 0.0))
            for identity, request in self.waiting.items()
            if request.leg is Leg.ENTRY
        )

    @property
    def has_place(self) -> bool:
        return self.units != 0 or any(True for _ in self.entries)

    @property
    def notional(self) -> float:
        return abs(self.units) * self.price + sum(units * request.reference_price for request, units in self.entries)

    @property
    def risk(self) -> float:
        waiting = sum(units * abs(one.reference_price - (one.stop_loss or 0.0)) for one, units in self.entries)
        return abs(self.units) * abs(self.price - self.stop) + waiting


class Replay:
    """Does again all that was done, in the order of the commits, with arithmetic of its own."""

    def __init__(self, committed: Sequence[Transaction]) -> None:
        """Replay; `history` then has the sums after each deed."""
        self.symbols: dict[str, Held] = {}
        self.realised: dict[int, float] = {}
        self.committed = sorted(committed, key=lambda transaction: transaction.number)
        self.history = [self._after(transaction) for transaction in self.committed]

    def _after(self, transaction: Transaction) -> Sums:
        held = self.symbols.setdefault(transaction.symbol, Held())
        held.waiting |= {request.client_order_id: request for request in transaction.planned}
        if transaction.ended:
            del held.waiting[transaction.ended]
        for fill in transaction.fills:
            day = fill.market_ms // DAY_MS
            self.realised[day] = self.realised.get(day, 0.0) + held.fill(fill)
        today = self.realised.get(self._day_of(transaction), 0.0)
        every = self.symbols.values()
        return Sums(
            sum(one.has_place for one in every),
            sum(one.notional for one in every),
            max(0.0, -today) + sum(one.risk for one in every),
        )

    def _day_of(self, transaction: Transaction) -> int:
        return T0_MS // DAY_MS + transaction.day

    def assert_rows_agree(self, engine: Engine, account: str) -> None:
        """Compare what the database holds at the end with what follows from the deeds."""
        with read_only(engine).connect() as connection:
            rows = {
                name: _rows(connection, name, account) for name in ("intents", "positions", "fills", "account_days")
            }
        planned = {one.client_order_id for transaction in self.committed for one in transaction.planned}
        booked = {fill.fill_id for transaction in self.committed for fill in transaction.fills}
        assert {row["client_order_id"] for row in rows["intents"]} == planned
        assert sorted(row["fill_id"] for row in rows["fills"]) == sorted(booked)
        assert all(row["is_final"] for row in rows["intents"])
        assert not [row for row in rows["intents"] if row["risk_reserved"] or row["notional_reserved"]]
        found = {row["symbol"]: (row["units"], row["realised"]) for row in rows["positions"]}
        assert found == {
            name: (held.units, held.realised) for name, held in self.symbols.items() if name in found or held.units
        }
        days = {row["day"]: row["realised"] for row in rows["account_days"]}
        assert days == {day_of(day * DAY_MS): realised for day, realised in self.realised.items()}


def _rows(connection: sa.Connection, table: str, account: str) -> list[dict[str, Any]]:
    columns = metadata.tables[table]
    return [dict(row) for row in connection.execute(sa.select(columns).where(columns.c.account == account)).mappings()]
