"""A symbol in memory, which the tests of the orchestrators control."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trading.errors import Transient
from trading.events.event import Event
from trading.incidents.incident import Incident
from trading.lifecycle import DesiredState, PositionPolicy, ServiceState
from trading.orchestration.diagnosis import HealthSnapshot
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
    desired_state: DesiredState = DesiredState.RUNNING
    progress_ms: int | None = None
    reported_ms: int = 0
    kept: SymbolRecord = field(default_factory=SymbolRecord)
    events: list[Event] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    quarantined: PositionPolicy | None = None
    incidents: Sequence[Incident] = ()
    overtaken: bool = False
    is_away: bool = False
    rejected: str = ""

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
            desired=self.desired_state,
            services=[part.status for part in self.parts],
            reported_ms=self.reported_ms,
            progress_ms=self.progress_ms,
            stale_s=10_000,
            began_ms=record.began_ms,
            quarantine=self.quarantined,
            incidents=self.incidents,
            rejected=self.rejected,
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
        return self.desired_state

    def set_desired(self, state: DesiredState, reason: str) -> None:
        if self.is_away:
            raise Transient("ledger", "away")
        self.desired_state = state

    def start_services(self) -> None:
        self.actions.append("start")

    def restart_services(self) -> None:
        self.actions.append("restart services")

    def restart_symbol(self, *, has_fresh_worker: bool) -> None:
        self.actions.append("restart symbol and worker" if has_fresh_worker else "restart symbol")

    def quarantine(self, cause: str, reason: str) -> PositionPolicy:
        self.actions.append(f"quarantine: {cause}")
        self.quarantined = self.policy
        return self.policy

    def clear_quarantine(self, reason: str) -> bool:
        was, self.quarantined = bool(self.quarantined), None
        return was

    def open_incident(self, kind: str, reason: str) -> None:
        self.actions.append(f"tell: {kind}")

    def retract_incident(self, reason: str) -> None:
        self.actions.append("retract_incident")

    def advance(self) -> bool:
        if self.parts[0].error:
            raise ValueError(self.parts[0].error)
        self.progress_ms = self.at_ms
        return False

    def close(self) -> None:
        self.actions.append("close")

    def step(self, minutes: float = 1) -> None:
        """Let time pass; what is sick says so again."""
        self.at_ms += int(minutes * 60_000)
        if any(part.error for part in self.parts):
            self.reported_ms = self.at_ms
        else:
            self.progress_ms = self.at_ms


def orchestrator(symbol: MemorySymbol, *, heals: bool = True) -> SymbolOrchestrator:
    return SymbolOrchestrator(symbol, TERMS, LOGGER, heals=heals)
