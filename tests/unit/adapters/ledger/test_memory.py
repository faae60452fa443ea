"""Venue and store in memory: the contracts that the paper venue and Redis fulfil."""

from dataclasses import dataclass
from typing import Literal

import pytest

from adapters.ledger.memory import MemoryLedger
from adapters.symbol_store.memory import MemoryStore
from adapters.venues.memory import MemoryVenue
from trading.errors import Rejected
from trading.events.decisions import describe
from trading.events.event import Event
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.orders.fill_terms import FillTerms
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Leg, OrderRequest, OrderState, Side, client_order_id
from trading.risk.verdict import PlannedOrder, RiskDecision
from trading.structs import replace
from trading_orchestrator.testing.candle_market import CandleMarket
from trading_orchestrator.testing.candles import OTHER, SYMBOL
from trading_orchestrator.testing.contracts.store import SymbolStoreContract
from trading_orchestrator.testing.contracts.venue import VenueContract

MINUTE_MS = 60_000
LIMIT = 30
TERMS = FillTerms(spread=0.2, slippage=0.05, commission_bps=2)


@pytest.mark.parametrize("fill_at", ["next_open", "close"])
class TestMemoryVenue(VenueContract):
    @pytest.fixture
    def market(self, fill_at: Literal["next_open", "close"]) -> CandleMarket:
        terms = replace(TERMS, fill_at=fill_at)
        return CandleMarket(MemoryVenue({SYMBOL: terms, OTHER: terms}))


@dataclass
class InMemory:
    window_limit: int = LIMIT

    def __post_init__(self) -> None:
        self.store = MemoryStore(window_limit=LIMIT)
        self.store.now_ms = 1_800_000_000_000

    @property
    def wall_ms(self) -> int:
        return self.store.now_ms

    @wall_ms.setter
    def wall_ms(self, ms: int) -> None:
        self.store.now_ms = ms

    def journal(self, symbol: str) -> dict[int, str]:
        kept = self.store.journal(symbol)
        return dict(zip(kept.open_ms, map(describe, kept.decisions), strict=True))

    def events(self) -> list[Event]:
        return self.store.events


class TestMemoryStore(SymbolStoreContract):
    @pytest.fixture
    def kept(self) -> InMemory:
        return InMemory()


def test_venue_in_memory_rejects_a_symbol_that_it_does_not_trade() -> None:
    with pytest.raises(Rejected, match=r"found symbol XAGUSD; expected one of XAUUSD"):
        MemoryVenue({SYMBOL: TERMS}).sync("XAGUSD", Candles.empty())


@pytest.mark.parametrize(
    ("desired", "kind", "claimed"),
    [
        (DesiredState.RUNNING, None, {Leg.ENTRY, Leg.EXIT}),
        (DesiredState.PAUSED, None, {Leg.EXIT}),
        (DesiredState.STOPPED, None, set()),
        (DesiredState.RUNNING, IncidentKind.POSITION_MISMATCH, set()),
        (DesiredState.RUNNING, IncidentKind.MAX_DRAWDOWN, {Leg.EXIT}),
        (DesiredState.RUNNING, IncidentKind.STUCK, {Leg.ENTRY, Leg.EXIT}),
    ],
)
def test_ledger_in_memory_lets_claim_only_what_the_trading_state_allows(
    desired: DesiredState, kind: IncidentKind | None, claimed: set[Leg]
) -> None:
    ledger = MemoryLedger("main", 1_000.0)
    orders = {leg: planned(leg) for leg in (Leg.ENTRY, Leg.EXIT)}
    for at, order in enumerate(orders.values()):
        verdict = RiskDecision("ok", "test", (order,))
        ledger.decide(SYMBOL, "cross", at * MINUTE_MS, lambda _, said=verdict: said, correlation_id="test")  # type: ignore[misc]
    ledger.set_desired(SYMBOL, desired, reason="test")
    if kind is not None:
        ledger.open_incidents([Incident(kind, SYMBOL, "test", "test")])

    updates = {
        leg: OrderUpdate(order.request.client_order_id, OrderState.SUBMITTING, claims=2)
        for leg, order in orders.items()
    }

    assert {leg for leg, update in updates.items() if ledger.mark(update)} == claimed


def planned(leg: Leg) -> PlannedOrder:
    identity = client_order_id("main", SYMBOL, "cross", 0, leg)
    return PlannedOrder(OrderRequest(identity, SYMBOL, "cross", leg, Side.BUY, 1.0, 100.0, MINUTE_MS))
