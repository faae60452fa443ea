"""The two orchestrators over symbols that are kept in memory: states, events, and what is done when."""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.clock import LoopClock
from trading.errors import Transient
from trading.events.event import Event
from trading.lifecycle import DesiredState, PositionPolicy, ServiceState, SymbolState
from trading.orchestration.diagnosis import HealthSnapshot
from trading.orchestration.multi_symbol_orchestrator import MultiSymbolTradingOrchestrator
from trading.orchestration.recovery_policy import RecoveryPolicy
from trading.orchestration.symbol_orchestrator import SymbolOrchestrator
from trading.orchestration.symbol_port import SymbolRecord
from trading.services.status import ErrorKind, ServiceStatus
from trading.structs import replace

NAMES = ("DataFetchingService", "IndicatorCalculationService", "StrategyEvaluationService", "TradeExecutionService")
TERMS = RecoveryPolicy(interval_s=60)
LOGGER = logging.getLogger(__name__)


@dataclass
class MemoryService:
    name: str
    symbol: str
    error: str = ""

    @property
    def status(self) -> ServiceStatus:
        running = ServiceStatus(
            service_name=self.name, symbol=self.symbol, state=ServiceState.RUNNING, is_healthy=True, processed_count=1
        )
        return running.with_error(self.error, ErrorKind.INTERNAL) if self.error else running

    def get_status(self) -> dict[str, Any]:
        return self.status.as_dict()


@dataclass
class MemorySymbol:
    """One symbol whose services run whenever the test says so."""

    symbol: str = "XAUUSD"
    at_ms: int = 1_000_000
    policy: PositionPolicy = "hold"
    wanted: DesiredState = DesiredState.RUNNING
    progress_ms: int | None = None
    reported_ms: int = 0
    kept: SymbolRecord = field(default_factory=SymbolRecord)
    events: list[Event] = field(default_factory=list)
    deeds: list[str] = field(default_factory=list)
    quarantined: PositionPolicy | None = None
    overtaken: bool = False
    is_away: bool = False

    def __post_init__(self) -> None:
        self.parts = [MemoryService(name, self.symbol) for name in NAMES]

    @property
    def services(self) -> Sequence[MemoryService]:
        return self.parts

    def now_ms(self) -> int:
        return self.at_ms

    def observe(self, record: SymbolRecord) -> HealthSnapshot:
        if self.is_away:
            raise Transient("redis", "away")
        return HealthSnapshot(
            now_ms=self.at_ms,
            desired=self.wanted,
            services=[part.status for part in self.parts],
            reported_ms=self.reported_ms,
            progress_ms=self.progress_ms,
            stale_s=10_000,
            began_ms=record.began_ms,
            quarantine=self.quarantined,
        )

    def record(self) -> SymbolRecord:
        return self.kept

    def save(self, record: SymbolRecord) -> bool:
        if self.overtaken or record.version != self.kept.version:
            return False
        self.kept = replace(record, version=record.version + 1)
        return True

    def publish(self, events: Sequence[Event]) -> None:
        self.events += events

    def desired(self) -> DesiredState:
        return self.wanted

    def set_desired(self, state: DesiredState, reason: str) -> None:
        if self.is_away:
            raise Transient("ledger", "away")
        self.wanted = state

    def start_services(self) -> None:
        self.deeds.append("start")

    def restart_services(self) -> None:
        self.deeds.append("restart services")

    def restart_symbol(self, *, has_fresh_worker: bool) -> None:
        self.deeds.append("restart symbol and worker" if has_fresh_worker else "restart symbol")

    def quarantine(self, cause: str, reason: str) -> PositionPolicy:
        self.deeds.append(f"quarantine: {cause}")
        self.quarantined = self.policy
        return self.policy

    def clear_quarantine(self, reason: str) -> bool:
        was, self.quarantined = bool(self.quarantined), None
        return was

    def open_incident(self, kind: str, reason: str) -> None:
        self.deeds.append(f"tell: {kind}")

    def retract_incident(self, reason: str) -> None:
        self.deeds.append("retract_incident")

    def advance(self) -> bool:
        if self.parts[0].error:
            raise ValueError(self.parts[0].error)
        self.progress_ms = self.at_ms
        return False

    def close(self) -> None:
        self.deeds.append("close")

    def step(self, minutes: float = 1) -> None:
        """Let time pass; what is sick says so again."""
        self.at_ms += int(minutes * 60_000)
        if any(part.error for part in self.parts):
            self.reported_ms = self.at_ms
        else:
            self.progress_ms = self.at_ms


def told(symbol: MemorySymbol) -> list[str]:
    return [event.type.value.removeprefix("ORCHESTRATOR_") for event in symbol.events]


def orchestrator(symbol: MemorySymbol, *, heals: bool = True) -> SymbolOrchestrator:
    return SymbolOrchestrator(symbol, TERMS, LOGGER, heals=heals)


def test_strategy_that_always_raises_ends_in_quarantine_and_a_person_brings_it_back() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.step()
    one.recover()
    symbol.parts[2].error = "ValueError: no"
    for _ in range(40):
        symbol.step()
        one.recover()

    assert symbol.deeds == [*["restart services"] * 3, "restart symbol and worker", "quarantine: step_failed"]
    assert one.state == SymbolState.QUARANTINED.value
    assert told(symbol)[0] == "STARTED"
    assert [kind for kind in told(symbol) if kind in ("ERROR", "QUARANTINED")][-1] == "QUARANTINED"
    assert told(symbol).count("SERVICE_STOPPED") == 3

    assert one.clear_quarantine("mended")
    assert one.state == SymbolState.RECOVERING.value
    assert symbol.deeds[-1] == "restart symbol"
    symbol.parts[2].error = ""
    symbol.step()
    one.recover()
    assert one.state == SymbolState.RUNNING.value


