"""Desks whose venue rejects exits or loses stops, and what they sent, hold and reported."""

from typing import Any

from tests.fakes import Databases, Desk, planned, system_config
from trading.errors import Rejected
from trading.events.event import EventType
from trading.incidents.incident import IncidentKind
from trading.market.candles import Candles
from trading_orchestrator.testing.candles import SYMBOL, make_candles

SHOWN = 10
BUY, SELL, CLOSE = "buy", "sell", "close"
REFUSED = Rejected("order", "reduce-only is not possible now")
AT_CLOSE = {"kind": "paper", "fill_at": "close"}


def make_desk(databases: Databases, plan: dict[int, str], **options: Any) -> Desk:
    series: Candles = options.pop("tape", make_candles(80))
    config = system_config(planned(plan, stop_distance=50.0), **options)
    desk = Desk(databases, config, series, shown=SHOWN)
    desk.advance()
    return desk


def incidents(desk: Desk) -> list[IncidentKind]:
    return [incident.kind for incident in desk.ledger.incidents_of(SYMBOL)]


def published_incidents(desk: Desk) -> list[str]:
    return [event.details["kind"] for event in desk.events_of(EventType.INCIDENT_OPENED)]


def exits(desk: Desk) -> list[str]:
    """Return the states of the exits in our ledger, the oldest first."""
    rows = [row for row in desk.ledger.orders(SYMBOL, limit=100_000) if row["leg"] == "exit"]
    return [row["state"] for row in sorted(rows, key=lambda row: (row["market_ms"], row["client_order_id"]))]


def held(desk: Desk) -> float:
    return sum(position.units for position in desk.ledger.positions())


def refuse_exits(desk: Desk, count: int) -> None:
    for _ in range(count):
        desk.venue.fail("submit", REFUSED)


def lose_stop(desk: Desk) -> None:
    for order in desk.paper.open_orders(SYMBOL):
        desk.paper.cancel(order.client_order_id)
