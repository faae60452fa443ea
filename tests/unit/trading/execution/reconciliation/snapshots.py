"""Orders, positions, and snapshots of ledger and venue, for the tests of reconciliation."""

from collections.abc import Mapping

from trading.execution.reconciliation import LedgerSnapshot, SignalAgeLimit, VenueSnapshot
from trading.lifecycle import DesiredState
from trading.orders.intents import Intent
from trading.orders.orders import Leg, OpenOrder, OrderRequest, OrderState, Side, VenueOrder, client_order_id
from trading.portfolio.positions import Position, StopMove
from trading.structs import replace

T0_MS, MINUTE_MS = 1_774_360_800_000, 60_000
FRESH = SignalAgeLimit(T0_MS + 2 * MINUTE_MS, 3 * MINUTE_MS)
LONG = Position("XAUUSD", "cross", 2.0, 100.0, T0_MS, stop_loss=95.0)
FLAT = Position("XAUUSD", "cross")
STOP = OpenOrder("XAUUSD-1774360800-s-0123456789", "v7", "XAUUSD", Side.SELL, 2.0, 95.0)
ENTRY_ID = "XAUUSD-1774360800-e-0123456789"
MOVED = replace(LONG, stop_loss=97.0)
MOVE = StopMove("XAUUSD", "cross", T0_MS + MINUTE_MS, ENTRY_ID, 95.0, 97.0, "trailing")
O = OrderState  # noqa: E741  # the tables below are read by column


def intent(
    leg: Leg = Leg.ENTRY,
    state: OrderState = OrderState.SUBMITTING,
    *,
    open_ms: int = T0_MS,
    side: Side = Side.BUY,
    filled_units: float = 0.0,
    ago_s: float = 60.0,
) -> Intent:
    identity = client_order_id("main", "XAUUSD", "cross", open_ms, leg)
    request = OrderRequest(identity, "XAUUSD", "cross", leg, side, 2.0, 100.0, open_ms + MINUTE_MS)
    attempt = 0 if state is O.PLANNED else 1
    return Intent(request, state, None, attempt, filled_units, ago_s)


def ledger(*intents: Intent, position: Position = FLAT, **fields: object) -> LedgerSnapshot:
    side = LedgerSnapshot("XAUUSD", intents, [position], DesiredState.RUNNING, owners=frozenset({"cross"}))
    return replace(side, **fields)  # type: ignore[arg-type]  # each test names the fields it changes


def order_of(one: Intent, state: OrderState, filled_units: float = 0.0) -> VenueOrder:
    return VenueOrder(one.request.client_order_id, "v1", state, filled_units)


def venue(answers: Mapping[Intent, VenueOrder | None] | None = None, **fields: object) -> VenueSnapshot:
    by_id = {one.request.client_order_id: answer for one, answer in (answers or {}).items()}
    return replace(VenueSnapshot(by_id), **fields)  # type: ignore[arg-type]  # the same
