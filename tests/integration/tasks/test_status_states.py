"""The state that status and health show of a symbol: values in JSON, words in tables."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from adapters.wiring.symbol_status import SymbolStatus, read_status
from tasks import app
from tasks.engine import worker_context as runtime_module
from tasks.engine.step_wrappers import ServiceCall, run_work
from tasks.orchestrators.factory import MultiSymbolTradingOrchestrator
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.indicators import Indicator
from trading.services.chain import AdvanceSymbol
from trading.strategies import SignalBuilder, Strategy, StrategyFault

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


def test_recording_that_ended_runs_again_when_its_file_grows(system: TradingSystem) -> None:
    candles = generated_candles(ENDS, CANDLES + 5, seed=3)
    path = Path(str(system.config.symbols[ENDS].source.recorded_file))
    write_candles(path, candles[:CANDLES])
    tick(ENDS, CANDLES + 5)
    assert status(system, ENDS).state == "recording_ended"

    write_candles(path, candles)
    tick(ENDS)
    assert status(system, ENDS).state == "running"
    tick(ENDS, 10)

    assert status(system, ENDS).state == "recording_ended"
    assert system.cursor_ms(ENDS) == candles.last_open_ms


class Sometimes(Strategy):
    """Raises on its first candles."""

    left: ClassVar[int] = 2

    def indicators(self) -> dict[str, Indicator]:
        return {}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        if Sometimes.left:
            Sometimes.left -= 1
            raise ValueError("no good candle")
        return SignalBuilder(len(rows))


def test_errors_stay_visible_and_counted_after_they_pass(
    make_system: Callable[..., TradingSystem], tmp_path: Path
) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles(ENDS, CANDLES, seed=3))
    own = f"{__name__}:Sometimes"
    system = make_system({ENDS: file_symbol(path, strategy={"name": own})})
    Sometimes.left = 2
    runtime_module._runtime_of.cache_clear()
    with system.as_environment():
        here = runtime_module.runtime()
        call = ServiceCall(here, ENDS, lambda pipeline: pipeline.advance(AdvanceSymbol(ENDS)))
        while Sometimes.left:
            with contextlib.suppress(StrategyFault):
                run_work(call)
        failing = status(system, ENDS)
        run_work(call)
        passed = status(system, ENDS)
        health = MultiSymbolTradingOrchestrator.of_cluster(here, app).check_health()["symbols"][ENDS]

    assert (failing.state, failing.error.startswith("StrategyFault")) == ("error", True)
    assert (passed.error, passed.state) == ("", "running")
    assert passed.last_error is not None
    assert (passed.last_error.service, passed.last_error.count) == ("StrategyEvaluationService", 2)
    assert passed.last_error.at_ms > 1_700_000_000_000
    assert "no good candle" in passed.last_error_words
    assert json.loads(json.dumps(passed.as_dict()))["last_error"]["kind"] == "strategy"
    assert (health["errors"], health["last_error"]) == (2, passed.as_dict()["last_error"])
    assert 0 < system.stores().redis.ttl(f"{system.settings.namespace}:errors:{ENDS}") <= 86_400
    runtime_module._runtime_of.cache_clear()


def test_symbol_whose_source_has_shown_no_candle_has_no_candle_time(system: TradingSystem) -> None:
    stores = system.stores()
    stores.redis.hset(f"{system.settings.namespace}:state:{ENDS}", mapping={"cursor_ms": 0, "said_ms": 0})

    found = status(system, ENDS)

    assert (found.candle_ms, found.last_action_ms) == (None, None)


def test_closed_market_reports_when_it_opens(system: TradingSystem) -> None:
    tick(SHUT)

    found = status(system, SHUT)

    assert (found.state, found.state_words) == ("market_closed", "market closed until 2026-03-03 00:00 UTC")
    assert found.as_dict()["market_opens_ms"] == 1_772_496_000_000
