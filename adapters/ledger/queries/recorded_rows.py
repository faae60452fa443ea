"""The ledger's side of a recorded run: its decisions, orders and fills as they were recorded."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Engine

from adapters.database import read_only
from adapters.ledger.queries.reads import FOLDED, mine
from adapters.ledger.tables import decisions, fills, incidents, intents, orders, stop_moves
from trading.incidents.incident import IncidentKind

Row = dict[str, Any]


class RecordedBooks(Struct, frozen=True):
    """The records of one account at one moment; rows as its tables have them.

    Attributes:
        decisions: In the order in which they were made, with those of operators.
        intents: In the order in which they were planned.
        protective: Stops and targets that were filled.
        fills: In the order in which they make positions.
        moves: Stop moves that were not rejected, oldest first.
        drawdowns: Incidents that stopped all entries, cleared or open, oldest first.
    """

    decisions: Sequence[Row]
    intents: Sequence[Row]
    protective: Sequence[Row]
    fills: Sequence[Row]
    moves: Sequence[Row] = ()
    drawdowns: Sequence[Row] = ()

    def cleared_ms(self) -> list[int]:
        """Return the wall-clock times at which an operator cleared a drawdown, oldest first."""
        return sorted(row["resolved_at_ms"] for row in self.drawdowns if row["resolved_at_ms"] is not None)


def read_recorded_books(engine: Engine, account: str) -> RecordedBooks:
    """Read the books of an account."""

    def chosen(table: sa.Table) -> sa.Select[Any]:
        return sa.select(table).where(mine(table))

    is_planned = sa.exists().where(intents.c.client_order_id == orders.c.client_order_id)
    statements = (
        chosen(decisions).order_by(decisions.c.id),
        chosen(intents).order_by(intents.c.decision_id, intents.c.sequence),
        chosen(orders).where(~is_planned).order_by(orders.c.market_ms),
        chosen(fills).order_by(*FOLDED),
        chosen(stop_moves).where(stop_moves.c.refusal.is_(None)).order_by(stop_moves.c.open_ms),
        chosen(incidents).where(incidents.c.kind == IncidentKind.MAX_DRAWDOWN.value).order_by(incidents.c.id),
    )
    with read_only(engine).connect() as connection:
        parts = [connection.execute(one, {"account": account}).mappings().all() for one in statements]
    return RecordedBooks(*([dict(row) for row in rows] for rows in parts))
