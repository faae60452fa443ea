"""The ledger's incidents: what a person must hear of, told once, kept until somebody has resolved it."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from adapters.clock import now_ms as wall_ms
from adapters.ledger.queries.reads import mine
from adapters.ledger.tables import incidents
from adapters.ledger.transaction import LedgerWriting
from trading.incidents.incident import Incident, IncidentKind

IS_OPEN = incidents.c.resolved_at_ms.is_(None)

_KEYS: sa.BindParameter[Sequence[str]] = bindparam("keys", expanding=True)
_KEYS_A_QUERY = 500
_ALIKE = sa.select(incidents.c.symbol, incidents.c.kind, incidents.c.key, IS_OPEN.label("is_open")).where(
    mine(incidents), incidents.c.key.in_(_KEYS)
)
_OPEN_OF_SYMBOL = sa.select(incidents).where(mine(incidents, "symbol"), IS_OPEN).order_by(incidents.c.id)
_UNPUBLISHED = _OPEN_OF_SYMBOL.where(incidents.c.published_at_ms.is_(None))
_TOLD = (
    sa.update(incidents)
    .where(
        incidents.c.account == bindparam("of_account"),
        incidents.c.symbol == bindparam("of_symbol"),
        incidents.c.kind == bindparam("of_kind"),
        incidents.c.key == bindparam("of_key"),
        incidents.c.published_at_ms.is_(None),
    )
    .values(published_at_ms=bindparam("at_ms"))
)
_CLOSED_SINCE = (
    sa.update(incidents)
    .where(
        incidents.c.account == bindparam("of_account"),
        incidents.c.symbol == bindparam("of_symbol"),
        incidents.c.kind == IncidentKind.CLOSE_REFUSED.value,
        incidents.c.key.in_(_KEYS),
        IS_OPEN,
    )
    .values(resolved_at_ms=bindparam("at_ms"), resolution="the position was closed since")
)
_OF_FILLS = frozenset({IncidentKind.FOREIGN_FILL, IncidentKind.LATE_FILL, IncidentKind.OVERFILLED})
"""Told once for ever: the fills stay among those that the venue shows."""


class LedgerIncidents(LedgerWriting):
    """Opens and shows incidents."""

    def open_incidents(self, incidents_: Sequence[Incident]) -> Sequence[Incident]:
        """Write down what a person must hear of; see `trading.ports.ledger.Ledger`."""
        with self._reading.connect() as connection:
            if not self._news(connection, incidents_):
                return []
        with self._writing() as connection:
            return self._open(connection, incidents_)

    def incidents_of(self, symbol: str) -> Sequence[Incident]:
        return self._incidents(_OPEN_OF_SYMBOL, symbol)

    def unpublished(self, symbol: str) -> Sequence[Incident]:
        return self._incidents(_UNPUBLISHED, symbol)

    def mark_published(self, incidents_: Sequence[Incident]) -> None:
        """Write down that the events of incidents have left the worker; see `trading.ports.ledger.Ledger`."""
        if not incidents_:
            return
        with self._writing() as connection:
            connection.execute(_TOLD, [self._told_row(incident) for incident in incidents_])

    def incidents(self, symbol: str | None = None, *, only_open: bool = True, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest incidents first, as plain dictionaries."""
        chosen = sa.select(incidents).where(mine(incidents)).order_by(incidents.c.id.desc())
        return self._newest(chosen.where(IS_OPEN) if only_open else chosen, incidents.c.symbol, symbol, limit)

    def _incidents(self, statement: sa.Select[Any], symbol: str) -> Sequence[Incident]:
        with self._reading.connect() as connection:
            rows = connection.execute(statement, {"account": self._account, "symbol": symbol}).all()
        return [Incident(IncidentKind(row.kind), row.symbol, row.key, row.reason, row.details) for row in rows]

    def _open(self, connection: Connection, incidents_: Sequence[Incident]) -> Sequence[Incident]:
        """Write down those that are news, under the account's lock, and return them."""
        news = self._news(connection, incidents_)
        if news:
            connection.execute(sa.insert(incidents), [self._row(incident) for incident in news])
        return news

    def _close_refused_no_more(self, connection: Connection, symbol: str, strategies: Sequence[str]) -> None:
        """Resolve that a close was refused to strategies, whose positions have been closed since."""
        where = {"of_account": self._account, "of_symbol": symbol, "keys": list(strategies), "at_ms": wall_ms()}
        connection.execute(_CLOSED_SINCE, where)

    def _news(self, connection: Connection, incidents_: Sequence[Incident]) -> list[Incident]:
        """Return those that are not open, and if they are of a fill never were."""
        known = set(self._known(connection, incidents_))
        news = []
        for incident in incidents_:
            name = _name(incident)
            if name not in known:
                known.add(name)
                news.append(incident)
        return news

    def _known(self, connection: Connection, incidents_: Sequence[Incident]) -> Iterator[tuple[str, str, str]]:
        keys = sorted({incident.key for incident in incidents_})
        for first in range(0, len(keys), _KEYS_A_QUERY):
            chosen = {"account": self._account, "keys": keys[first : first + _KEYS_A_QUERY]}
            for row in connection.execute(_ALIKE, chosen):
                if row.is_open or row.kind in _OF_FILLS:
                    yield row.symbol, row.kind, row.key

    def _row(self, incident: Incident) -> dict[str, Any]:
        return {
            "account": self._account,
            "symbol": incident.symbol,
            "kind": incident.kind.value,
            "key": incident.key,
            "halts": incident.kind.halts,
            "reason": incident.reason,
            "details": dict(incident.details),
            "opened_at_ms": wall_ms(),
        }

    def _told_row(self, incident: Incident) -> dict[str, Any]:
        symbol, kind, key = _name(incident)
        return {"of_account": self._account, "of_symbol": symbol, "of_kind": kind, "of_key": key, "at_ms": wall_ms()}


def _name(incident: Incident) -> tuple[str, str, str]:
    return incident.symbol, incident.kind.value, incident.key
