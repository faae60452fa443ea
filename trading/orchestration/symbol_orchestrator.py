"""Orchestrator of one symbol: its state, desired state, health, and recovery.

It works the same wherever the services run. Each state is stored before any action, and an outdated write has no
effect: of two concurrent health checks only one acts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from trading.errors import Transient
from trading.events.event import Event, EventType
from trading.lifecycle import DesiredState, SymbolState, next_symbol_state, symbol_path
from trading.orchestration.diagnosis import HealthIssue, HealthSnapshot, diagnose
from trading.orchestration.phase import PhaseKind
from trading.orchestration.recovery_policy import Action, EscalationState, RecoveryPolicy, RecoveryStep, escalate
from trading.orchestration.symbol_port import Logger, ServiceHandle, SymbolRecord, SymbolRuntime
from trading.structs import asdict, replace

_SAVE_TRIES = 20

WATCH_GAPS = 4
"""Checks that may be missed; after more, the system was down, and the symbol's silence is no evidence."""

EVENT_OF: Mapping[SymbolState, EventType] = {
    SymbolState.INITIALIZING: EventType.ORCHESTRATOR_INITIALIZING,
    SymbolState.RUNNING: EventType.ORCHESTRATOR_STARTED,
    SymbolState.PAUSED: EventType.ORCHESTRATOR_PAUSED,
    SymbolState.STOPPED: EventType.ORCHESTRATOR_STOPPED,
    SymbolState.ERROR: EventType.ORCHESTRATOR_ERROR,
    SymbolState.RECOVERING: EventType.ORCHESTRATOR_RECOVERING,
    SymbolState.QUARANTINED: EventType.ORCHESTRATOR_QUARANTINED,
}
_STATE_OF = {
    DesiredState.RUNNING: SymbolState.RUNNING,
    DesiredState.PAUSED: SymbolState.PAUSED,
    DesiredState.STOPPED: SymbolState.STOPPED,
}
_CALM = frozenset({SymbolState.INITIALIZING, SymbolState.RUNNING, SymbolState.PAUSED, SymbolState.STOPPED})
"""States without a problem, in which the desired state becomes the actual state at once."""


class SymbolHealth(TypedDict):
    """Health of one symbol; `uptime` in seconds since its last change of state, `phase` a `PhaseKind`."""

    symbol: str
    state: str
    is_healthy: bool
    healthy_services: int
    total_services: int
    services: list[dict[str, Any]]
    uptime: float
    desired: str
    reason: str
    sicknesses: list[dict[str, str]]
    errors: int
    last_error: dict[str, Any] | None
    phase: str
    market_opens_ms: int | None
    warmup_candles: int | None
    warmup_needed: int | None


