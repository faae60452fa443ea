"""The ledger's incidents: what a person must hear of, told once, kept until somebody has resolved it."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from adapters.clock import now_ms as wall_ms
from adapters.ledger_orders import LedgerOrders
from adapters.ledger_reads import mine
from adapters.tables import incidents
from trading.incidents import Incident, IncidentKind
from trading.orders import OrderState
from trading.ports import Mark

_ALIKE = sa.select(incidents.c.id).where(mine(incidents, "symbol", "kind", "key"))
_STILL_OPEN = incidents.c.resolved_at_ms.is_(None)
_OPEN_OF_SYMBOL = sa.select(incidents).where(mine(incidents, "symbol"), _STILL_OPEN).order_by(incidents.c.id)
_FOUND = sa.select(incidents).where(mine(incidents, "id"), _STILL_OPEN)
_RESOLVE = (
    sa.update(incidents)
    .where(incidents.c.id == bindparam("identity"))
    .values(resolved_at_ms=bindparam("at_ms"), resolution=bindparam("said"))
)
_OF_FILLS = frozenset({IncidentKind.FOREIGN_FILL, IncidentKind.LATE_FILL, IncidentKind.OVERFILLED})
"""Told once for ever: the fills stay among those that the venue shows."""


class LedgerIncidents(LedgerOrders):
    """Opens, shows and resolves incidents."""

    def open_incidents(self, incidents_: Sequence[Incident]) -> Sequence[Incident]:
        """Write down what a person must hear of; see `trading.ports.Ledger`."""
        with self._writing() as connection:
            return [incident for incident in incidents_ if self._open(connection, incident)]

    def incidents_of(self, symbol: str) -> Sequence[Incident]:
        with self._reading.connect() as connection:
            rows = connection.execute(_OPEN_OF_SYMBOL, {"account": self._account, "symbol": symbol}).all()
        return [Incident(IncidentKind(row.kind), row.symbol, row.key, row.reason, row.details) for row in rows]

    def incidents(self, symbol: str | None = None, *, only_open: bool = True, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest incidents first, as plain dictionaries."""
        chosen = sa.select(incidents).where(mine(incidents)).order_by(incidents.c.id.desc())
        return self._newest(chosen.where(_STILL_OPEN) if only_open else chosen, incidents.c.symbol, symbol, limit)

    def resolve_incident(self, identity: int, resolution: str) -> dict[str, Any] | None:
        """Close an incident, and return it; None when no open one has this number.

        An order that the venue lost ends with it as EXPIRED: nobody will ask for it again.
        """
        with self._writing() as connection:
            row = connection.execute(_FOUND, {"account": self._account, "id": identity}).mappings().one_or_none()
            if row is None:
                return None
            if row["kind"] == IncidentKind.ORDER_LOST:
                self._mark(connection, Mark(row["key"], OrderState.EXPIRED, reason=f"given up: {resolution}"))
            said = {"resolved_at_ms": wall_ms(), "resolution": resolution}
            at_ms = said["resolved_at_ms"]
            connection.execute(_RESOLVE, {"identity": identity, "at_ms": at_ms, "said": resolution})
            return {**row, **said}

    def _open(self, connection: Connection, incident: Incident) -> bool:
        key: Mapping[str, Any] = {
            "account": self._account,
            "symbol": incident.symbol,
            "kind": incident.kind.value,
            "key": incident.key,
        }
        alike = _ALIKE if incident.kind in _OF_FILLS else _ALIKE.where(_STILL_OPEN)
        if connection.execute(alike, key).first() is not None:
            return False
        row = {
            **key,
            "halts": incident.kind.halts,
            "reason": incident.reason,
            "details": dict(incident.details),
            "opened_at_ms": wall_ms(),
        }
        connection.execute(sa.insert(incidents), row)
        return True
