"""Orders: their states as the venue reports them, and the claims by which one process sends each."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from adapters.clock import now_ms as wall_ms
from adapters.ledger.incidents import open_incidents
from adapters.ledger.position_rebuild import MOVED_STOP
from adapters.ledger.queries.reads import mine, position
from adapters.ledger.queries.restrictions import permissions_of
from adapters.ledger.rows import order_of_intent
from adapters.ledger.tables import intents
from adapters.ledger.transaction import Transaction
from trading.errors import Broken
from trading.execution.fill_booking import BookedOrder
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Leg

_INTENT = sa.select(intents, MOVED_STOP).where(mine(intents, "client_order_id"))
_STATE_OF_INTENT = (
    sa.update(intents)
    .where(intents.c.client_order_id == bindparam("id"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                "state",
                "is_final",
                "venue_order_id",
                "filled_units",
                "risk_reserved",
                "notional_reserved",
                "attempt",
                "claimed_at_ms",
                "note",
            )
        }
    )
)


def mark(tx: Transaction, update: OrderUpdate) -> bool:
    """Record a new state of an order; False, and nothing is recorded, where the update does not hold.

    Raises:
        Broken: No intent has this id, or its state cannot follow the present one.
    """
    row = tx.execute(_INTENT, client_order_id=update.client_order_id).first()
    if row is None:
        raise Broken(f"order {update.client_order_id} was never planned: an order may only follow its intent")
    order = order_of_intent(row)
    was_final = order.state.is_final
    is_applied = order.apply(
        update,
        lambda: position(tx, row.symbol, row.strategy),
        may_be_sent=lambda: _may_be_sent(tx, row.symbol, order.leg),
        at_ms=wall_ms(),
    )
    if is_applied:
        write_order(tx, row.symbol, order)
        if not was_final and (failed := order.failed_exit(position(tx, row.symbol, row.strategy))):
            open_incidents(tx, [failed])
    return is_applied


def _may_be_sent(tx: Transaction, symbol: str, leg: Leg) -> bool:
    """Return whether the state of the symbol still permits such an order."""
    permitted = permissions_of(tx, symbol)
    return permitted.entries if leg is Leg.ENTRY else permitted.exits


def write_order(tx: Transaction, symbol: str, order: BookedOrder) -> None:
    if order.is_intent:
        tx.write(_STATE_OF_INTENT, _state_row(order))
    if order.is_acknowledged:
        tx.write(tx.upserts.orders, _order_row(tx.account, symbol, order))


def _order_row(account: str, symbol: str, order: BookedOrder) -> dict[str, Any]:
    return {
        "account": account,
        "client_order_id": order.client_order_id,
        "symbol": symbol,
        "strategy": order.strategy,
        "leg": order.leg.value,
        "side": order.side.value,
        "venue_order_id": order.venue_order_id,
        "state": order.state.value,
        "filled_units": order.filled_units,
        "market_ms": order.market_ms,
    }


def _state_row(order: BookedOrder) -> dict[str, Any]:
    return {
        "id": order.client_order_id,
        "new_state": order.state.value,
        "new_is_final": order.state.is_final,
        "new_venue_order_id": order.venue_order_id,
        "new_filled_units": order.filled_units,
        "new_risk_reserved": order.risk_reserved,
        "new_notional_reserved": order.notional_reserved,
        "new_attempt": order.attempt,
        "new_claimed_at_ms": order.claimed_at_ms,
        "new_note": order.note,
    }