class SymbolOrchestrator:
    """One symbol: its state, desired state, health, and recovery."""

    def __init__(
        self,
        runtime: SymbolRuntime,
        policy: RecoveryPolicy,
        logger: Logger,
        *,
        heals: bool = True,
    ) -> None:
        """Create an orchestrator.

        Args:
            logger: Logger for recovery steps.
            heals: Whether to act on health issues; without it they are only reported.
        """
        self._components = runtime
        self._terms = policy
        self._heals = heals
        self._logger = logger

    @property
    def symbol(self) -> str:
        return self._components.symbol

    @property
    def services(self) -> Sequence[ServiceHandle]:
        """The four services in the order of the flow."""
        return self._components.services

    @property
    def state(self) -> SymbolState:
        return self._components.record().state

    @property
    def desired(self) -> DesiredState:
        return self._components.desired()

    def start(self, reason: str = "requested by operator") -> None:
        """Run the symbol, from the candle after its last decided one."""
        self._components.start_services()
        self._set_desired(DesiredState.RUNNING, reason)

    def pause(self, reason: str = "requested by operator") -> None:
        """Stop entries. Open positions stay protected, and exits continue."""
        self._set_desired(DesiredState.PAUSED, reason)

    def resume(self, reason: str = "requested by operator") -> None:
        """Allow entries again."""
        self._set_desired(DesiredState.RUNNING, reason)

    def stop(self, reason: str = "requested by operator") -> None:
        """Stop all processing: only orders that rest at the venue still protect an open position."""
        self._set_desired(DesiredState.STOPPED, reason)

    def restart(self, reason: str = "requested by operator") -> None:
        """Restart: drop queued messages, end a running step, rebuild the services, reconcile orders; then run."""
        why = f"restart: {reason}"
        self._change(lambda record: _path_through_error(record.state), why, is_anew=True)
        self._components.restart_symbol(has_fresh_worker=False)
        self._components.set_desired(DesiredState.RUNNING, why)

    def clear_quarantine(self, reason: str = "requested by operator") -> bool:
        """Release the symbol from quarantine after an operator's review; return whether it was quarantined."""
        was_quarantined = self._components.clear_quarantine(reason)
        if self._components.record().state is SymbolState.QUARANTINED:
            self._change(lambda _: (SymbolState.RECOVERING,), f"quarantine cleared: {reason}", is_anew=True)
            self._components.restart_symbol(has_fresh_worker=False)
        return was_quarantined

    def advance(self) -> bool:
        """Run a chain if one is due and workers do not run it; return whether the next one is due too."""
        return self._components.advance()

    def check_health(self) -> SymbolHealth:
        """Check the symbol, without any action."""
        record = self._components.record()
        seen = self._components.observe(record)
        found = _diagnose(seen, record)
        statuses = [service.status for service in self.services]
        healthy = sum(status.is_healthy for status in statuses)
        state = _state_now(seen, record, _faults(found))
        is_warming_up = seen.phase.kind is PhaseKind.WARMING_UP
        return {
            "symbol": self.symbol,
            "state": state.value,
            "is_healthy": not found and not seen.incidents and state in _CALM,
            "healthy_services": healthy,
            "total_services": len(statuses),
            "services": [status.as_dict() for status in statuses],
            "uptime": max(0.0, (seen.now_ms - record.since_ms) / 1000) if record.since_ms else 0.0,
            "desired": seen.desired.value,
            "reason": next(
                iter([issue.reason for issue in found] + [one.reason for one in seen.incidents]), record.reason
            ),
            "sicknesses": [
                *({"kind": issue.kind.value, "service": issue.service, "reason": issue.reason} for issue in found),
                *({"kind": one.kind.value, "service": "", "reason": one.reason} for one in seen.incidents),
            ],
            "errors": seen.last_error.count if seen.last_error else 0,
            "last_error": asdict(seen.last_error) if seen.last_error else None,
            "phase": seen.phase.kind.value,
            "market_opens_ms": seen.phase.opens_ms,
            "warmup_candles": seen.phase.candles if is_warming_up else None,
            "warmup_needed": seen.phase.candles_needed if is_warming_up else None,
        }

    def recover(self, account_restarts: int = 0) -> Action | None:
        """Check the symbol, store its state, and take the next recovery step if one is due.

        Args:
            account_restarts: Restarts of all symbols within the last hour.

        Returns:
            The action taken, None for none.
        """
        record = self._with_check(self._components.record())
        seen = self._components.observe(record)
        found = _faults(_diagnose(seen, record))
        escalation, action = record.course, None
        if self._heals:
            escalation, action = escalate(
                escalation,
                found,
                now_ms=seen.now_ms,
                progress_ms=seen.progress_ms,
                policy=self._terms,
                account_restarts=account_restarts,
            )
        following = replace(record, course=escalation, queued=seen.queued)
        state = _state_now(seen, following, found)
        path = symbol_path(record.state, state)
        reason = action.reason if action else found[0].reason if found else ""
        following = _moved(following, path, reason, seen.now_ms)
        if not self._components.save(following):
            return None  # a concurrent check was faster, and acts
        if path:
            self._publish(record.state, path, reason)
        if action is not None:
            self._take(action)
        return action

    def _with_check(self, kept: SymbolRecord) -> SymbolRecord:
        """Return the record with this check; after a long time without checks, monitoring begins anew."""
        now_ms = self._components.now_ms()
        has_gap = now_ms - kept.looked_ms > WATCH_GAPS * self._terms.interval_s * 1000
        return replace(kept, looked_ms=now_ms, watched_ms=now_ms if has_gap else kept.watched_ms)

    def restarts_ms(self) -> Sequence[int]:
        """Return the times of recent restarts, including those of services."""
        return self._components.record().course.restarts_ms

    def _take(self, action: Action) -> None:
        issue = action.issue
        self._logger.warning(
            "recovery_step symbol=%s step=%s attempt=%s most=%s cause=%s service=%s reason=%s",
            self.symbol,
            action.step.value,
            action.attempt,
            action.most,
            issue.kind.value if issue else "",
            issue.service if issue else "",
            action.reason,
        )
        match action.step:
            case RecoveryStep.RESTART_SERVICE:
                self._announce(EventType.SERVICE_STOPPED, action)
                self._components.restart_services()
            case RecoveryStep.RESTART_SYMBOL:
                self._announce(EventType.SYMBOL_RESTARTED, action)
                self._components.restart_symbol(has_fresh_worker=True)
            case RecoveryStep.QUARANTINE:
                assert issue is not None
                self._components.quarantine(issue.kind.value, action.reason)
                self._change(lambda record: symbol_path(record.state, SymbolState.QUARANTINED), action.reason)
            case RecoveryStep.NOTIFY:
                assert issue is not None
                self._components.open_incident(issue.kind.value, action.reason)
            case RecoveryStep.RECOVERED:
                self._components.retract_incident(action.reason)

    def _announce(self, kind: EventType, action: Action) -> None:
        issue = action.issue
        details: dict[str, Any] = {"attempt": action.attempt, "most": action.most}
        if issue is not None:
            details |= {"cause": issue.kind.value, "service": issue.service}
        reason = f"restart {action.attempt} of {action.most}: {action.reason}"
        self._components.publish([Event(type=kind, symbol=self.symbol, reason=reason, details=details)])

    def _set_desired(self, desired: DesiredState, reason: str) -> None:
        self._components.set_desired(desired, reason)
        self._change(
            lambda record: symbol_path(record.state, _STATE_OF[desired]) if record.state in _CALM else (),
            reason,
        )

    def _change(
        self,
        path_from: Callable[[SymbolRecord], tuple[SymbolState, ...]],
        reason: str,
        *,
        is_anew: bool = False,
    ) -> None:
        """Pass through states, each by an allowed transition, despite concurrent writes.

        Args:
            is_anew: Forget earlier recovery actions.
        """
        for _ in range(_SAVE_TRIES):
            record = self._components.record()
            path = path_from(record)
            now_ms = self._components.now_ms()
            following = _moved(record, path, reason, now_ms)
            if is_anew:
                following = replace(following, course=EscalationState(acted_ms=now_ms))
            if following == record:
                return
            following = replace(following, watched_ms=now_ms)
            if self._components.save(following):
                self._publish(record.state, path, reason)
                return
        raise Transient("symbol_record", f"{self.symbol}: concurrent writes prevented {_SAVE_TRIES} attempts to store")

    def _publish(self, before: SymbolState, path: Sequence[SymbolState], reason: str) -> None:
        events = []
        for state in path:
            is_resumed = before is SymbolState.PAUSED and state is SymbolState.RUNNING
            kind = EventType.ORCHESTRATOR_RESUMED if is_resumed else EVENT_OF[state]
            events.append(Event(type=kind, symbol=self.symbol, reason=reason, details={"before": before.value}))
            before = state
        self._components.publish(events)


