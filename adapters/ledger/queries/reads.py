"""Reads of the ledger: one statement for each, none of which waits for a writer."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from adapters.ledger.rows import intent_of, position_of
from adapters.ledger.tables import decisions, fences, fills, incidents, intents, orders, positions, symbols
from adapters.ledger.transaction import Reader
from trading.lifecycle import DesiredState
from trading.orders.intents import Intent
from trading.orders.orders import decided_id
from trading.portfolio.positions import Position
from trading.tolerance import ROUNDING, total_units


def mine(table: sa.Table, *names: str) -> sa.ColumnElement[bool]:
    """Return the condition that a row agrees with the parameter `account` and with each parameter of `names`."""
    return sa.and_(*(table.c[name] == bindparam(name) for name in ("account", *names)))


def with_ids(table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that a row is an order of the account with one of the parameter `ids`.

    The account is compared as an expression: SQLite would else read all orders of the account by an index on it,
    instead of a few by their ids.
    """
    ids: sa.BindParameter[Collection[str]] = bindparam("ids", expanding=True)
    return sa.and_(table.c.client_order_id.in_(ids), table.c.account + "" == bindparam("account"))


IS_LIVE = sa.or_(sa.not_(intents.c.is_final), intents.c.risk_reserved.is_not(None))
"""An intent that is not settled, or an entry that still holds a place in the account."""
IS_OPEN = incidents.c.resolved_at_ms.is_(None)
"""An incident that no operator has resolved."""
POSITIONS = sa.select(positions).where(mine(positions))
_POSITION = sa.select(positions).where(mine(positions, "symbol", "strategy"))
REALISED = sa.select(sa.func.coalesce(sa.func.sum(positions.c.realised), 0.0)).where(mine(positions))

FOLDED = (fills.c.sequence, fills.c.adjustment)
"""The order in which fills make a position; an adoption comes after the fills that were known then."""

_UNSETTLED = (
    sa.select(intents)
    .where(mine(intents, "symbol"), sa.not_(intents.c.is_final))
    .order_by(intents.c.decision_id, intents.c.sequence)
)
_FILLS_LOOKED_BACK = 16
"""Fills of a symbol that are requested again, because a venue may report one later than those that followed it."""
_FILLS_FROM = (
    sa.select(fills.c.sequence)
    .where(mine(fills, "symbol"), fills.c.adjustment == 0)
    .order_by(fills.c.sequence.desc())
    .offset(_FILLS_LOOKED_BACK)
    .limit(1)
)
_STATES = sa.select(intents.c.client_order_id, intents.c.state, intents.c.strategy).where(with_ids(intents))
_FENCE = sa.select(sa.func.max(fences.c.open_ms)).where(mine(fences, "symbol"))
_FENCES = (
    sa.select(fences.c.symbol, sa.func.max(fences.c.open_ms).label("open_ms"))
    .where(mine(fences))
    .group_by(fences.c.symbol)
)
_DESIRED = sa.select(symbols.c.desired).where(mine(symbols, "symbol"))
_HAS_EXPOSURE = sa.select(
    sa.or_(
        sa.exists().where(mine(positions, "symbol"), positions.c.units != 0),
        sa.exists().where(mine(intents, "symbol"), IS_LIVE),
    )
)

_OPEN_UNITS = (
    sa.select(positions.c.symbol, positions.c.units)
    .where(mine(positions), positions.c.units != 0)
    .order_by(positions.c.symbol)
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
    with_ids(intents),
    intents.c.filled_units > intents.c.units * (1 + ROUNDING),
    intents.c.at_fill.is_(None),
)


def unsettled(reader: Reader, symbol: str) -> Sequence[Intent]:
    return [intent_of(row) for row in reader.execute(_UNSETTLED, symbol=symbol).all()]


def fills_from(reader: Reader, symbol: str) -> int:
    return reader.execute(_FILLS_FROM, symbol=symbol).scalar() or 0


