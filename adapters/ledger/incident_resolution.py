"""Resolution of incidents, and the quarantine of a symbol, which is an incident too."""

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import RowMapping

from adapters.clock import now_ms as wall_ms
from adapters.ledger.fills import write_high_water
from adapters.ledger.orders import mark
from adapters.ledger.queries.reads import IS_OPEN, balance, mine
from adapters.ledger.tables import incidents
from adapters.ledger.transaction import Reader, Transaction
from trading.incidents.incident import IncidentKind
from trading.lifecycle import PositionPolicy
from trading.orders.intents import OrderUpdate
from trading.orders.orders import OrderState
from trading.portfolio.drawdown import HighWaterMark

_FOUND = sa.select(incidents).where(mine(incidents, "id"), IS_OPEN)
_QUARANTINES = sa.select(incidents).where(
    mine(incidents, "symbol"), IS_OPEN, incidents.c.kind == IncidentKind.QUARANTINED.value
)
_RESOLVE = (
    sa.update(incidents)
    .where(incidents.c.id == bindparam("identity"))
    .values(resolved_at_ms=bindparam("at_ms"), resolution=bindparam("new_resolution"))
)


def resolve_by_number(tx: Transaction, identity: int, resolution: str, *, is_lost: bool) -> dict[str, Any] | None:
    """Resolve an incident, and return it; None when no open one has this number."""
    row = tx.execute(_FOUND, id=identity).mappings().one_or_none()
    return None if row is None else resolve(tx, row, resolution, is_lost=is_lost)


def resolve(tx: Transaction, row: RowMapping, resolution: str, *, is_lost: bool = True) -> dict[str, Any]:
    """Resolve the open incident of a row, with its effect on orders and on the high-water mark.

    Args:
        is_lost: Of a lost order: the venue still has none.
    """
    if row["kind"] == IncidentKind.ORDER_LOST and is_lost:
        mark(tx, OrderUpdate(row["key"], OrderState.EXPIRED, reason=f"given up: {resolution}"))
    if row["kind"] == IncidentKind.MAX_DRAWDOWN:
        write_high_water(tx, HighWaterMark(balance(tx)))
    at_ms = wall_ms()
    tx.write(_RESOLVE, {"identity": row["id"], "at_ms": at_ms, "new_resolution": resolution})
    return {**row, "resolved_at_ms": at_ms, "resolution": resolution}


def quarantine(reader: Reader, symbol: str) -> PositionPolicy | None:
    row = reader.execute(_QUARANTINES, symbol=symbol).first()
    return None if row is None else cast("PositionPolicy", row.details["policy"])


def clear_quarantine(tx: Transaction, symbol: str, reason: str) -> bool:
    """End the quarantine of a symbol; False when it was not quarantined."""
    row = tx.execute(_QUARANTINES, symbol=symbol).mappings().one_or_none()
    return row is not None and bool(resolve(tx, row, reason))
