"""Desks and what they sent, hold and reported, for the tests of the fourth stage."""

from typing import Any

from tests.fakes import Databases, Desk, Fuse, planned, system_config
from trading.errors import Rejected
from trading.events.event import EventType
from trading_orchestrator.testing.candles import SYMBOL, make_candles

SHOWN = 10
BUY, SELL, CLOSE = "buy", "sell", "close"
REFUSED = Rejected("margin", "not enough money")


def make_desk(
    databases: Databases, plan: dict[int, str], *, shown: int = SHOWN, fuse: Fuse | None = None, **options: Any
) -> Desk:
    config = system_config(planned(plan, stop_distance=5.0), **options)
    return Desk(databases, config, make_candles(60), shown=shown, fuse=fuse)


def sent(desk: Desk) -> list[tuple[str, str]]:
    """Return (leg, state) of the orders that we decided on, oldest first."""
    rows = sorted(desk.ledger.orders(SYMBOL, limit=1_000), key=lambda row: (row["market_ms"], row["leg"] == "entry"))
    return [(row["leg"], row["state"]) for row in rows if row["leg"] in ("entry", "exit")]


def held(desk: Desk) -> float:
    return sum(position.units for position in desk.ledger.positions())


def told(desk: Desk, *types: EventType) -> list[str]:
    return [event.reason for event in desk.events_of(*types)]
