"""Positions recomputed from all fills in the order of their sequence, after a fill arrived behind a later one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from adapters.ledger.queries.reads import FOLDED, mine
from adapters.ledger.rows import fill_of
from adapters.ledger.tables import fills, intents, orders, stop_moves
from adapters.ledger.transaction import Transaction
from trading.orders.orders import Fill, Leg, OrderState
from trading.portfolio.positions import Position, PositionFold
from trading.structs import replace

MOVED_STOP = (
    sa.select(stop_moves.c.price_after)
    .where(
        stop_moves.c.account == intents.c.account,
        stop_moves.c.entry_id == intents.c.client_order_id,
        stop_moves.c.refusal.is_(None),
    )
    .order_by(stop_moves.c.open_ms.desc())
    .limit(1)
    .scalar_subquery()
    .label("moved_stop")
)
"""The moved stop price of an entry; null where its stop was never moved."""
_MOVES = (
    sa.select(stop_moves.c.entry_id, stop_moves.c.open_ms, stop_moves.c.price_after)
    .where(mine(stop_moves, "symbol", "strategy"), stop_moves.c.refusal.is_(None))
    .order_by(stop_moves.c.open_ms)
)
_HISTORY = (
    sa.select(fills, intents.c.stop_loss, intents.c.take_profit)
    .select_from(fills.outerjoin(intents, intents.c.client_order_id == fills.c.client_order_id))
    .where(mine(fills, "symbol", "strategy"))
    .order_by(*FOLDED)
)
_REALISED = (
    sa.update(fills)
    .where(fills.c.account == bindparam("of_account"), fills.c.fill_id == bindparam("of_fill"))
    .values(realised=bindparam("new_realised"))
)
_STATE = (
    sa.update(orders)
    .where(orders.c.account == bindparam("of_account"), orders.c.client_order_id == bindparam("of_order"))
    .values(state=bindparam("new_state"))
)


class Step(Struct, frozen=True):
    """One fill, the position before and after it, and the realised profit that its row has."""

    fill: Fill
    before: Position
    after: Position
    stored_realised: float

    @property
    def realised(self) -> float:
        return self.after.realised - self.before.realised


def fold(connection: Connection, account: str, symbol: str, strategy: str) -> Iterator[Step]:
    """Yield each fill of a strategy on a symbol in the order of sequence, with the position that it makes.

    The stop after an entry's fill is its present one: a fill that came after the stop was moved left it there.
    """
    key = {"account": account, "symbol": symbol, "strategy": strategy}
    moved = {row.entry_id: row.price_after for row in connection.execute(_MOVES, key)}
    folded = PositionFold(symbol, strategy)
    with connection.execute(_HISTORY, key) as rows:
        for row in rows:
            fill = fill_of(row._mapping)
            position = folded.position
            after = folded.add(fill)
            if fill.leg is Leg.ENTRY and after.units * fill.side.sign > 0:
                stop_loss = moved.get(fill.client_order_id, row.stop_loss)
                after = replace(after, stop_loss=stop_loss, take_profit=row.take_profit)
            folded.position = after
            yield Step(fill, position, after, row.realised)


def refold(tx: Transaction, symbol: str, strategy: str) -> Mapping[str, Step]:
    """Correct the realised profits of fills and the states of protective orders, and return all steps by fill id.

    The caller writes the position: it is the one after the last step.
    """
    steps = {step.fill.fill_id: step for step in fold(tx.connection, tx.account, symbol, strategy)}
    wrong = [step for step in steps.values() if step.realised != step.stored_realised]
    if wrong:
        rows = [{"of_account": tx.account, "of_fill": one.fill.fill_id, "new_realised": one.realised} for one in wrong]
        tx.write(_REALISED, rows)
    ends = {step.fill.client_order_id: step for step in steps.values() if step.fill.leg not in (Leg.ENTRY, Leg.EXIT)}
    if ends:
        tx.write(_STATE, [_ended(tx.account, step) for step in ends.values()])
    return steps


def openers(steps: Iterable[Step]) -> set[str]:
    """Return the ids of the entries of the position that is open after the last step."""
    ids: set[str] = set()
    for step in steps:
        if not step.after.is_open or step.after.units * step.before.units < 0:
            ids.clear()
        if step.fill.leg is Leg.ENTRY and step.after.units * step.fill.side.sign > 0:
            ids.add(step.fill.client_order_id)
    return ids


def _ended(account: str, step: Step) -> dict[str, Any]:
    state = OrderState.PARTIALLY_FILLED if step.after.is_open else OrderState.FILLED
    return {"of_account": account, "of_order": step.fill.client_order_id, "new_state": state.value}
