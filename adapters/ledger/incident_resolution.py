"""What a person, or a policy, says to the state of a symbol: incidents resolved, symbols quarantined and let go
again.
"""

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection, RowMapping

from adapters.clock import now_ms as wall_ms
from adapters.ledger.decisions import LedgerPlanning
from adapters.ledger.incidents import IS_OPEN
from adapters.ledger.queries.reads import REALISED, mine
from adapters.ledger.tables import incidents
from trading.incidents import descriptions
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
    .values(resolved_at_ms=bindparam("at_ms"), resolution=bindparam("said"))
)


class LedgerResolution(LedgerPlanning):
    """Resolves incidents; opens and ends quarantines."""

    def resolve_incident(self, identity: int, resolution: str, *, is_lost: bool = True) -> dict[str, Any] | None:
        """Close an incident, and return it; None when no open one has this number.

        An order that the venue lost ends with it as EXPIRED: nobody will ask for it again. A quarantine ends with it.
        After a drawdown the balance of this moment is the highest anew.

        Args:
            is_lost: Of a lost order: the venue still has none.
        """
        with self._writing() as connection:
            row = connection.execute(_FOUND, {"account": self._account, "id": identity}).mappings().one_or_none()
            return None if row is None else self._resolve(connection, row, resolution, is_lost=is_lost)

    def quarantine(self, symbol: str) -> PositionPolicy | None:
        with self._reading.connect() as connection:
            row = connection.execute(_QUARANTINES, {"account": self._account, "symbol": symbol}).first()
        return None if row is None else cast("PositionPolicy", row.details["policy"])

    def set_quarantine(self, symbol: str, policy: PositionPolicy, *, cause: str, reason: str) -> bool:
        """Set a symbol aside; see `trading.ports.ledger.Ledger`."""
        incident = descriptions.quarantined(symbol, policy, cause, reason)
        with self._writing() as connection:
            return bool(self._open(connection, [incident]))

    def clear_quarantine(self, symbol: str, *, reason: str) -> bool:
        """Let a symbol work again; see `trading.ports.ledger.Ledger`."""
        with self._writing() as connection:
            chosen = {"account": self._account, "symbol": symbol}
            row = connection.execute(_QUARANTINES, chosen).mappings().one_or_none()
            return row is not None and bool(self._resolve(connection, row, reason))

    def _resolve(
        self, connection: Connection, row: RowMapping, resolution: str, *, is_lost: bool = True
    ) -> dict[str, Any]:
        if row["kind"] == IncidentKind.ORDER_LOST and is_lost:
            self._mark(connection, OrderUpdate(row["key"], OrderState.EXPIRED, reason=f"given up: {resolution}"))
        if row["kind"] == IncidentKind.MAX_DRAWDOWN:
            realised = connection.execute(REALISED, {"account": self._account}).scalar_one()
            self._put_high_water(connection, HighWaterMark(self._starting_balance + realised))
        at_ms = wall_ms()
        connection.execute(_RESOLVE, {"identity": row["id"], "at_ms": at_ms, "said": resolution})
        return {**row, "resolved_at_ms": at_ms, "resolution": resolution}
