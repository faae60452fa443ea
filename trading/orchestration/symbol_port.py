"""What an orchestrator needs of a symbol, wherever its services run: in this process, or in workers of a cluster."""

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
    """How a symbol stands, as it was last written down.

    Attributes:
        since_ms: When it came into this state, wall clock, milliseconds since the epoch.
        watched_ms: Since when it is looked at again and again, or since a person last asked something of it: what was
            before that is no silence.
        looked_ms: When it was last looked at.
        queued: Messages that waited in its queue at that look.
        version: Grows with each write; a write that saw an older one is refused.
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
        """When it was last given a chance: nothing from before that is overdue."""
        return max(self.watched_ms, self.course.acted_ms)


class Logger(Protocol):
    """The part of the standard library's logger that is used here."""

    def warning(self, message: str, *args: object) -> None: ...

    def exception(self, message: str, *args: object) -> None: ...


class Clock(Protocol):
    """Time for the loop of a process."""

    def now_s(self) -> float:
        """Return seconds of a clock that only goes forward."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait so long, or until `wake` is called from another thread."""
        ...

    def wake(self) -> None: ...


class ServiceHandle(Protocol):
    """One of the four services, here or elsewhere."""

    @property
    def status(self) -> ServiceStatus: ...

    def get_status(self) -> dict[str, Any]:
        """Return the status as a dictionary."""
        ...


class SymbolRuntime(Protocol):
    """One symbol: what can be seen of it, and what can be done to it. Each method may raise Transient."""

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
        """Write `record` down, unless another has written since its version was read; return whether it was."""
        ...

    def publish(self, events: Sequence[Event]) -> None: ...

    def desired(self) -> DesiredState: ...

    def set_desired(self, state: DesiredState, reason: str) -> None:
        """Write down what the user wants: from the return on no decision against it can be written."""
        ...

    def start_services(self) -> None:
        """Have the services ready to work."""
        ...

    def restart_services(self) -> None:
        """Build the services anew, with fresh clients, and wake the symbol."""
        ...

    def restart_symbol(self, *, has_fresh_worker: bool) -> None:
        """Drop its queued messages, end the step that it runs, begin anew, compare with the venue, and wake it.

        Args:
            has_fresh_worker: In a new worker process too, where it has a worker to itself that something starts again.
        """
        ...

    def quarantine(self, cause: str, reason: str) -> PositionPolicy:
        """Set the symbol aside with the policy that is configured for its position, and return that."""
        ...

    def clear_quarantine(self, reason: str) -> bool:
        """Let the symbol work again; return whether it was quarantined."""
        ...

    def open_incident(self, kind: str, reason: str) -> None:
        """Have a person hear of something, by an incident that halts nothing."""
        ...

    def retract_incident(self, reason: str) -> None:
        """Close what `tell` opened, because it is over."""
        ...

    def advance(self) -> bool:
        """Run a chain when one is due, and return whether the next one is too; nothing where workers do that."""
        ...

    def close(self) -> None:
        """Stop the services that run here; what is wanted of the symbol stays as it is."""
        ...
