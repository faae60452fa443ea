"""An operator's actions on an incident, as tasks on the symbol's queue that query the venue."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.wiring.venues import open_venues
from tasks import reconcile
from tasks.engine import worker_context
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.errors import Rejected, UnknownSymbol
from trading.events.event import Event, EventType
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Leg, OrderRequest, OrderState, Side, client_order_id
from trading.ports.venue import Venue
from trading.risk.verdict import PlannedOrder, RiskDecision
from trading.services.chain import AdvanceSymbol

SYMBOL = "XAUUSD"
STRATEGY = "sma_cross"
CANDLES = 60


@pytest.fixture
def system(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[TradingSystem]:
    """A system whose tasks run in this process, with half of its candles decided."""
    candles = generated_candles(SYMBOL, CANDLES, seed=3)
    path = write_candles(tmp_path / "gold.csv", candles)
    system = make_system({SYMBOL: file_symbol(path, venue={"kind": "paper", "fill_at": "close"})})
    worker_context._runtime_of.cache_clear()
    with system.as_environment():
        pipeline = worker_context.runtime().pipeline(SYMBOL)
        for _ in range(10):
            pipeline.advance(AdvanceSymbol(SYMBOL))
        yield system
    worker_context._runtime_of.cache_clear()


@pytest.fixture
def venue(system: TradingSystem) -> Venue:
    return open_venues(system.settings, system.config.symbols)[SYMBOL]


def order_of(system: TradingSystem, *, account: str = "test", at: int = 100) -> OrderRequest:
    cursor_ms = system.cursor_ms(SYMBOL) or 0
    open_ms = cursor_ms + at
    identity = client_order_id(account, SYMBOL, STRATEGY, open_ms, Leg.ENTRY)
    return OrderRequest(identity, SYMBOL, STRATEGY, Leg.ENTRY, Side.BUY, 2.0, 100.0, open_ms + 60_000)


def by_hand(system: TradingSystem, venue: Venue) -> int:
    """Buy two units by hand, let the comparison find it, and return the number of the mismatch."""
    venue.submit(order_of(system, account="by-hand"))
    assert reconcile.reconcile.run(SYMBOL)["outcome"] == "not settled"
    rows = system.stores().ledger.incidents(SYMBOL)
    assert [row["kind"] for row in rows] == ["position_mismatch", "foreign_fill"]
    return int(rows[0]["id"])


def events_of(system: TradingSystem, kind: EventType) -> list[Event]:
    return [event for _, _, event in system.stores().bus.recent(100) if event.type is kind]


def test_resolve_with_adoption_books_closes_and_reports_and_the_symbol_agrees(
    system: TradingSystem, venue: Venue
) -> None:
    identity = by_hand(system, venue)
    row = reconcile.resolve_incident.run(identity, "mine", symbol=SYMBOL, adopt=True, by="ann")

    assert row is not None
    assert (row["strategy"], row["closed"], row["resolution"]) == (
        STRATEGY,
        [identity - 1, identity],
        "adopted by ann: mine",
    )
    assert [step.split(" at ")[0] for step in row["adopted"]] == ["entry: buy 2"]
    assert len(events_of(system, EventType.INCIDENT_RESOLVED)) == 2
    [event] = events_of(system, EventType.POSITION_MODIFIED)
    assert (event.reason, event.details["adopted"]) == ("adopted by ann: mine", row["adopted"])
    assert reconcile.reconcile.run(SYMBOL)["outcome"] == "agreed"
    assert reconcile.resolve_incident.run(identity, "again", symbol=SYMBOL, adopt=True) is None


def test_resolve_with_adoption_needs_the_symbol_that_the_incident_is_of(system: TradingSystem, venue: Venue) -> None:
    identity = by_hand(system, venue)
    for symbol in (None, "BTCUSD"):
        with pytest.raises(Rejected, match="send symbol=XAUUSD"):
            reconcile.resolve_incident.run(identity, "mine", symbol=symbol, adopt=True)
    assert len(system.stores().ledger.incidents(SYMBOL)) == 2


def test_resolve_with_adoption_of_a_symbol_that_is_not_configured_reports_it(system: TradingSystem) -> None:
    ledger = system.stores().ledger
    ledger.open_incidents([Incident(IncidentKind.POSITION_MISMATCH, "EURUSD", "position", "0 here, 1 there")])
    with pytest.raises(UnknownSymbol, match="EURUSD"):
        reconcile.resolve_incident.run(ledger.incidents()[0]["id"], "mine", symbol="EURUSD", adopt=True)


@pytest.mark.parametrize("has_it", [False, True])
def test_resolve_of_a_lost_order_queries_the_venue_once_more(
    system: TradingSystem, venue: Venue, *, has_it: bool
) -> None:
    ledger, request = system.stores().ledger, order_of(system)
    ledger.decide(
        SYMBOL,
        STRATEGY,
        request.decided_ms - 60_000,
        lambda _: RiskDecision("ok", "asked for by a test", (PlannedOrder(request, 1.0),)),
        correlation_id="c",
    )
    ledger.mark(OrderUpdate(request.client_order_id, OrderState.ACCEPTED, "v1"))
    if has_it:
        venue.submit(request)
    ledger.open_incidents([Incident(IncidentKind.ORDER_LOST, SYMBOL, request.client_order_id, "gone")])
    row = reconcile.resolve_incident.run(ledger.incidents()[0]["id"], "asked them", symbol=SYMBOL)

    assert row is not None
    assert row.get("found", "") == ("the venue has the order: filled, 2 filled; it is managed again" if has_it else "")
    expected = OrderState.ACCEPTED if has_it else OrderState.EXPIRED
    assert ledger.order_states([request.client_order_id]) == {request.client_order_id: expected}
    if has_it:
        reconcile.reconcile.run(SYMBOL)
        assert sum(position.units for position in ledger.positions()) == 2.0


def test_flatten_task_closes_and_reports_what_holds(system: TradingSystem, venue: Venue) -> None:
    identity = by_hand(system, venue)
    refused = reconcile.flatten.run(SYMBOL, "enough")
    assert (refused["outcome"], refused["units"]) == ("refused", 0.0)
    reconcile.resolve_incident.run(identity, "mine", symbol=SYMBOL, adopt=True)
    system.stores().ledger.set_desired(SYMBOL, DesiredState.PAUSED, reason="news")
    answer = reconcile.flatten.run(SYMBOL, "enough")

    assert (answer["outcome"], answer["units"], answer["desired"]) == ("flat", 0.0, "paused")
    assert list(venue.positions()) == []
    assert venue.sync(SYMBOL, Candles.empty()) == 2
    assert [event.details["leg"] for event in events_of(system, EventType.ORDER_FILLED)] == ["exit"]
