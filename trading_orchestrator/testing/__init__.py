"""Doubles, fault injection and contract suites for the author of an adapter.

The names below need nothing but the project. The contract suites in `trading_orchestrator.testing.contracts` need
pytest and hypothesis: `pip install 'trading-orchestrator[testing]'`.

`docs/reference/testing.md` lists each name.
"""

from adapters.ledger.memory import MemoryLedger
from adapters.symbol_store.memory import MemoryStore
from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.memory import MemoryVenue
from trading.execution.validated_venue import ValidatedVenue
from trading_orchestrator.testing.candle_market import CandleMarket
from trading_orchestrator.testing.candles import MINUTE_MS, OTHER, START_MS, SYMBOL, at_place, make_candles, place_of
from trading_orchestrator.testing.flaky_store import FlakyStore
from trading_orchestrator.testing.flaky_venue import FlakyVenue
from trading_orchestrator.testing.manual_clock import ManualClock
from trading_orchestrator.testing.scripted_source import ScriptedSource

__all__ = [
    "MINUTE_MS",
    "OTHER",
    "START_MS",
    "SYMBOL",
    "CandleMarket",
    "FaultInjectingVenue",
    "Faults",
    "FlakyStore",
    "FlakyVenue",
    "ManualClock",
    "MemoryLedger",
    "MemoryStore",
    "MemoryVenue",
    "ScriptedSource",
    "ValidatedVenue",
    "at_place",
    "make_candles",
    "place_of",
]
