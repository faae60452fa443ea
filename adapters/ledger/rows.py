"""Values of `trading/` from rows of the ledger's tables."""

from collections.abc import Mapping
from typing import Any

from adapters.clock import now_ms as wall_ms
from trading.execution.fill_booking import BookedOrder
from trading.orders.equity_size import EquitySize
from trading.orders.intents import Intent
from trading.orders.orders import Fill, Leg, OrderRequest, OrderState, Side
from trading.portfolio.positions import Position, StopMove

_FILL, _REQUEST = Fill.__struct_fields__, OrderRequest.__struct_fields__
"""Columns of `fills` and `intents` that have the name of a field."""


def position_of(row: Any) -> Position:
    """Return the position of a row of the table `positions`."""
    return Position(
        row.symbol,
        row.strategy,
        row.units,
        row.average_price,
        row.opened_ms,
        row.realised,
        row.stop_loss,
        row.take_profit,
    )


def request_of_intent(row: Mapping[Any, Any]) -> OrderRequest:
    """Return the order request of a row of the table `intents`."""
    read = {"leg": Leg(row["leg"]), "side": Side(row["side"]), "at_fill": equity_size_of(row["at_fill"])}
    return OrderRequest(**{name: row[name] for name in _REQUEST} | read)


def equity_size_of(value: Mapping[str, Any] | None) -> EquitySize | None:
    """Return a size from its JSON; None for null."""
    return None if value is None else EquitySize(**value)


def intent_of(row: Any) -> Intent:
    """Return the intent of a row of the table `intents`."""
    claimed_ms = row.claimed_at_ms or 0  # null: it was sent by a version without claims, long ago
    ago_s = max(0.0, (wall_ms() - claimed_ms) / 1000) if row.attempt else 0.0
    state = OrderState(row.state)
    return Intent(request_of_intent(row._mapping), state, row.venue_order_id, row.attempt, row.filled_units, ago_s)


def order_of_intent(row: Any) -> BookedOrder:
    """Return the order of a row of the table `intents` with `MOVED_STOP`; its stop is the present one."""
    return BookedOrder(
        client_order_id=row.client_order_id,
        strategy=row.strategy,
        leg=Leg(row.leg),
        side=Side(row.side),
        units=row.units,
        market_ms=row.decided_ms,
        state=OrderState(row.state),
        venue_order_id=row.venue_order_id,
        filled_units=row.filled_units,
        stop_loss=row.stop_loss if row.moved_stop is None else row.moved_stop,
        take_profit=row.take_profit,
        risk=row.risk,
        risk_reserved=row.risk_reserved,
        correlation_id=row.correlation_id,
        notional=request_of_intent(row._mapping).notional,
        notional_reserved=row.notional_reserved,
        attempt=row.attempt,
        claimed_at_ms=row.claimed_at_ms,
        note=row.note,
        is_sized_at_fill=row.at_fill is not None,
    )


def fill_of(row: Mapping[Any, Any]) -> Fill:
    """Return the fill of a row of the table `fills`."""
    return Fill(**{name: row[name] for name in _FILL} | {"leg": Leg(row["leg"]), "side": Side(row["side"])})


def move_of(row: Any) -> StopMove:
    """Return the stop move of a row of the table `stop_moves`."""
    return StopMove(
        row.symbol,
        row.strategy,
        row.open_ms,
        row.entry_id,
        row.price_before,
        row.price_after,
        row.reason,
        row.refusal or "",
        rule=row.rule or "",
    )
