"""Incidents: opened once, published, and kept until an operator resolves them."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from adapters.clock import now_ms as wall_ms
from adapters.ledger.queries.reads import IS_OPEN, mine, newest
from adapters.ledger.tables import incidents
from adapters.ledger.transaction import Reader, Transaction
from trading.incidents.incident import IS_CLOSED, OF_POSITION, Incident, IncidentKind

_KEYS: sa.BindParameter[Sequence[str]] = bindparam("keys", expanding=True)
_KEYS_A_QUERY = 500
_ALIKE = sa.select(incidents.c.symbol, incidents.c.kind, incidents.c.key, IS_OPEN.label("is_open")).where(
    mine(incidents), incidents.c.key.in_(_KEYS)
)
_OPEN_OF_SYMBOL = sa.select(incidents).where(mine(incidents, "symbol"), IS_OPEN).order_by(incidents.c.id)
_BY_NUMBER = sa.select(incidents).where(mine(incidents, "id"), IS_OPEN)
_UNPUBLISHED = _OPEN_OF_SYMBOL.where(incidents.c.published_at_ms.is_(None))
_PUBLISHED = (
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
        incidents.c.kind.in_(sorted(kind.value for kind in OF_POSITION)),
        incidents.c.key.in_(_KEYS),
        IS_OPEN,
    )
    .values(resolved_at_ms=bindparam("at_ms"), resolution=IS_CLOSED)
)
_ENDED = (
    sa.update(incidents)
    .where(
        incidents.c.account == bindparam("of_account"),
        incidents.c.symbol == bindparam("of_symbol"),
        incidents.c.kind == bindparam("of_kind"),
        incidents.c.key == bindparam("of_key"),
        IS_OPEN,
    )
    .values(resolved_at_ms=bindparam("at_ms"), resolution=bindparam("new_resolution"))
)
_OF_FILLS = frozenset({IncidentKind.FOREIGN_FILL, IncidentKind.LATE_FILL, IncidentKind.OVERFILLED})
"""Opened once for ever: the venue keeps reporting the fill."""


def news(reader: Reader, found: Sequence[Incident]) -> list[Incident]:
    """Return the incidents that are not open, and if they are of a fill never were."""
    known = set(_known(reader, found))
    new = []
    for incident in found:
        name = _name(incident)
        if name not in known:
            known.add(name)
            new.append(incident)
    return new


def open_incidents(tx: Transaction, found: Sequence[Incident]) -> Sequence[Incident]:
    """Record the incidents that are new, and return them."""
    new = news(tx, found)
    if new:
        tx.write(sa.insert(incidents), [_row(tx.account, incident) for incident in new])
    return new


def open_of(reader: Reader, symbol: str) -> Sequence[Incident]:
    return [incident_of(row) for row in reader.execute(_OPEN_OF_SYMBOL, symbol=symbol).all()]


def unpublished(reader: Reader, symbol: str) -> Sequence[Incident]:
    return [incident_of(row) for row in reader.execute(_UNPUBLISHED, symbol=symbol).all()]


def mark_published(tx: Transaction, published: Sequence[Incident]) -> None:
    tx.write(_PUBLISHED, [_row_now(tx.account, incident) for incident in published])


def end_incidents(tx: Transaction, ended: Sequence[Incident], resolution: str) -> None:
    tx.write(_ENDED, [{**_row_now(tx.account, incident), "new_resolution": resolution} for incident in ended])


def newest_incidents(reader: Reader, symbol: str | None, limit: int, *, only_open: bool) -> list[dict[str, Any]]:
    chosen = sa.select(incidents).where(mine(incidents)).order_by(incidents.c.id.desc())
    return newest(reader, chosen.where(IS_OPEN) if only_open else chosen, incidents.c.symbol, symbol, limit)


def by_number(reader: Reader, identity: int) -> Incident | None:
    """Return an open incident by its number."""
    row = reader.execute(_BY_NUMBER, id=identity).one_or_none()
    return None if row is None else incident_of(row)


def resolve_closed(tx: Transaction, symbol: str, strategies: Sequence[str]) -> None:
    """Resolve the incidents of positions that were closed since."""
    where = {"of_account": tx.account, "of_symbol": symbol, "keys": list(strategies), "at_ms": wall_ms()}
    tx.write(_CLOSED_SINCE, where)


def incident_of(row: Any) -> Incident:
    return Incident(IncidentKind(row.kind), row.symbol, row.key, row.reason, row.details)


def _known(reader: Reader, found: Sequence[Incident]) -> Iterator[tuple[str, str, str]]:
    keys = sorted({incident.key for incident in found})
    for first in range(0, len(keys), _KEYS_A_QUERY):
        for row in reader.execute(_ALIKE, keys=keys[first : first + _KEYS_A_QUERY]):
            if row.is_open or row.kind in _OF_FILLS:
                yield row.symbol, row.kind, row.key


def _row(account: str, incident: Incident) -> dict[str, Any]:
    return {
        "account": account,
        "symbol": incident.symbol,
        "kind": incident.kind.value,
        "key": incident.key,
        "halts": incident.kind.halts,
        "reason": incident.reason,
        "details": dict(incident.details),
        "opened_at_ms": wall_ms(),
    }


def _row_now(account: str, incident: Incident) -> dict[str, Any]:
    symbol, kind, key = _name(incident)
    return {"of_account": account, "of_symbol": symbol, "of_kind": kind, "of_key": key, "at_ms": wall_ms()}


def _name(incident: Incident) -> tuple[str, str, str]:
    return incident.symbol, incident.kind.value, incident.key