def test_quarantine_that_is_cleared_begins_the_ladder_from_its_foot() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.parts[2].error = "ValueError: no"
    for _ in range(40):
        symbol.step()
        one.recover()
    one.clear_quarantine()
    symbol.deeds.clear()
    for _ in range(40):
        symbol.step()
        one.recover()

    assert symbol.deeds == [*["restart services"] * 3, "restart symbol and worker", "quarantine: step_failed"]


def test_restart_that_helps_is_told_and_the_state_goes_through_recovering() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.step()
    one.recover()
    symbol.parts[0].error = "ValueError: no"
    symbol.step()
    one.recover()
    symbol.parts[0].error = ""
    symbol.step()
    one.recover()

    assert told(symbol) == ["STARTED", "ERROR", "RECOVERING", "SERVICE_STOPPED", "STARTED"]
    assert symbol.deeds == ["restart services", "retract_incident"]
    assert one.state == SymbolState.RUNNING.value


def test_without_auto_restart_what_is_sick_is_only_told() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol, heals=False)
    symbol.parts[0].error = "ValueError: no"
    for _ in range(10):
        symbol.step()
        one.recover()

    assert symbol.deeds == []
    assert one.state == SymbolState.ERROR.value
    assert told(symbol) == ["ERROR"]


def test_check_that_another_has_overtaken_does_nothing() -> None:
    symbol = MemorySymbol()
    symbol.parts[0].error = "ValueError: no"
    symbol.step()
    symbol.overtaken = True

    assert orchestrator(symbol).recover() is None
    assert symbol.deeds == []
    assert symbol.events == []


def test_silence_while_nobody_watched_is_no_sickness() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.step()
    one.recover()
    symbol.at_ms += 8 * 3_600_000
    one.recover()
    first = list(symbol.deeds)
    for _ in range(200):
        symbol.at_ms += 60_000
        one.recover()

    assert first == [], "the system was away for the night"
    assert symbol.deeds[0] == "restart symbol and worker", "now it is up, and still nothing moves"


def test_symbol_asked_to_run_after_a_long_stop_is_given_time() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.step()
    one.stop()
    for _ in range(300):
        symbol.at_ms += 60_000
        one.recover()
    one.start()
    symbol.at_ms += 60_000
    one.recover()

    assert symbol.deeds == ["start"]


def test_pause_resume_and_stop_are_states_at_once_and_told_once() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    one.start()
    one.pause("news")
    one.pause("news again")
    one.resume()
    one.stop("done")
    one.start()

    assert told(symbol) == ["STARTED", "PAUSED", "RESUMED", "STOPPED", "STARTED"]
    assert symbol.events[1].reason == "news"
    assert symbol.events[1].details == {"before": "running"}


def test_pause_of_a_sick_symbol_is_kept_and_does_not_hide_the_sickness() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.parts[0].error = "ValueError: no"
    symbol.step()
    one.recover()
    one.pause()

    assert one.desired is DesiredState.PAUSED
    assert one.state.value in ("error", "recovering")
    symbol.parts[0].error = ""
    symbol.step()
    one.recover()
    assert one.state == SymbolState.PAUSED.value


def test_health_of_a_symbol_has_the_keys_of_the_document() -> None:
    symbol = MemorySymbol()
    symbol.step()
    one = orchestrator(symbol)
    one.recover()
    symbol.step(0.5)
    health = one.check_health()

    assert {key: health[key] for key in ("symbol", "state", "is_healthy", "healthy_services", "total_services")} == {
        "symbol": "XAUUSD",
        "state": "running",
        "is_healthy": True,
        "healthy_services": 4,
        "total_services": 4,
    }
    assert [service["service_name"] for service in health["services"]] == list(NAMES)
    assert health["uptime"] == 30.0


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


def test_trouble_of_one_symbol_does_not_keep_the_others_from_what_is_asked() -> None:
    all_of_them, symbols = many("AAA", "BBB", "CCC")
    symbols["BBB"].is_away = True
    with pytest.raises(ExceptionGroup) as trouble:
        all_of_them.pause()

    assert [str(error) for error in trouble.value.exceptions] == ["ledger: away"]
    assert [symbol.wanted.value for symbol in symbols.values()] == ["paused", "running", "paused"]


def test_resume_leaves_alone_what_was_stopped() -> None:
    all_of_them, symbols = many("AAA", "BBB")
    all_of_them.orchestrators["AAA"].stop()
    all_of_them.pause()
    all_of_them.resume()

    assert [symbol.wanted.value for symbol in symbols.values()] == ["stopped", "running"]


def test_run_advances_every_symbol_heals_and_ends_when_told() -> None:
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
        if symbols["BBB"].progress_ms and "restart services" in symbols["AAA"].deeds:
            break
        deadline.wait(0.01)
    all_of_them.end()
    assert ended.wait(60)
    thread.join()

    assert symbols["BBB"].progress_ms is not None
    assert symbols["AAA"].deeds[:2] == ["start", "restart services"]
    assert symbols["AAA"].deeds[-1] == symbols["BBB"].deeds[-1] == "close"
    assert symbols["BBB"].wanted is DesiredState.RUNNING


def test_restarts_of_all_symbols_share_one_budget() -> None:
    all_of_them, symbols = many(*(f"S{at}" for at in range(80)))
    for symbol in symbols.values():
        symbol.parts[1].error = "ValueError: no"
        symbol.step()
    taken = all_of_them.recover()

    assert sum("restart services" in symbol.deeds for symbol in symbols.values()) == 60
    assert sum("tell: step_failed" in symbol.deeds for symbol in symbols.values()) == 20
    assert len(taken) == 80
