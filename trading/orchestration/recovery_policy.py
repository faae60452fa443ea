"""Recovery policy: the steps from a service restart to quarantine, and their timing, as one pure function.

| health issue                       | first                  | then               | finally                        |
|------------------------------------|------------------------|--------------------|--------------------------------|
| a step raises, hangs or dies       | restart its service 3x | restart the symbol | quarantine                     |
| no progress, a growing queue       |                        | restart the symbol | quarantine                     |
| an external system does not answer | reopen its clients 3x  | notify an operator | reopen periodically            |
| no worker, or a hung one           | notify an operator     |                    | wait for supervisor / operator |
| a fence or cursor in the future    | notify an operator     |                    | wait for the operator          |

The waiting time doubles with each action. A successful run after an action resets the escalation. Budgets of restarts,
per symbol and for all symbols together, prevent a storm of restarts.
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
    """Actions of the recovery policy; the values are stored."""

    RESTART_SERVICE = "restart_service"
    RESTART_SYMBOL = "restart_symbol"
    QUARANTINE = "quarantine"
    NOTIFY = "tell"
    RECOVERED = "recovered"


class RecoveryPolicy(Struct, frozen=True):
    """Timing and budgets of recovery.

    Attributes:
        interval_s: Wait after the first action, in seconds of real time; it doubles with each further action.
        symbol_budget: Restarts of one symbol, including its services, per hour.
        account_budget: Restarts of all symbols together per hour.
    """

    interval_s: float
    symbol_budget: int = 12
    account_budget: int = 60


@dataclass(frozen=True, slots=True)
class EscalationState:
    """A symbol's progress through the recovery steps. Times are wall-clock milliseconds since the epoch.

    Attributes:
        kind: The issue that began it; empty while the symbol is healthy.
        actions: Number of actions taken so far, of any kind.
        acted_ms: Time of the last action; 0 for none.
        next_ms: Earliest time of the next action.
        is_told: An operator was notified.
        restarts_ms: Times of the restarts of the symbol or its services within the last hour.
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
    """One recovery action, and its reason.

    Attributes:
        attempt: Number of this action among those of its kind, from 1.
        most: Maximum number of actions of its kind.
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
    """Return the symbol's new escalation state, and the action to take; None for no action.

    Args:
        found: Its health issues, the most important cause first.
        progress_ms: Time of the last successful run; None if there was none.
        account_restarts: Restarts of all symbols within the last hour.
    """
    recent = tuple(at_ms for at_ms in escalation.restarts_ms if now_ms - at_ms < _HOUR_MS)
    escalation = replace(escalation, restarts_ms=recent)
    if not found:
        return _recovered(escalation, progress_ms)
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
    """Return the first internal issue: waiting for a feed must not hide a failing step."""
    internal = [issue for issue in found if not issue.kind.is_outside]
    severe = [issue for issue in internal if issue.kind is not HealthIssueKind.NO_PROGRESS]
    external = [issue for issue in found if issue.kind.is_outside]
    return next(iter((*severe, *external, *internal)))


def _recovered(escalation: EscalationState, progress_ms: int | None) -> tuple[EscalationState, Action | None]:
    """Reset the escalation after a successful run since its last action."""
    if not escalation.kind:
        return escalation, None
    if escalation.acted_ms and (progress_ms or 0) <= escalation.acted_ms:
        return escalation, None
    reason = (
        f"recovered after {escalation.actions} action(s): {escalation.reason}" if escalation.actions else "recovered"
    )
    action = Action(RecoveryStep.RECOVERED, None, reason) if escalation.actions or escalation.is_told else None
    return EscalationState(restarts_ms=escalation.restarts_ms), action


def _act(
    escalation: EscalationState, issue: HealthIssue, now_ms: int, policy: RecoveryPolicy, account_restarts: int
) -> tuple[EscalationState, Action | None]:
    if issue.kind.needs_operator:
        return _notify(escalation, issue, now_ms, policy)
    if account_restarts >= policy.account_budget:
        why = f"{account_restarts} restarts of all symbols within an hour; restarts are suspended: {issue.reason}"
        return _notify(escalation, replace(issue, reason=why), now_ms, policy)
    if issue.kind.is_outside:
        return _reopen(escalation, issue, now_ms, policy)
    return _recover(escalation, issue, now_ms, policy)


def _recover(
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
    """Reopen the clients at growing intervals, and notify an operator once after three failed attempts."""
    if escalation.service_attempts >= SERVICE_ATTEMPTS and not escalation.is_told:
        return _notify(escalation, issue, now_ms, policy)
    if len(escalation.restarts_ms) >= policy.symbol_budget:
        return escalation, None
    return _restart_service(escalation, issue, now_ms, policy)


def _restart_service(
    escalation: EscalationState, issue: HealthIssue, now_ms: int, policy: RecoveryPolicy
) -> tuple[EscalationState, Action | None]:
    attempt = escalation.service_attempts + 1
    action = Action(RecoveryStep.RESTART_SERVICE, issue, issue.reason, attempt, SERVICE_ATTEMPTS)
    return _taken(replace(escalation, service_attempts=attempt), action, now_ms, policy)


def _notify(
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
