"""The contract of every venue holds behind each fault, for a caller that asks again."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from sqlalchemy.engine import Engine

from adapters.venues.fault_injection.venue import FaultInjectingVenue
from adapters.venues.paper import PaperVenue
from tests.integration.venues.fault_injection.callers import ALL_LINE, LINE, NONE, TERMS, AskAgain, Clock
from trading.execution.validated_venue import ValidatedVenue
from trading.structs import replace
from trading_orchestrator.testing.candle_market import CandleMarket
from trading_orchestrator.testing.candles import OTHER, SYMBOL
from trading_orchestrator.testing.contracts.venue import VenueContract


@dataclass
class LyingMarket(CandleMarket):
    """A market behind a venue that lies, asked by a caller who knows that."""

    clock: Clock = field(kw_only=True)

    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)


@pytest.mark.parametrize(
    ("lies", "fill_at"),
    [*((name, "next_open") for name in [*LINE, "all", "none"]), ("all", "close"), ("timeout_after", "close")],
)
class TestLyingVenueContract(VenueContract):
    @pytest.fixture
    def market(self, engine: Engine, lies: str, fill_at: Literal["next_open", "close"]) -> LyingMarket:
        terms, clock = replace(TERMS, fill_at=fill_at), Clock()
        faults = {**LINE, "all": ALL_LINE, "none": NONE}[lies]
        paper = PaperVenue(engine, {SYMBOL: terms, OTHER: terms})
        lying = FaultInjectingVenue(paper, faults, now_s=clock, sleep_s=clock.sleep)
        return LyingMarket(AskAgain(ValidatedVenue(lying), clock.sleep), clock=clock)
