"""Read one candle from the ledger: its decisions, their orders, and the fills of the positions that they made."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection, Engine

from adapters.database import read_only
from adapters.ledger.queries.reads import FOLDED, mine
from adapters.ledger.queries.recorded_rows import Row
from adapters.ledger.tables import Origin, decisions, fills, intents
from trading.orders.orders import PROTECTIVE_LEGS, Leg, Side, protective_order_id
from trading.tolerance import FOREIGN_ROUNDING

_DECIDED = (
    sa.select(decisions)
    .where(
        mine(decisions, "symbol"),
        decisions.c.open_ms.between(bindparam("first_ms"), bindparam("last_ms")),
    )
    .order_by(decisions.c.id)
)
_ORDERED = sa.select(intents).where(
    mine(intents, "symbol"),
    intents.c.decided_ms >= bindparam("first_ms"),
    intents.c.decision_id.in_(bindparam("ids", expanding=True)),
)
_ORDERED_BESIDE = (
    sa.select(intents)
    .where(
        mine(intents, "symbol"),
        intents.c.decided_ms.in_(
            sa.select(intents.c.decided_ms).where(intents.c.client_order_id.in_(bindparam("ids", expanding=True)))
        ),
    )
    .order_by(intents.c.decision_id, intents.c.sequence)
)


def _of_positions() -> sa.Select[tuple[object, ...]]:
    """Return the fills from flat before the orders to flat after them."""
    signed = sa.case((fills.c.side == Side.BUY.value, fills.c.units), else_=-fills.c.units)
    held = (
        sa.select(
            fills.c.fill_id,
            fills.c.client_order_id,
            sa.func.row_number().over(order_by=FOLDED).label("place"),
            sa.func.sum(signed).over(order_by=FOLDED).label("held"),
        )
        .where(mine(fills, "symbol", "strategy"))
        .cte("held")
    )
    largest = sa.func.max(sa.func.abs(held.c.held)).over(order_by=held.c.place)
    run = sa.select(held, largest.label("largest")).cte("run")
    own = (
        sa.select(sa.func.min(run.c.place).label("first"), sa.func.max(run.c.place).label("last"))
        .where(run.c.client_order_id.in_(bindparam("ids", expanding=True)))
        .cte("own")
    )
    # relative to the largest position before: the sums above are not exact
    is_flat = sa.func.abs(run.c.held) <= FOREIGN_ROUNDING * run.c.largest
    flat = (
        sa.select(
            sa.func.max(sa.case((run.c.place < own.c.first, run.c.place))).label("before"),
            sa.func.min(sa.case((run.c.place >= own.c.last, run.c.place))).label("after"),
        )
        .select_from(run.join(own, sa.true()))
        .where(is_flat)
        .cte("flat")
    )
    return (
        sa.select(fills)
        .select_from(
            fills.join(run, sa.and_(run.c.fill_id == fills.c.fill_id, mine(fills)))
            .join(own, own.c.first.is_not(None))
            .join(flat, run.c.place > sa.func.coalesce(flat.c.before, 0))
        )
        .where(run.c.place <= sa.func.coalesce(flat.c.after, run.c.place))
        .order_by(*FOLDED)
    )


_FILLED = _of_positions()


class CandleBooks(Struct, frozen=True):
    """The records of one account about a candle; rows as its tables have them.

    Attributes:
        decisions: On the candle or by a person after it, in the order in which they were made.
        intents: What they planned, and the orders of the same positions.
        fills: Of those positions from flat to flat, in the order in which they make them.
    """

    decisions: Sequence[Row]
    intents: Sequence[Row]
    fills: Sequence[Row]


def decided_within(engine: Engine, account: str, symbol: str, first_ms: int, last_ms: int) -> list[Row]:
    """Return the decisions on signals of candles that opened between two times, both included."""
    parameters = {"account": account, "symbol": symbol, "first_ms": first_ms, "last_ms": last_ms}
    with read_only(engine).connect() as connection:
        return [row for row in _rows(connection, _DECIDED, parameters) if row["origin"] == Origin.SIGNAL.value]


def read_candle_books(
    engine: Engine, account: str, symbol: str, first_ms: int, last_ms: int, *, correlation_id: str
) -> CandleBooks:
    """Read the records about one candle only.

    Args:
        first_ms: Open time of the candle.
        last_ms: Its last millisecond.
        correlation_id: Of the candle.
    """
    of = {"account": account, "symbol": symbol}
    span = {**of, "first_ms": first_ms, "last_ms": last_ms}
    with read_only(engine).connect() as connection:
        decided = [row for row in _rows(connection, _DECIDED, span) if row["correlation_id"] == correlation_id]
        if not decided:
            return CandleBooks([], [], [])
        parameters = {**of, "first_ms": first_ms, "ids": [row["id"] for row in decided]}
        ordered = _rows(connection, _ORDERED, parameters)
        filled = [
            row
            for strategy in sorted({row["strategy"] for row in ordered})
            for row in _rows(connection, _FILLED, {**of, "strategy": strategy, "ids": _ids(ordered, strategy)})
        ]
        known = {row["client_order_id"] for row in (*ordered, *filled)}
        beside = _rows(connection, _ORDERED_BESIDE, {**of, "ids": sorted(known)})
    return CandleBooks(decided, beside, sorted(filled, key=lambda row: (row["sequence"], row["adjustment"])))


def _ids(ordered: Iterable[Row], strategy: str) -> list[str]:
    """Return the ids of a strategy's orders, and of the stops and targets that came with them."""
    found = []
    for row in ordered:
        if row["strategy"] == strategy:
            found.append(row["client_order_id"])
            if row["leg"] == Leg.ENTRY.value:
                found += [protective_order_id(row["client_order_id"], leg) for leg in sorted(PROTECTIVE_LEGS)]
    return found


def _rows(connection: Connection, statement: sa.Select[tuple[object, ...]], parameters: Row) -> list[Row]:
    return [dict(row) for row in connection.execute(statement, parameters).mappings()]
