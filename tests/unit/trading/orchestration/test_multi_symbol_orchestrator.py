"""The orchestrator of all symbols: health, requests and one budget of restarts."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from adapters.clock import LoopClock
from tests.unit.trading.orchestration.memory_symbol import LOGGER, MemorySymbol
from trading.lifecycle import DesiredState
from trading.orchestration.multi_symbol_orchestrator import MultiSymbolTradingOrchestrator


@dataclass
class Orchestration:
    enable_auto_restart: bool = True
    health_check_interval: float = 60.0


@dataclass
class System:
    orchestrator: Orchestration = field(default_factory=Orchestration)


class Bus:
    def is_connected(self) -> bool:
        return True


def many(*names: str) -> tuple[MultiSymbolTradingOrchestrator, Mapping[str, MemorySymbol]]:
    symbols = {name: MemorySymbol(name) for name in names}
    return MultiSymbolTradingOrchestrator(System(), symbols, Bus(), LOGGER, LoopClock()), symbols


def test_health_of_all_symbols_has_the_keys_of_the_document() -> None:
    all_of_them, symbols = many("XAUUSD", "BTCUSD")
    for symbol in symbols.values():
        symbol.step()
    all_of_them.recover()
    symbols["BTCUSD"].parts[3].error = "ValueError: no"
    symbols["BTCUSD"].step()
    health = all_of_them.check_health()

    assert (health["state"], health["is_healthy"]) == ("running", False)
    assert (health["healthy_symbols"], health["total_symbols"]) == (1, 2)
    assert health["redis_connected"]
    assert set(health["symbols"]) == {"XAUUSD", "BTCUSD"}
    assert health["symbols"]["BTCUSD"]["healthy_services"] == 3
    assert health["uptime"] >= 0


def test_trouble_of_one_symbol_does_not_keep_the_others_from_what_is_requested() -> None:
    all_of_them, symbols = many("AAA", "BBB", "CCC")
    symbols["BBB"].is_away = True
    with pytest.raises(ExceptionGroup) as trouble:
        all_of_them.pause()

    assert [str(error) for error in trouble.value.exceptions] == ["ledger: away"]
    assert [symbol.desired_state.value for symbol in symbols.values()] == ["paused", "running", "paused"]


def test_resume_leaves_alone_what_was_stopped() -> None:
    all_of_them, symbols = many("AAA", "BBB")
    all_of_them.orchestrators["AAA"].stop()
    all_of_them.pause()
    all_of_them.resume()

    assert [symbol.desired_state.value for symbol in symbols.values()] == ["stopped", "running"]


def test_run_advances_every_symbol_recovers_and_ends_on_request() -> None:
    all_of_them, symbols = many("AAA", "BBB")
    symbols["AAA"].parts[0].error = "ValueError: no"
    symbols["AAA"].reported_ms = symbols["AAA"].at_ms
    began, ended = threading.Event(), threading.Event()

    def run() -> None:
        began.set()
        all_of_them.run(check_interval=0.01)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    deadline = threading.Event()
    for _ in range(6_000):
        if symbols["BBB"].progress_ms and "restart services" in symbols["AAA"].actions:
            break
        deadline.wait(0.01)
    all_of_them.end()
    assert ended.wait(60)
    thread.join()

    assert symbols["BBB"].progress_ms is not None
    assert symbols["AAA"].actions[:2] == ["start", "restart services"]
    assert symbols["AAA"].actions[-1] == symbols["BBB"].actions[-1] == "close"
    assert symbols["BBB"].desired_state is DesiredState.RUNNING


def test_restarts_of_all_symbols_share_one_budget() -> None:
    all_of_them, symbols = many(*(f"S{at}" for at in range(80)))
    for symbol in symbols.values():
        symbol.parts[1].error = "ValueError: no"
        symbol.step()
    taken = all_of_them.recover()

    assert sum("restart services" in symbol.actions for symbol in symbols.values()) == 60
    assert sum("tell: step_failed" in symbol.actions for symbol in symbols.values()) == 20
    assert len(taken) == 80
