"""The state that status and health show of a symbol: values in JSON, words in tables."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.wiring.symbol_status import SymbolStatus, read_status
from tasks import app
from tasks.engine import worker_context as runtime_module
from tasks.orchestrators.factory import MultiSymbolTradingOrchestrator
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.services.chain import AdvanceSymbol

ENDS, SHUT = "XAUUSD", "BTCUSD"
CANDLES = 60
SESSION = {"kind": "weekly", "timezone": "UTC", "opens": "tue 00:00", "closes": "fri 20:00"}


@pytest.fixture
def system(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[TradingSystem]:
    """A system of a recording of an hour, and of one that plays on a Monday though the market opens on Tuesday."""
    path = write_candles(tmp_path / "gold.csv", generated_candles(ENDS, CANDLES, seed=3))
    system = make_system({ENDS: file_symbol(path), SHUT: file_symbol(path, session=SESSION)})
    runtime_module._runtime_of.cache_clear()
    with system.as_environment():
        yield system
    runtime_module._runtime_of.cache_clear()


def tick(symbol: str, times: int = 1) -> None:
    for _ in range(times):
        runtime_module.runtime().pipeline(symbol).advance(AdvanceSymbol(symbol))


def status(system: TradingSystem, symbol: str) -> SymbolStatus:
    stores = system.stores()
    (row,) = read_status(stores.redis, stores.ledger, system.config, system.settings.namespace, names=[symbol])
    return row


def test_recording_warms_up_runs_and_ends(system: TradingSystem) -> None:
    assert status(system, ENDS).state == "starting"
    tick(ENDS)
    first = status(system, ENDS)
    tick(ENDS, 40)
    running = status(system, ENDS)
    tick(ENDS, CANDLES)
    ended = status(system, ENDS)

    assert (first.state, first.warmup_candles is None) == ("warming_up", False)
    assert first.state_words.startswith("warming up")
    assert (running.state, running.warmup_candles) == ("running", None)
    assert (ended.state, ended.state_words) == ("recording_ended", "recording ended")
    system.stores().redis.hset(f"{system.settings.namespace}:state:{ENDS}", "fetched_at_ms", 1_000)
    assert status(system, ENDS).state == "recording_ended"
    health = MultiSymbolTradingOrchestrator.of_cluster(runtime_module.runtime(), app).check_health()["symbols"][ENDS]
    assert health["phase"] == "recording_ended"


def test_closed_market_says_when_it_opens(system: TradingSystem) -> None:
    tick(SHUT)

    found = status(system, SHUT)

    assert (found.state, found.state_words) == ("market_closed", "market closed until 2026-03-03 00:00 UTC")
    assert found.as_dict()["market_opens_ms"] == 1_772_496_000_000
