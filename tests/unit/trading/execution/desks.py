"""Desks, what they report, and runs to an end, for the tests of order execution."""

from typing import Any

from tests.fakes import Databases, Desk, planned, system_config
from trading.events.event import EventType
from trading.incidents.incident import IncidentKind
from trading.orders.orders import Leg, OrderRequest, Side, client_order_id
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles

SHOWN = 10
STRATEGY = "tests.fakes:PlannedStrategy"
BUY, SELL, CLOSE = "buy", "sell", "close"
LINE = {
    "timeout_before_probability": 0.3,
    "timeout_after_probability": 0.3,
    "server_error_probability": 0.2,
    "rate_limit_probability": 0.2,
    "malformed_probability": 0.2,
    "duplicate_fill_probability": 0.4,
    "shuffled_fills_probability": 0.5,
    "late_fill_probability": 0.5,
    "split_fill_probability": 0.5,
}


def make_desk(databases: Databases, plan: dict[int, str], **options: Any) -> Desk:
    desk_options = {name: options.pop(name) for name in ("fuse", "faults") if name in options}
    config = system_config(planned(plan, stop_distance=0.6, target_distance=1.2), **options)
    return Desk(databases, config, make_candles(60), shown=SHOWN, **desk_options)


def incidents(desk: Desk) -> list[IncidentKind]:
    return [incident.kind for incident in desk.ledger.incidents_of(SYMBOL)]


def published_incidents(desk: Desk) -> list[str]:
    return [event.details["kind"] for event in desk.events_of(EventType.INCIDENT_OPENED)]


def by_hand(leg: Leg = Leg.ENTRY, side: Side = Side.BUY, units: float = 1.0) -> OrderRequest:
    identity = client_order_id("by-hand", SYMBOL, "planned", at_place(SHOWN + 1), leg)
    return OrderRequest(identity, SYMBOL, "by-hand", leg, side, units, 100.0, at_place(SHOWN + 2))


def comparable(desk: Desk) -> dict[str, Any]:
    """Return the books, without what lies may change: which number a fill has at the venue."""
    books = desk.books()
    return {name: books[name] for name in ("decisions", "orders", "fills", "positions", "venue")} | {
        "incidents": incidents(desk)
    }


def stop_events(desk: Desk) -> list[Any]:
    return [event.details["stop_loss"] for event in desk.events if "stop_loss_before" in event.details]
