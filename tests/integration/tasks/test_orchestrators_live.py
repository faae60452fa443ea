"""The orchestrators for a Python program: services in one process, and the view on a cluster. Real Redis and ledger."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trading_orchestrator
from tests.fixtures.apps.running import ROOT
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from tests.fixtures.strategies.moody import RAISES, WELL
from trading.lifecycle import DesiredState
from trading_orchestrator import MultiSymbolTradingOrchestrator

GOLD, BITCOIN = "XAUUSD", "BTCUSD"
COUNT = 300
NAMES = ["DataFetchingService", "IndicatorCalculationService", "StrategyEvaluationService", "TradeExecutionService"]


@pytest.fixture
def system(tmp_path: Path, own_redis: RedisServer) -> Iterator[TradingSystem]:
    """Gold, whose mood can be set, and bitcoin, both as fast as they go."""
    symbols = {}
    for name in (GOLD, BITCOIN):
        path = write_candles(tmp_path / f"{name}.csv", generated_candles(name, COUNT))
        symbols[name] = file_symbol(path)
    moody = {"name": "tests.fixtures.strategies.moody:Moody", "params": {"mood": str(tmp_path / "mood")}}
    symbols[GOLD]["strategy"] = moody
    made = TradingSystem(tmp_path / "system", own_redis, symbols)
    with made.as_environment():
        yield made
    made.stop()


class Running:
    """`run` in a thread of its own: everything of it happens there, as in a program that only trades."""

    def __init__(self, orchestrator: MultiSymbolTradingOrchestrator) -> None:
        self._orchestrator = orchestrator
        self._thread = threading.Thread(target=orchestrator.run, kwargs={"check_interval": 0.05})

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._orchestrator.end()
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_run_in_one_process_decides_every_candle_and_recovers_a_strategy_that_fails_for_a_while(
    system: TradingSystem, tmp_path: Path
) -> None:
    (tmp_path / "mood").write_text(RAISES, encoding="utf-8")
    with Running(MultiSymbolTradingOrchestrator.local(system.settings)):
        system.wait_until(lambda: len(system.journal(BITCOIN)) >= COUNT - 30, "bitcoin trades on beside sick gold")
        system.wait_until(lambda: bool(actions(system, GOLD)), "something is done about gold")
        (tmp_path / "mood").write_text(WELL, encoding="utf-8")
        system.wait_until(lambda: len(system.journal(GOLD)) >= COUNT - 30, "gold is healed")
        system.wait_until(
            lambda: MultiSymbolTradingOrchestrator.connect(system.settings).check_health()["is_healthy"], "all are well"
        )

    kind, reason = actions(system, GOLD)[0]
    assert kind == "SERVICE_STOPPED"
    assert reason.startswith(
        f"restart 1 of 3: StrategyFault: {GOLD}: strategy tests.fixtures.strategies.moody:Moody: signals from "
    )
    assert ": ValueError: in a bad mood; " in reason
    assert actions(system, BITCOIN) == []
    ledger = system.stores().ledger
    assert {symbol: ledger.desired(symbol) for symbol in (GOLD, BITCOIN)} == dict.fromkeys(
        (GOLD, BITCOIN), DesiredState.RUNNING
    )
    assert ledger.fills(BITCOIN)


def actions(system: TradingSystem, symbol: str) -> list[tuple[str, str]]:
    """Return what the ladder did about a symbol."""
    events = [event for _, _, event in system.stores().bus.recent(10_000) if event.symbol == symbol]
    return [(event.type.value, event.reason) for event in events if "attempt" in event.details]


def test_cluster_without_workers_reports_what_is_missing_with_the_keys_of_the_document(system: TradingSystem) -> None:
    health = MultiSymbolTradingOrchestrator.connect(system.settings).check_health()
    gold = health["symbols"][GOLD]

    assert list(health) == [
        "state",
        "is_healthy",
        "healthy_symbols",
        "total_symbols",
        "symbols",
        "uptime",
        "redis_connected",
    ]
    assert (health["is_healthy"], health["total_symbols"], health["redis_connected"]) == (False, 2, True)
    assert [service["service_name"] for service in gold["services"]] == NAMES
    assert {service["state"] for service in gold["services"]} == {"created"}
    assert gold["sicknesses"][0] == {
        "kind": "no_consumer",
        "service": "",
        "reason": "no worker consumes its queue",
    }


def test_command_sent_to_the_cluster_holds_from_its_return(system: TradingSystem) -> None:
    orchestrator = MultiSymbolTradingOrchestrator.connect(system.settings)
    orchestrator.pause("news")
    orchestrator.orchestrators[GOLD].stop("holiday")

    ledger = system.stores().ledger
    assert (ledger.desired(GOLD), ledger.desired(BITCOIN)) == (DesiredState.STOPPED, DesiredState.PAUSED)
    assert orchestrator.check_health()["symbols"][GOLD]["is_healthy"], "a symbol that is not to run is not sick"
    orchestrator.resume()
    assert (ledger.desired(GOLD), ledger.desired(BITCOIN)) == (DesiredState.STOPPED, DesiredState.RUNNING)


def test_blocks_of_the_page_on_a_running_system_run(system: TradingSystem) -> None:
    page = (ROOT / "docs" / "reference" / "python-api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page.split("## A running system")[1], re.DOTALL | re.MULTILINE)
    namespace: dict[str, Any] = {"to": trading_orchestrator}
    for block in blocks:
        exec(compile(block, "python-api.md", "exec", dont_inherit=True), namespace)

    assert namespace["health"]["total_symbols"] == len((GOLD, BITCOIN))
    assert "ORCHESTRATOR_PAUSED" in {event.type for _, _, event in namespace["bus"].recent(100)}
