"""The base of all four services: a lifecycle, error handling with recovery, and a status."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from trading.errors import Broken, InvalidMessage
from trading.events.bus import LocalBus
from trading.events.event import Event, EventType
from trading.events.messages import Message
from trading.lifecycle import ServiceState, next_service_state
from trading.services.chain import ChainOutcome, ChainResult
from trading.services.status import ErrorKind, ServiceStatus, describe_error, error_kind

_MAY_WORK = (ServiceState.RUNNING, ServiceState.PAUSED, ServiceState.ERROR)

In = TypeVar("In")
Out = TypeVar("Out")


class Service(ABC, Generic[In, Out]):
    """One stage of the pipeline for one symbol.

    `handle` calls `process`. An error puts the service into ERROR and is raised to the caller; the next call recovers
    first: `reset` drops all cached state, and the service is RUNNING again when that call succeeds.
    """

    def __init__(self, symbol: str, bus: LocalBus, *, now_s: Callable[[], float], is_enabled: bool = True) -> None:
        """Create a service in state CREATED.

        Args:
            now_s: Monotonic clock, in seconds, for the uptime.
            is_enabled: A service that is not enabled ends each chain that reaches it.
        """
        self.symbol = symbol
        self.is_enabled = is_enabled
        self.state = ServiceState.CREATED
        self._bus = bus
        self._now_s = now_s
        self._started_s = now_s()
        self._processed_count = 0
        self._error_count = 0
        self._recovery_attempts = 0
        self._last_error: str | None = None
        self._error_kind: ErrorKind | None = None
        self._consecutive_errors = 0
        self._rejected_count = 0
        self._last_rejection: str | None = None

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def is_healthy(self) -> bool:
        return self.state in (ServiceState.RUNNING, ServiceState.PAUSED)

    def start(self) -> None:
        self._change_state(ServiceState.STARTING)
        self._started_s = self._now_s()
        self._change_state(ServiceState.RUNNING)
        self._publish(EventType.SERVICE_STARTED, "started")

    def stop(self) -> None:
        self._change_state(ServiceState.STOPPING)
        self._change_state(ServiceState.STOPPED)
        self._publish(EventType.SERVICE_STOPPED, "stopped")

    def handle(self, message: In) -> Out | ChainResult:
        """Process one message, in any state; a service in ERROR recovers first.

        Raises:
            InvalidMessage: The message contradicts store, ledger or configuration. The state stays as it was.
        """
        try:
            self.check(message)
            return self._handle(message)
        except InvalidMessage as error:
            self.reject(error)
            raise

    def _handle(self, message: In) -> Out | ChainResult:
        if not self.is_enabled:
            return self.skip_disabled(message)
        if self.state not in _MAY_WORK:
            raise Broken(f"{self.name} of {self.symbol} is {self.state}: start it first")
        if self.state is ServiceState.ERROR:
            self._recovery_attempts += 1
            self._change_state(ServiceState.RECOVERING)
        try:
            if self.state is ServiceState.RECOVERING:
                self.reset()
            outcome = self.process(message)
        except InvalidMessage:
            if self.state is ServiceState.RECOVERING:
                self._recovered()
            raise
        except Exception as error:
            self._failed(error, message)
            raise
        self._processed_count += 1
        self._consecutive_errors = 0
        if self.state is ServiceState.RECOVERING:
            self._recovered()
        return outcome

    def check(self, message: In) -> None:
        """Check a message before anything moves; the default accepts all.

        Raises:
            InvalidMessage: It contradicts store, ledger or configuration.
        """

    def reject(self, error: InvalidMessage) -> None:
        """Count a rejected message once, and publish it unless the one before was rejected for the same reason."""
        if error.is_counted:
            return
        error.is_counted = True
        text = str(error)
        is_news = text != self._last_rejection
        self._rejected_count += 1
        self._last_rejection = text
        if is_news:
            self._publish(EventType.MESSAGE_REJECTED, text)

    @abstractmethod
    def process(self, message: In) -> Out | ChainResult:
        """Turn a message into the next stage's message, or end the chain."""

    def skip_disabled(self, message: In) -> ChainResult:
        """End the chain, because this service is not enabled; its candles stay undecided."""
        return ChainResult(ChainOutcome.DISABLED, f"{self.name} is not enabled")

    def reset(self) -> None:
        """Drop all state cached between messages; the default keeps none."""

    @property
    def status(self) -> ServiceStatus:
        return ServiceStatus(
            service_name=self.name,
            symbol=self.symbol,
            state=self.state,
            is_healthy=self.is_healthy,
            error_count=self._error_count,
            uptime=round(self._now_s() - self._started_s, 3),
            processed_count=self._processed_count,
            recovery_attempts=self._recovery_attempts,
            last_error=self._last_error,
            error_kind=self._error_kind,
            consecutive_errors=self._consecutive_errors,
            rejected_count=self._rejected_count,
            last_rejection=self._last_rejection,
        )

    def get_status(self) -> dict[str, Any]:
        """Return the status as a dictionary; see `ServiceStatus`."""
        return self.status.as_dict()

    def _failed(self, error: Exception, message: In) -> None:
        """Change to ERROR, and publish it with its candle unless the same error was published already."""
        text = describe_error(error)
        is_news = self.state is not ServiceState.RECOVERING or text != self._last_error
        self._error_count += 1
        self._consecutive_errors += 1
        self._error_kind = error_kind(error)
        self._last_error = text
        self._change_state(ServiceState.ERROR)
        if is_news:
            cause = message.correlation_id if isinstance(message, Message) else ""
            self._publish(EventType.SERVICE_ERROR, text, cause=cause)

    def _recovered(self) -> None:
        self._change_state(ServiceState.RUNNING)
        self._publish(EventType.SERVICE_STARTED, f"recovered at attempt {self._recovery_attempts}")
        self._recovery_attempts = 0

    def _change_state(self, target: ServiceState) -> None:
        self.state = next_service_state(self.state, target)

    def _publish(self, kind: EventType, reason: str, *, cause: str = "") -> None:
        details = {"service": self.name}
        self._bus.publish(Event(type=kind, symbol=self.symbol, correlation_id=cause, reason=reason, details=details))