def _diagnose(seen: HealthSnapshot, record: SymbolRecord) -> tuple[HealthIssue, ...]:
    return diagnose(seen, queued_before=record.queued, acted_ms=record.course.acted_ms)


def _faults(found: Sequence[HealthIssue]) -> Sequence[HealthIssue]:
    """Return the issues that keep the symbol from working."""
    return [issue for issue in found if not issue.kind.is_notice]


def _state_now(seen: HealthSnapshot, record: SymbolRecord, found: Sequence[HealthIssue]) -> SymbolState:
    if seen.quarantine:
        return SymbolState.QUARANTINED
    if seen.desired is DesiredState.STOPPED:
        return SymbolState.STOPPED
    escalation = record.course
    if found:
        return SymbolState.RECOVERING if escalation.acted_ms == seen.now_ms else SymbolState.ERROR
    if (seen.progress_ms or 0) <= escalation.acted_ms and escalation.acted_ms:
        return SymbolState.RECOVERING
    if seen.progress_ms is None and seen.desired is DesiredState.RUNNING:
        return SymbolState.INITIALIZING if record.state is SymbolState.STOPPED else record.state
    return _STATE_OF[seen.desired]


def _path_through_error(current: SymbolState) -> tuple[SymbolState, ...]:
    """Return the path to recovering; from a healthy state it begins with an error."""
    first = () if current is SymbolState.QUARANTINED else symbol_path(current, SymbolState.ERROR)
    return (*first, SymbolState.RECOVERING)


def _moved(record: SymbolRecord, path: Sequence[SymbolState], reason: str, now_ms: int) -> SymbolRecord:
    state = record.state
    for step in path:
        state = next_symbol_state(state, step)
    return replace(record, state=state, reason=reason, since_ms=now_ms) if path else record
