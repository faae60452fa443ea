"""The reading half of the ledger: one statement for each question, none of which waits for a writer."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Engine

from adapters.database import read_only
from adapters.ledger.rows import intent_of, position_of
from adapters.ledger.tables import decisions, fences, fills, intents, orders, positions, symbols
from trading.lifecycle import DesiredState
from trading.orders.intents import Intent
from trading.orders.orders import OrderState, decided_id
from trading.portfolio.positions import Position
from trading.tolerance import TOLERANCE


def mine(table: sa.Table, *names: str) -> sa.ColumnElement[bool]:
    """Return the condition that a row agrees with the parameter `account` and with each parameter of `names`."""
    return sa.and_(*(table.c[name] == bindparam(name) for name in ("account", *names)))


IS_LIVE = sa.or_(sa.not_(intents.c.is_final), intents.c.risk_reserved.is_not(None))
"""An intent that is not settled, or an entry that still holds a place in the account."""
POSITIONS = sa.select(positions).where(mine(positions))
REALISED = sa.select(sa.func.coalesce(sa.func.sum(positions.c.realised), 0.0)).where(mine(positions))

FOLDED = (fills.c.sequence, fills.c.adjustment)
"""The order in which fills make a position; what a person adopted comes after the fills that were known then."""

_UNSETTLED = (
    sa.select(intents)
    .where(mine(intents, "symbol"), sa.not_(intents.c.is_final))
    .order_by(intents.c.decision_id, intents.c.sequence)
)
_FILLS_LOOKED_BACK = 16
"""So many fills of a symbol are asked for again, because a venue may show one later than those that followed it."""
_FILLS_FROM = (
    sa.select(fills.c.sequence)
    .where(mine(fills, "symbol"), fills.c.adjustment == 0)
    .order_by(fills.c.sequence.desc())
    .offset(_FILLS_LOOKED_BACK)
    .limit(1)
)
_STATES = sa.select(intents.c.client_order_id, intents.c.state, intents.c.strategy).where(
    mine(intents), intents.c.client_order_id.in_(bindparam("ids", expanding=True))
)
_FENCE = sa.select(sa.func.max(fences.c.open_ms)).where(mine(fences, "symbol"))
_DESIRED = sa.select(symbols.c.desired).where(mine(symbols, "symbol"))
_HAS_EXPOSURE = sa.select(
    sa.or_(
        sa.exists().where(mine(positions, "symbol"), positions.c.units != 0),
        sa.exists().where(mine(intents, "symbol"), IS_LIVE),
    )
)

_OPEN_UNITS = (
    sa.select(positions.c.symbol, sa.func.sum(positions.c.units).label("units"))
    .where(mine(positions), positions.c.units != 0)
    .group_by(positions.c.symbol)
)
_UNSETTLED_NUMBER = (
    sa.select(intents.c.symbol, sa.func.count().label("number"))
    .where(mine(intents), sa.not_(intents.c.is_final))
    .group_by(intents.c.symbol)
)

_SENT = sa.select(
    intents.c.client_order_id,
    intents.c.venue_order_id,
    intents.c.symbol,
    intents.c.strategy,
    intents.c.leg,
    intents.c.side,
    intents.c.units,
    intents.c.state,
    intents.c.filled_units,
    intents.c.reference_price,
    intents.c.stop_loss,
    intents.c.take_profit,
    intents.c.decided_ms.label("market_ms"),
    intents.c.correlation_id,
).where(mine(intents))
_HELD_BY_VENUE = sa.select(
    orders.c.client_order_id,
    orders.c.venue_order_id,
    orders.c.symbol,
    orders.c.strategy,
    orders.c.leg,
    orders.c.side,
    sa.null().label("units"),
    orders.c.state,
    orders.c.filled_units,
    sa.null().label("reference_price"),
    sa.null().label("stop_loss"),
    sa.null().label("take_profit"),
    orders.c.market_ms,
    sa.null().label("correlation_id"),
).where(mine(orders), ~sa.exists().where(intents.c.client_order_id == orders.c.client_order_id))
_ORDERS = sa.union_all(_SENT, _HELD_BY_VENUE).subquery("all_orders")


_OWNERS = sa.select(intents.c.strategy).where(mine(intents, "symbol"), intents.c.risk_reserved.is_not(None)).distinct()
_OVERFILLED = sa.select(intents.c.client_order_id, intents.c.units, intents.c.filled_units).where(
    mine(intents),
    intents.c.client_order_id.in_(bindparam("ids", expanding=True)),
    intents.c.filled_units > intents.c.units * (1 + TOLERANCE),
)


class LedgerReads:
    """What the ledger of one account knows.

    Args:
        engine: Of this process, from `adapters.database.create_engine`; its schema must be migrated.
        account_name: Whose rows these are: several accounts may share a database.
        starting_balance: In quote currency.
    """

    def __init__(self, engine: Engine, account_name: str, starting_balance: float) -> None:
        self._engine = engine
        self._reading = read_only(engine)
        self._account = account_name
        self._starting_balance = starting_balance

    def close(self) -> None:
        """Close the connections; the next call opens one again."""
        self._engine.dispose()

    def unsettled(self, symbol: str) -> Sequence[Intent]:
        with self._reading.connect() as connection:
            rows = connection.execute(_UNSETTLED, {"account": self._account, "symbol": symbol}).all()
        return [intent_of(row) for row in rows]

    def fills_from(self, symbol: str) -> int:
        return self._scalar(_FILLS_FROM, symbol) or 0

    def order_states(self, client_order_ids: Collection[str]) -> Mapping[str, OrderState]:
        return {identity: OrderState(row.state) for identity, row in self._decided_rows(client_order_ids).items()}

    def order_strategies(self, client_order_ids: Collection[str]) -> Mapping[str, str]:
        return {identity: row.strategy for identity, row in self._decided_rows(client_order_ids).items()}

    def _decided_rows(self, client_order_ids: Collection[str]) -> dict[str, Any]:
        """Return what is written down of the orders that we decided on; of a protective order that of its entry."""
        if not client_order_ids:
            return {}
        decided = {identity: decided_id(identity) for identity in client_order_ids}
        with self._reading.connect() as connection:
            rows = connection.execute(_STATES, {"account": self._account, "ids": sorted(set(decided.values()))}).all()
        known = {row.client_order_id: row for row in rows}
        return {identity: known[of] for identity, of in decided.items() if of in known}

    def has_exposure(self, symbol: str) -> bool:
        return bool(self._scalar(_HAS_EXPOSURE, symbol))

    def fence(self, symbol: str) -> int | None:
        open_ms: int | None = self._scalar(_FENCE, symbol)
        return open_ms

    def desired(self, symbol: str) -> DesiredState:
        return DesiredState(self._scalar(_DESIRED, symbol) or DesiredState.RUNNING)

    def positions(self) -> Sequence[Position]:
        with self._reading.connect() as connection:
            rows = connection.execute(POSITIONS, {"account": self._account}).all()
        return [position_of(row) for row in rows]

    def balance(self) -> float:
        """Return the starting balance plus all realised profit, in quote currency."""
        return self._starting_balance + float(self._scalar(REALISED))

    def orders(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest orders first, those never sent and protective ones included, as plain dictionaries.

        `units`, `reference_price` and `correlation_id` are None for a protective order: the venue made it.
        """
        chosen = sa.select(_ORDERS).order_by(_ORDERS.c.market_ms.desc(), _ORDERS.c.client_order_id.desc())
        return self._newest(chosen, _ORDERS.c.symbol, symbol, limit)

    def fills(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest fills first, as plain dictionaries."""
        chosen = sa.select(fills).where(mine(fills)).order_by(*(column.desc() for column in FOLDED))
        return self._newest(chosen, fills.c.symbol, symbol, limit)

    def decisions(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest decisions first, the refused ones too, as plain dictionaries.

        `checks` lists the rules that were asked: {"rule", "is_met", "reason"}; empty where they were not written down.
        """
        chosen = sa.select(decisions).where(mine(decisions)).order_by(decisions.c.id.desc())
        rows = self._newest(chosen, decisions.c.symbol, symbol, limit)
        return [row | {"checks": row["checks"] or []} for row in rows]

    def exposures(self) -> Mapping[str, tuple[float, int]]:
        """Return what is open of each symbol that has something open: net units, and orders that are not settled."""
        with self._reading.connect() as connection:
            units = {row.symbol: row.units for row in connection.execute(_OPEN_UNITS, {"account": self._account})}
            orders = {
                row.symbol: row.number for row in connection.execute(_UNSETTLED_NUMBER, {"account": self._account})
            }
        return {name: (units.get(name, 0.0), orders.get(name, 0)) for name in sorted(units.keys() | orders.keys())}

    def owners(self, symbol: str) -> frozenset[str]:
        with self._reading.connect() as connection:
            rows = connection.execute(_OWNERS, {"account": self._account, "symbol": symbol})
            return frozenset(rows.scalars())

    def overfilled(self, client_order_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        if not client_order_ids:
            return {}
        with self._reading.connect() as connection:
            parameters = {"account": self._account, "ids": sorted(client_order_ids)}
            rows = connection.execute(_OVERFILLED, parameters).all()
        return {row.client_order_id: (row.units, row.filled_units) for row in rows}

    def _scalar(self, statement: sa.Select[Any], symbol: str | None = None) -> Any:
        with self._reading.connect() as connection:
            return connection.execute(statement, {"account": self._account, "symbol": symbol}).scalar()

    def _newest(
        self, chosen: sa.Select[Any], column: sa.ColumnElement[str], symbol: str | None, limit: int
    ) -> list[dict[str, Any]]:
        if symbol is not None:
            chosen = chosen.where(column == symbol)
        with self._reading.connect() as connection:
            rows = connection.execute(chosen.limit(limit), {"account": self._account}).mappings().all()
        return [dict(row) for row in rows]
