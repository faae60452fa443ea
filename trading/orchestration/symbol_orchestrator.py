"""The orchestrator of one symbol: its state, what is wanted of it, its health, and the steps that heal it.

What it does is the same wherever the services run. Each state is written down before anything is done about it, and a
write that another has overtaken does nothing: of two health checks at the same moment one acts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from trading.errors import Transient
from trading.events.event import Event, EventType
from trading.lifecycle import DesiredState, SymbolState, next_symbol_state, symbol_path
from trading.orchestration.diagnosis import Observation, Sickness, diagnose
from trading.orchestration.recovery_policy import Action, Course, LadderTerms, Rung, climb
from trading.orchestration.symbol_port import Logger, ServiceHandle, Standing, SymbolComponents

_SAVE_TRIES = 20

WATCH_GAPS = 4
"""Looks that may be left out; after more of them the system was away, and its silence says nothing."""

EVENT_OF: Mapping[SymbolState, EventType] = {
    SymbolState.INITIALIZING: EventType.ORCHESTRATOR_INITIALIZING,
    SymbolState.RUNNING: EventType.ORCHESTRATOR_STARTED,
    SymbolState.PAUSED: EventType.ORCHESTRATOR_PAUSED,
    SymbolState.STOPPED: EventType.ORCHESTRATOR_STOPPED,
    SymbolState.ERROR: EventType.ORCHESTRATOR_ERROR,
    SymbolState.RECOVERING: EventType.ORCHESTRATOR_RECOVERING,
    SymbolState.QUARANTINED: EventType.ORCHESTRATOR_QUARANTINED,
}
_STATE_WANTED = {
    DesiredState.RUNNING: SymbolState.RUNNING,
    DesiredState.PAUSED: SymbolState.PAUSED,
    DesiredState.STOPPED: SymbolState.STOPPED,
}
_CALM = frozenset({SymbolState.INITIALIZING, SymbolState.RUNNING, SymbolState.PAUSED, SymbolState.STOPPED})
"""States in which nothing is wrong, so that what is wanted becomes what is at once."""


class SymbolHealth(TypedDict):
    """How one symbol is; `uptime` in seconds since it came into its state."""

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


class SymbolOrchestrator:
    """One symbol: its state, what is wanted of it, its health, and how it is healed."""

    def __init__(
        self,
        components: SymbolComponents,
        terms: LadderTerms,
        logger: Logger,
        *,
        heals: bool = True,
    ) -> None:
        """Make an orchestrator.

        Args:
            logger: Takes a line for each step of the ladder.
            heals: Without it what is sick is told, and nothing is restarted.
        """
        self._components = components
        self._terms = terms
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
        return self._components.standing().state

    @property
    def desired(self) -> DesiredState:
        return self._components.desired()

    def start(self, reason: str = "asked for") -> None:
        """Have it run, from the candle after the last one that it decided on."""
        self._components.start_services()
        self._want(DesiredState.RUNNING, reason)

    def pause(self, reason: str = "asked for") -> None:
        """Open nothing new. What is open stays protected, and exits go on."""
        self._want(DesiredState.PAUSED, reason)

    def resume(self, reason: str = "asked for") -> None:
        """Let it open positions again."""
        self._want(DesiredState.RUNNING, reason)

    def stop(self, reason: str = "asked for") -> None:
        """Do nothing more: only the orders that rest at the venue still protect what is open."""
        self._want(DesiredState.STOPPED, reason)

    def restart(self, reason: str = "asked for") -> None:
        """Begin anew: queued messages dropped, a step under way ended, services built, orders compared; then run."""
        why = f"restart: {reason}"
        self._change(lambda standing: _by_way_of_error(standing.state), why, is_anew=True)
        self._components.restart_symbol(has_fresh_worker=False)
        self._components.want(DesiredState.RUNNING, why)

    def clear_quarantine(self, reason: str = "asked for") -> bool:
        """Let it work again after a person has looked; return whether it was quarantined."""
        was_quarantined = self._components.clear_quarantine(reason)
        if self._components.standing().state is SymbolState.QUARANTINED:
            self._change(lambda _: (SymbolState.RECOVERING,), f"quarantine cleared: {reason}", is_anew=True)
            self._components.restart_symbol(has_fresh_worker=False)
        return was_quarantined

    def advance(self) -> bool:
        """Run a chain when one is due, where that is not the work of others; return whether the next one is due too."""
        return self._components.advance()

    def check_health(self) -> SymbolHealth:
        """Look at it, without doing anything about it."""
        standing = self._components.standing()
        seen = self._components.observe(standing)
        found = _diagnose(seen, standing)
        statuses = [service.status for service in self.services]
        healthy = sum(status.is_healthy for status in statuses)
        state = _state_now(seen, standing, found)
        return {
            "symbol": self.symbol,
            "state": state.value,
            "is_healthy": not found and state in _CALM,
            "healthy_services": healthy,
            "total_services": len(statuses),
            "services": [status.as_dict() for status in statuses],
            "uptime": max(0.0, (seen.now_ms - standing.since_ms) / 1000) if standing.since_ms else 0.0,
            "desired": seen.desired.value,
            "reason": found[0].reason if found else standing.reason,
            "sicknesses": [
                {"kind": sickness.kind.value, "service": sickness.service, "reason": sickness.reason}
                for sickness in found
            ],
        }

    def heal(self, account_restarts: int = 0) -> Action | None:
        """Look at it, write down how it stands, and take the next step of the ladder where one is due.

        Args:
            account_restarts: Restarts of all symbols within the last hour.

        Returns:
            What was done, None for nothing.
        """
        standing = self._looked_at(self._components.standing())
        seen = self._components.observe(standing)
        found = _diagnose(seen, standing)
        course, action = standing.course, None
        if self._heals:
            course, action = climb(
                course,
                found,
                now_ms=seen.now_ms,
                progress_ms=seen.progress_ms,
                terms=self._terms,
                account_restarts=account_restarts,
            )
        following = replace(standing, course=course, queued=seen.queued)
        state = _state_now(seen, following, found)
        path = symbol_path(standing.state, state)
        reason = action.reason if action else found[0].reason if found else ""
        following = _moved(following, path, reason, seen.now_ms)
        if not self._components.save(following):
            return None  # another check was faster, and acts
        if path:
            self._publish(standing.state, path, reason)
        if action is not None:
            self._take(action)
        return action

    def _looked_at(self, kept: Standing) -> Standing:
        """Return the standing with this look in it; after a time without any, the watch begins anew."""
        now_ms = self._components.now_ms()
        has_gap = now_ms - kept.looked_ms > WATCH_GAPS * self._terms.interval_s * 1000
        return replace(kept, looked_ms=now_ms, watched_ms=now_ms if has_gap else kept.watched_ms)

    def restarts_ms(self) -> Sequence[int]:
        """Return when it was restarted of late, services too."""
        return self._components.standing().course.restarts_ms

    def _take(self, action: Action) -> None:
        sickness = action.sickness
        self._logger.warning(
            "ladder symbol=%s rung=%s attempt=%s most=%s cause=%s service=%s reason=%s",
            self.symbol,
            action.rung.value,
            action.attempt,
            action.most,
            sickness.kind.value if sickness else "",
            sickness.service if sickness else "",
            action.reason,
        )
        match action.rung:
            case Rung.RESTART_SERVICE:
                self._announce(EventType.SERVICE_STOPPED, action)
                self._components.restart_services()
            case Rung.RESTART_SYMBOL:
                self._announce(EventType.SYMBOL_RESTARTED, action)
                self._components.restart_symbol(has_fresh_worker=True)
            case Rung.QUARANTINE:
                assert sickness is not None
                self._components.quarantine(sickness.kind.value, action.reason)
                self._change(lambda standing: symbol_path(standing.state, SymbolState.QUARANTINED), action.reason)
            case Rung.TELL:
                assert sickness is not None
                self._components.open_incident(sickness.kind.value, action.reason)
            case Rung.RECOVERED:
                self._components.retract_incident(action.reason)

    def _announce(self, kind: EventType, action: Action) -> None:
        sickness = action.sickness
        details: dict[str, Any] = {"attempt": action.attempt, "most": action.most}
        if sickness is not None:
            details |= {"cause": sickness.kind.value, "service": sickness.service}
        reason = f"restart {action.attempt} of {action.most}: {action.reason}"
        self._components.publish([Event(type=kind, symbol=self.symbol, reason=reason, details=details)])

    def _want(self, wanted: DesiredState, reason: str) -> None:
        self._components.want(wanted, reason)
        self._change(
            lambda standing: symbol_path(standing.state, _STATE_WANTED[wanted]) if standing.state in _CALM else (),
            reason,
        )

    def _change(
        self,
        path_from: Callable[[Standing], tuple[SymbolState, ...]],
        reason: str,
        *,
        is_anew: bool = False,
    ) -> None:
        """Go through states, each a legal step, however many others write at the same time.

        Args:
            is_anew: What was tried before does not count any more.
        """
        for _ in range(_SAVE_TRIES):
            standing = self._components.standing()
            path = path_from(standing)
            now_ms = self._components.now_ms()
            following = _moved(standing, path, reason, now_ms)
            if is_anew:
                following = replace(following, course=Course(acted_ms=now_ms))
            if following == standing:
                return
            following = replace(following, watched_ms=now_ms)
            if self._components.save(following):
                self._publish(standing.state, path, reason)
                return
        raise Transient("standing", f"{self.symbol}: others wrote {_SAVE_TRIES} times in between")

    def _publish(self, before: SymbolState, path: Sequence[SymbolState], reason: str) -> None:
        events = []
        for state in path:
            is_resumed = before is SymbolState.PAUSED and state is SymbolState.RUNNING
            kind = EventType.ORCHESTRATOR_RESUMED if is_resumed else EVENT_OF[state]
            events.append(Event(type=kind, symbol=self.symbol, reason=reason, details={"before": before.value}))
            before = state
        self._components.publish(events)


def _diagnose(seen: Observation, standing: Standing) -> tuple[Sickness, ...]:
    return diagnose(seen, queued_before=standing.queued, acted_ms=standing.course.acted_ms)


def _state_now(seen: Observation, standing: Standing, found: Sequence[Sickness]) -> SymbolState:
    if seen.quarantine:
        return SymbolState.QUARANTINED
    if seen.desired is DesiredState.STOPPED:
        return SymbolState.STOPPED
    course = standing.course
    if found:
        return SymbolState.RECOVERING if course.acted_ms == seen.now_ms else SymbolState.ERROR
    if (seen.progress_ms or 0) <= course.acted_ms and course.acted_ms:
        return SymbolState.RECOVERING
    if seen.progress_ms is None and seen.desired is DesiredState.RUNNING:
        return SymbolState.INITIALIZING if standing.state is SymbolState.STOPPED else standing.state
    return _STATE_WANTED[seen.desired]


def _by_way_of_error(current: SymbolState) -> tuple[SymbolState, ...]:
    """Return the way to recovering, which a symbol that is well begins with an error."""
    first = () if current is SymbolState.QUARANTINED else symbol_path(current, SymbolState.ERROR)
    return (*first, SymbolState.RECOVERING)


def _moved(standing: Standing, path: Sequence[SymbolState], reason: str, now_ms: int) -> Standing:
    state = standing.state
    for step in path:
        state = next_symbol_state(state, step)
    return replace(standing, state=state, reason=reason, since_ms=now_ms) if path else standing
