"""Interface of a symbol for its orchestrator, whether its services run in this process or in a cluster's workers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from trading.events.event import Event
from trading.lifecycle import DesiredState, PositionPolicy, SymbolState
from trading.orchestration.diagnosis import HealthSnapshot
from trading.orchestration.recovery_policy import EscalationState
from trading.services.status import ServiceStatus


@dataclass(frozen=True, slots=True)
class SymbolRecord:
    """A symbol's state as last stored.

    Attributes:
        since_ms: Time of the change to this state, wall clock, milliseconds since the epoch.
        watched_ms: Start of regular checks, or the last command of an operator; earlier silence does not count.
        looked_ms: Time of the last check.
        queued: Messages waiting in its queue at that check.
        version: Grows with each write; a write based on an older version is rejected.
    """

    state: SymbolState = SymbolState.INITIALIZING
    reason: str = ""
    since_ms: int = 0
    course: EscalationState = field(default_factory=EscalationState)
    watched_ms: int = 0
    looked_ms: int = 0
    queued: int = 0
    version: int = 0

    @property
    def began_ms(self) -> int:
        """Time from which the symbol can be expected to make progress; nothing earlier is overdue."""
        return max(self.watched_ms, self.course.acted_ms)


class Logger(Protocol):
    """The part of the standard library's logger used here."""

    def warning(self, message: str, *args: object) -> None: ...

    def exception(self, message: str, *args: object) -> None: ...


class Clock(Protocol):
    """Clock of a process loop."""

    def now_s(self) -> float:
        """Return the seconds of a monotonic clock."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait that long, or until `wake` is called from another thread."""
        ...

    def wake(self) -> None: ...


class ServiceHandle(Protocol):
    """One of the four services, local or remote."""

    @property
    def status(self) -> ServiceStatus: ...

    def get_status(self) -> dict[str, Any]:
        """Return the status as a dictionary."""
        ...


class SymbolRuntime(Protocol):
    """Access to one symbol: its observations and its commands. Each method may raise Transient."""

    @property
    def symbol(self) -> str: ...

    @property
    def services(self) -> Sequence[ServiceHandle]:
        """The four services in the order of the flow."""
        ...

    def now_ms(self) -> int:
        """Return the wall clock, milliseconds since the epoch."""
        ...

    def observe(self, record: SymbolRecord) -> HealthSnapshot: ...

    def record(self) -> SymbolRecord: ...

    def save(self, record: SymbolRecord) -> bool:
        """Store `record` unless its version is outdated; return whether it was stored."""
        ...

    def publish(self, events: Sequence[Event]) -> None: ...

    def desired(self) -> DesiredState: ...

    def set_desired(self, state: DesiredState, reason: str) -> None:
        """Store the state that the operator wants; once this returns, no decision against it can be recorded."""
        ...

    def start_services(self) -> None:
        """Start the services."""
        ...

    def restart_services(self) -> None:
        """Rebuild the services with fresh clients, and advance the symbol."""
        ...

    def restart_symbol(self, *, has_fresh_worker: bool) -> None:
        """Drop its queued messages, end its running step, rebuild, reconcile with the venue, and advance it.

        Args:
            has_fresh_worker: Also use a new worker process, if the symbol has its own supervised worker.
        """
        ...

    def quarantine(self, cause: str, reason: str) -> PositionPolicy:
        """Quarantine the symbol with its configured position policy, and return that policy."""
        ...

    def clear_quarantine(self, reason: str) -> bool:
        """Release the symbol from quarantine; return whether it was quarantined."""
        ...

    def open_incident(self, kind: str, reason: str) -> None:
        """Notify an operator by an incident that halts nothing."""
        ...

    def retract_incident(self, reason: str) -> None:
        """Close the incident that `open_incident` opened, because its cause is over."""
        ...

    def advance(self) -> bool:
        """Run a chain if one is due, and return whether the next one is due too; no effect where workers run chains."""
        ...

    def close(self) -> None:
        """Stop the services that run here; the desired state stays unchanged."""
        ...