def decided_rows(reader: Reader, client_order_ids: Collection[str]) -> dict[str, Any]:
    """Return state and strategy of those orders that we decided on; of a protective order those of its entry."""
    if not client_order_ids:
        return {}
    decided = {identity: decided_id(identity) for identity in client_order_ids}
    rows = reader.execute(_STATES, ids=sorted(set(decided.values()))).all()
    known = {row.client_order_id: row for row in rows}
    return {identity: known[of] for identity, of in decided.items() if of in known}


def has_exposure(reader: Reader, symbol: str) -> bool:
    return bool(reader.execute(_HAS_EXPOSURE, symbol=symbol).scalar())


def fence(reader: Reader, symbol: str) -> int | None:
    open_ms: int | None = reader.execute(_FENCE, symbol=symbol).scalar()
    return open_ms


def newest_fences(reader: Reader) -> dict[str, int]:
    return {row.symbol: row.open_ms for row in reader.execute(_FENCES).all()}


def desired(reader: Reader, symbol: str) -> DesiredState:
    return DesiredState(reader.execute(_DESIRED, symbol=symbol).scalar() or DesiredState.RUNNING)


def all_positions(reader: Reader) -> Sequence[Position]:
    return [position_of(row) for row in reader.execute(POSITIONS).all()]


def position(reader: Reader, symbol: str, strategy: str) -> Position:
    """Return the position of a strategy; a flat one where there was never a fill."""
    row = reader.execute(_POSITION, symbol=symbol, strategy=strategy).one_or_none()
    return Position(symbol, strategy) if row is None else position_of(row)


def balance(reader: Reader) -> float:
    """Return the starting balance plus all realised profit, in quote currency."""
    return reader.starting_balance + float(reader.execute(REALISED).scalar_one())


def owners(reader: Reader, symbol: str) -> frozenset[str]:
    return frozenset(reader.execute(_OWNERS, symbol=symbol).scalars())


def overfilled(reader: Reader, client_order_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
    if not client_order_ids:
        return {}
    rows = reader.execute(_OVERFILLED, ids=sorted(client_order_ids)).all()
    return {row.client_order_id: (row.units, row.filled_units) for row in rows}


def exposures(reader: Reader) -> Mapping[str, tuple[float, int]]:
    """Return the exposure of each symbol that has any: net units, and orders that are not settled."""
    by_symbol = groupby(reader.execute(_OPEN_UNITS), key=attrgetter("symbol"))
    units = {symbol: total_units(row.units for row in rows) for symbol, rows in by_symbol}
    unsettled_orders = {row.symbol: row.number for row in reader.execute(_UNSETTLED_NUMBER)}
    names = sorted(units.keys() | unsettled_orders.keys())
    return {name: (units.get(name, 0.0), unsettled_orders.get(name, 0)) for name in names}


def newest_orders(reader: Reader, symbol: str | None, limit: int) -> list[dict[str, Any]]:
    chosen = sa.select(_ORDERS).order_by(_ORDERS.c.market_ms.desc(), _ORDERS.c.client_order_id.desc())
    return newest(reader, chosen, _ORDERS.c.symbol, symbol, limit)


def newest_fills(reader: Reader, symbol: str | None, limit: int) -> list[dict[str, Any]]:
    chosen = sa.select(fills).where(mine(fills)).order_by(*(column.desc() for column in FOLDED))
    return newest(reader, chosen, fills.c.symbol, symbol, limit)


def newest_decisions(reader: Reader, symbol: str | None, limit: int) -> list[dict[str, Any]]:
    chosen = sa.select(decisions).where(mine(decisions)).order_by(decisions.c.id.desc())
    rows = newest(reader, chosen, decisions.c.symbol, symbol, limit)
    return [row | {"checks": row["checks"] or []} for row in rows]


def newest(
    reader: Reader, chosen: sa.Select[Any], column: sa.ColumnElement[str], symbol: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return the first rows of a statement as plain dictionaries, of one symbol or of all."""
    if symbol is not None:
        chosen = chosen.where(column == symbol)
    return [dict(row) for row in reader.execute(chosen.limit(limit)).mappings().all()]
