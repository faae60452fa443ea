"""Columns with the restrictions of a symbol: the inputs of `trading.trading_state.permissions`, read under the lock."""

from typing import Any

import sqlalchemy as sa

from adapters.ledger.queries.reads import IS_OPEN, mine
from adapters.ledger.tables import incidents, positions, symbols
from adapters.ledger.transaction import Reader
from trading.incidents.incident import IncidentKind
from trading.lifecycle import DesiredState
from trading.trading_state import Permissions, permissions

_WHY = sa.select(sa.func.min(incidents.c.reason)).where(IS_OPEN)
_WHY_OF_SYMBOL = _WHY.where(mine(incidents, "symbol"))

DESIRED = sa.select(symbols.c.desired).where(mine(symbols, "symbol")).scalar_subquery().label("desired")
"""None for a symbol whose desired state was never set; see `desired_of`."""

HALTED = _WHY_OF_SYMBOL.where(incidents.c.halts).scalar_subquery().label("halted")
QUARANTINED = (
    _WHY_OF_SYMBOL.where(incidents.c.kind == IncidentKind.QUARANTINED.value).scalar_subquery().label("quarantined")
)
UNPROTECTED = (
    _WHY_OF_SYMBOL.where(incidents.c.kind == IncidentKind.UNPROTECTED.value).scalar_subquery().label("unprotected")
)
LATCHED = (
    _WHY.where(mine(incidents), incidents.c.kind == IncidentKind.MAX_DRAWDOWN.value).scalar_subquery().label("latched")
)
"""Of the whole account, whichever symbol reached the drawdown."""


IS_UNPROTECTED = sa.exists().where(
    IS_OPEN,
    incidents.c.kind == IncidentKind.UNPROTECTED.value,
    incidents.c.account == positions.c.account,
    incidents.c.symbol == positions.c.symbol,
    incidents.c.key == positions.c.strategy,
)
"""Condition on a row of `positions`: its stop is not at the venue, so all of its value may be lost."""


_RESTRICTIONS = sa.select(DESIRED, HALTED, QUARANTINED, UNPROTECTED, LATCHED)


def permissions_of(reader: Reader, symbol: str) -> Permissions:
    """Return the actions that the recorded state of a symbol and of its account allows."""
    row = reader.execute(_RESTRICTIONS, symbol=symbol).one()
    return permissions(
        desired_of(row),
        halted=row.halted,
        quarantined=row.quarantined,
        unprotected=row.unprotected,
        latched=row.latched,
    )


def desired_of(row: Any) -> DesiredState:
    """Return the desired state of a symbol, from a row with `DESIRED`."""
    return DesiredState(row.desired or DesiredState.RUNNING)
