"""Orchestrator of all symbols of an account: started, checked and recovered together, isolated from each other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypedDict

from trading.lifecycle import DesiredState, SymbolState
from trading.orchestration.recovery_policy import Action, RecoveryPolicy
from trading.orchestration.symbol_orchestrator import SymbolHealth, SymbolOrchestrator
from trading.orchestration.symbol_port import Clock, Logger, SymbolRuntime

_LOOP_PAUSE_S = 0.2


class OrchestratorSettings(Protocol):
    """The orchestrator's part of `services.yaml`."""

    @property
    def enable_auto_restart(self) -> bool: ...
    @property
    def health_check_interval(self) -> float: ...


class SystemSettings(Protocol):
    """The part of the configuration that an orchestrator uses."""

    @property
    def orchestrator(self) -> OrchestratorSettings: ...


class EventBusLink(Protocol):
    """The global event bus, reduced to its health."""

    def is_connected(self) -> bool: ...


class SystemHealth(TypedDict):
    """Health of all symbols; `uptime` in seconds since this object was created or started."""

    state: str
    is_healthy: bool
    healthy_symbols: int
    total_symbols: int
    symbols: dict[str, SymbolHealth]
    uptime: float
    redis_connected: bool


class MultiSymbolTradingOrchestrator:
    """All symbols of an account.

    As the specification says, it creates the symbol orchestrators, starts, pauses, resumes, stops and restarts all of
    them, checks their health, and restarts unhealthy ones. An error of one symbol never stops the work for the others.
    """

    def __init__(
        self,
        system_config: SystemSettings,
        symbol_components: Mapping[str, SymbolRuntime],
        redis_event_bus: EventBusLink,
        logger: Logger,
        clock: Clock,
    ) -> None:
        """Create the orchestrators of the symbols.

        Args:
            system_config: Content of the two YAML files.
            symbol_components: Runtimes by symbol, from `adapters.components`: of this process, or of a running cluster.
            redis_event_bus: Source of `redis_connected`.
            logger: Logger for actions and errors.
            clock: Clock for the loop of `run`.
        """
        settings = system_config.orchestrator
        self._interval_s = settings.health_check_interval
        self._bus = redis_event_bus
        self._logger = logger
        self._clock = clock
        self._began_s = clock.now_s()
        self._has_ended = False
        self._components = dict(symbol_components)
        self.orchestrators: Mapping[str, SymbolOrchestrator] = {
            symbol: symbol_orchestrator(settings, runtime, logger) for symbol, runtime in symbol_components.items()
        }

    def start(self, reason: str = "requested by operator") -> None:
        """Start all symbols."""
        self._began_s = self._clock.now_s()
        self._all(lambda one: one.start(reason))

    def pause(self, reason: str = "requested by operator") -> None:
        """Stop entries on all running symbols; stopped symbols stay stopped."""
        self._all(lambda one: one.pause(reason), only=DesiredState.RUNNING)

    def resume(self, reason: str = "requested by operator") -> None:
        """Allow entries again on all paused symbols; stopped symbols stay stopped."""
        self._all(lambda one: one.resume(reason), only=DesiredState.PAUSED)

    def stop(self, reason: str = "requested by operator") -> None:
        """Stop processing all symbols, and end `run`."""
        self._all(lambda one: one.stop(reason))
        self.end()

    def restart(self, reason: str = "requested by operator") -> None:
        """Restart every symbol."""
        self._all(lambda one: one.restart(reason))

    def end(self) -> None:
        """End `run`, and leave the desired states unchanged. May be called from any thread."""
        self._has_ended = True
        self._clock.wake()

    def run(self, check_interval: float | None = None) -> None:
        """Start all symbols, run their chains if they run here, and check their health until `stop` or `end`.

        Args:
            check_interval: Seconds between two health checks; None for the configured interval.
        """
        every_s = self._interval_s if check_interval is None else check_interval
        if every_s <= 0:
            raise ValueError(f"check_interval is {check_interval}; allowed: seconds above 0")
        self._has_ended = False
        self.start("run")
        next_check_s = self._clock.now_s() + every_s
        try:
            while not self._has_ended:
                is_busy = self._advance()
                if self._clock.now_s() >= next_check_s:
                    self.recover()
                    next_check_s = self._clock.now_s() + every_s
                if not is_busy:
                    self._clock.wait(_LOOP_PAUSE_S)
        finally:
            for runtime in self._components.values():
                runtime.close()

    def recover(self) -> dict[str, Action]:
        """Take the next recovery step of each symbol for which one is due, and return the actions by symbol."""
        taken: dict[str, Action] = {}

        def check(one: SymbolOrchestrator) -> None:
            restarts = sum(len(each.restarts_ms()) for each in self.orchestrators.values())
            action = one.recover(restarts)
            if action is not None:
                taken[one.symbol] = action

        self._each(check)
        return taken

    def check_health(self) -> SystemHealth:
        """Check all symbols, without any action.

        Raises:
            Transient: A store did not answer.
        """
        symbols = {name: one.check_health() for name, one in self.orchestrators.items()}
        healthy = sum(health["is_healthy"] for health in symbols.values())
        return {
            "state": _state_of_all([SymbolState(health["state"]) for health in symbols.values()]).value,
            "is_healthy": healthy == len(symbols),
            "healthy_symbols": healthy,
            "total_symbols": len(symbols),
            "symbols": symbols,
            "uptime": round(self._clock.now_s() - self._began_s, 3),
            "redis_connected": self._bus.is_connected(),
        }

    def _advance(self) -> bool:
        due: list[bool] = []
        self._each(lambda one: due.append(one.advance()))
        return any(due)

    def _all(self, operation: Callable[[SymbolOrchestrator], object], *, only: DesiredState | None = None) -> None:
        """Apply an operator's command to all symbols with the given desired state.

        Raises:
            ExceptionGroup: It failed for some symbols; it was applied to the others.
        """
        errors = self._each(lambda one: operation(one) if only is None or one.desired is only else None)
        if errors:
            raise ExceptionGroup("the command failed for some symbols and was applied to the others", errors)

    def _each(self, operation: Callable[[SymbolOrchestrator], object]) -> list[Exception]:
        """Apply an operation to each symbol; log and return the errors, and continue with the next symbol."""
        errors = []
        for one in self.orchestrators.values():
            try:
                operation(one)
            except Exception as error:  # an error of one symbol, of any kind, must not affect the others
                self._logger.exception("symbol_failed symbol=%s", one.symbol)
                errors.append(error)
        return errors


def symbol_orchestrator(settings: OrchestratorSettings, runtime: SymbolRuntime, logger: Logger) -> SymbolOrchestrator:
    """Create the orchestrator of one symbol from the common settings."""
    policy = RecoveryPolicy(interval_s=settings.health_check_interval)
    return SymbolOrchestrator(runtime, policy, logger, heals=settings.enable_auto_restart)


def _state_of_all(states: Sequence[SymbolState]) -> SymbolState:
    """Return the common state of all symbols, else the most active of their states."""
    order = (
        SymbolState.RUNNING,
        SymbolState.RECOVERING,
        SymbolState.INITIALIZING,
        SymbolState.ERROR,
        SymbolState.QUARANTINED,
        SymbolState.PAUSED,
        SymbolState.STOPPED,
    )
    return next((state for state in order if state in states), SymbolState.STOPPED)
