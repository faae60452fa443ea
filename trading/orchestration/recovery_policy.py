"""What to do about a sick symbol, and when: the ladder from a service restart to quarantine, as one pure function.

| sickness                        | first                  | then               | at the end                          |
|---------------------------------|------------------------|--------------------|-------------------------------------|
| a step raises, hangs or dies    | restart its service 3x | restart the symbol | quarantine                          |
| no progress, a queue that grows |                        | restart the symbol | quarantine                          |
| the outside does not answer     | reopen its clients 3x  | tell a person      | reopen now and then until it does   |
| no worker, or one that is stuck | tell a person          |                    | wait for its supervisor or a person |

Between two actions the waiting time doubles. A chain that ends well after an action ends the course. A course that was
taken too often, for one symbol or for all of them, is not taken again: no storm of restarts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from trading.orchestration.diagnosis import HealthIssue, HealthIssueKind
from trading.structs import replace

SERVICE_ATTEMPTS = 3
SYMBOL_ATTEMPTS = 1
LONGEST_WAIT_FACTOR = 16
_HOUR_MS = 3_600_000


class RecoveryStep(StrEnum):
    """What is done."""

    RESTART_SERVICE = "restart_service"
    RESTART_SYMBOL = "restart_symbol"
    QUARANTINE = "quarantine"
    NOTIFY = "tell"
    RECOVERED = "recovered"


class RecoveryPolicy(Struct, frozen=True):
    """How fast the ladder is climbed.

    Attributes:
        interval_s: Wait after the first action, in seconds of real time; it doubles with each that follows.
        symbol_budget: Restarts of one symbol within an hour, of its services too.
        account_budget: Restarts of all symbols together within an hour.
    """

    interval_s: float
    symbol_budget: int = 12
    account_budget: int = 60


@dataclass(frozen=True, slots=True)
class EscalationState:
    """How far up the ladder a symbol is. Times are of the wall clock, in milliseconds since the epoch.

    Attributes:
        kind: The sickness that began it; empty while the symbol is well.
        actions: Taken so far, whatever they were.
        acted_ms: When the last one was; 0 for never.
        next_ms: Before that nothing more is done.
        is_told: A person was told of it.
        restarts_ms: When its services or itself were restarted within the last hour.
    """

    kind: str = ""
    reason: str = ""
    service: str = ""
    since_ms: int = 0
    actions: int = 0
    service_attempts: int = 0
    symbol_attempts: int = 0
    acted_ms: int = 0
    next_ms: int = 0
    is_told: bool = False
    restarts_ms: tuple[int, ...] = ()


class Action(Struct, frozen=True):
    """One thing to do, and why.

    Attributes:
        attempt: Its number among those of its kind, from 1.
        most: How many of its kind there are.
    """

    step: RecoveryStep
    issue: HealthIssue | None
    reason: str
    attempt: int = 1
    most: int = 1


def escalate(
    escalation: EscalationState,
    found: Sequence[HealthIssue],
    *,
    now_ms: int,
    progress_ms: int | None,
    policy: RecoveryPolicy,
    account_restarts: int = 0,
) -> tuple[EscalationState, Action | None]:
    """Return where the symbol stands now, and what is to be done, None for nothing.

    Args:
        found: What is wrong with it, the cause that matters most first.
        progress_ms: When a chain last ended well; None when none ever did.
        account_restarts: Restarts of all symbols within the last hour.
    """
    recent = tuple(at_ms for at_ms in escalation.restarts_ms if now_ms - at_ms < _HOUR_MS)
    escalation = replace(escalation, restarts_ms=recent)
    if not found:
        return _well(escalation, progress_ms)
    issue = _most_pressing(found)
    if not escalation.kind or HealthIssueKind(escalation.kind).is_outside is not issue.kind.is_outside:
        escalation = EscalationState(
            since_ms=escalation.since_ms or now_ms, next_ms=escalation.next_ms, restarts_ms=recent
        )
    escalation = replace(escalation, kind=issue.kind.value, reason=issue.reason, service=issue.service)
    if now_ms < escalation.next_ms:
        return escalation, None
    return _act(escalation, issue, now_ms, policy, account_restarts)


def _most_pressing(found: Sequence[HealthIssue]) -> HealthIssue:
    """Return the first that is ours to heal: waiting for a feed must not hide a step that fails."""
    ours = [issue for issue in found if not issue.kind.is_outside]
    worse = [issue for issue in ours if issue.kind is not HealthIssueKind.NO_PROGRESS]
    outside = [issue for issue in found if issue.kind.is_outside]
    return next(iter((*worse, *outside, *ours)))


def _well(escalation: EscalationState, progress_ms: int | None) -> tuple[EscalationState, Action | None]:
    """End a course once a chain has ended well after its last action."""
    if not escalation.kind:
        return escalation, None
    if escalation.acted_ms and (progress_ms or 0) <= escalation.acted_ms:
        return escalation, None
    reason = (
        f"well again after {escalation.actions} action(s): {escalation.reason}" if escalation.actions else "well again"
    )
    action = Action(RecoveryStep.RECOVERED, None, reason) if escalation.actions or escalation.is_told else None
    return EscalationState(restarts_ms=escalation.restarts_ms), action


def _act(
    escalation: EscalationState, issue: HealthIssue, now_ms: int, policy: RecoveryPolicy, account_restarts: int
) -> tuple[EscalationState, Action | None]:
    if issue.kind.is_of_worker:
        return _tell(escalation, issue, now_ms, policy)
    if account_restarts >= policy.account_budget:
        why = f"{account_restarts} restarts of all symbols within an hour: none is restarted for now; {issue.reason}"
        return _tell(escalation, replace(issue, reason=why), now_ms, policy)
    if issue.kind.is_outside:
        return _reopen(escalation, issue, now_ms, policy)
    return _heal(escalation, issue, now_ms, policy)


def _heal(
    escalation: EscalationState, issue: HealthIssue, now_ms: int, policy: RecoveryPolicy
) -> tuple[EscalationState, Action | None]:
    if len(escalation.restarts_ms) >= policy.symbol_budget:
        reason = f"{len(escalation.restarts_ms)} restarts within an hour did not last: {issue.reason}"
        return _taken(escalation, Action(RecoveryStep.QUARANTINE, issue, reason), now_ms, policy)
    if issue.service and escalation.service_attempts < SERVICE_ATTEMPTS and not escalation.symbol_attempts:
        return _restart_service(escalation, issue, now_ms, policy)
    if escalation.symbol_attempts < SYMBOL_ATTEMPTS:
        attempt = escalation.symbol_attempts + 1
        action = Action(RecoveryStep.RESTART_SYMBOL, issue, issue.reason, attempt, SYMBOL_ATTEMPTS)
        return _taken(replace(escalation, symbol_attempts=attempt), action, now_ms, policy)
    reason = f"{escalation.service_attempts} service and {escalation.symbol_attempts} symbol restart(s) did not help: "
    return _taken(escalation, Action(RecoveryStep.QUARANTINE, issue, reason + issue.reason), now_ms, policy)


def _reopen(
    escalation: EscalationState, issue: HealthIssue, now_ms: int, policy: RecoveryPolicy
) -> tuple[EscalationState, Action | None]:
    """Open the clients anew, ever more rarely, and tell a person once when three times did not help."""
    if escalation.service_attempts >= SERVICE_ATTEMPTS and not escalation.is_told:
        return _tell(escalation, issue, now_ms, policy)
    if len(escalation.restarts_ms) >= policy.symbol_budget:
        return escalation, None
    return _restart_service(escalation, issue, now_ms, policy)


def _restart_service(
    escalation: EscalationState, issue: HealthIssue, now_ms: int, policy: RecoveryPolicy
) -> tuple[EscalationState, Action | None]:
    attempt = escalation.service_attempts + 1
    action = Action(RecoveryStep.RESTART_SERVICE, issue, issue.reason, attempt, SERVICE_ATTEMPTS)
    return _taken(replace(escalation, service_attempts=attempt), action, now_ms, policy)


def _tell(
    escalation: EscalationState, issue: HealthIssue, now_ms: int, policy: RecoveryPolicy
) -> tuple[EscalationState, Action | None]:
    if escalation.is_told:
        return escalation, None
    return _taken(replace(escalation, is_told=True), Action(RecoveryStep.NOTIFY, issue, issue.reason), now_ms, policy)


def _taken(
    escalation: EscalationState, action: Action, now_ms: int, policy: RecoveryPolicy
) -> tuple[EscalationState, Action]:
    wait_s = policy.interval_s * min(2**escalation.actions, LONGEST_WAIT_FACTOR)
    is_restart = action.step in (RecoveryStep.RESTART_SERVICE, RecoveryStep.RESTART_SYMBOL)
    return (
        replace(
            escalation,
            actions=escalation.actions + 1,
            acted_ms=now_ms,
            next_ms=now_ms + int(wait_s * 1000),
            restarts_ms=(*escalation.restarts_ms, now_ms) if is_restart else escalation.restarts_ms,
        ),
        action,
    )
