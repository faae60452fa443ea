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
from dataclasses import dataclass, replace
from enum import StrEnum

from trading.orchestration.diagnosis import Sickness, SicknessKind

SERVICE_ATTEMPTS = 3
SYMBOL_ATTEMPTS = 1
LONGEST_WAIT_FACTOR = 16
_HOUR_MS = 3_600_000


class Rung(StrEnum):
    """What is done."""

    RESTART_SERVICE = "restart_service"
    RESTART_SYMBOL = "restart_symbol"
    QUARANTINE = "quarantine"
    TELL = "tell"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class LadderTerms:
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
class Course:
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


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do, and why.

    Attributes:
        attempt: Its number among those of its kind, from 1.
        most: How many of its kind there are.
    """

    rung: Rung
    sickness: Sickness | None
    reason: str
    attempt: int = 1
    most: int = 1


def climb(
    course: Course,
    found: Sequence[Sickness],
    *,
    now_ms: int,
    progress_ms: int | None,
    terms: LadderTerms,
    account_restarts: int = 0,
) -> tuple[Course, Action | None]:
    """Return where the symbol stands now, and what is to be done, None for nothing.

    Args:
        found: What is wrong with it, the cause that matters most first.
        progress_ms: When a chain last ended well; None when none ever did.
        account_restarts: Restarts of all symbols within the last hour.
    """
    recent = tuple(at_ms for at_ms in course.restarts_ms if now_ms - at_ms < _HOUR_MS)
    course = replace(course, restarts_ms=recent)
    if not found:
        return _well(course, progress_ms)
    sickness = _most_pressing(found)
    if not course.kind or SicknessKind(course.kind).is_outside is not sickness.kind.is_outside:
        course = Course(since_ms=course.since_ms or now_ms, next_ms=course.next_ms, restarts_ms=recent)
    course = replace(course, kind=sickness.kind.value, reason=sickness.reason, service=sickness.service)
    if now_ms < course.next_ms:
        return course, None
    return _act(course, sickness, now_ms, terms, account_restarts)


def _most_pressing(found: Sequence[Sickness]) -> Sickness:
    """Return the first that is ours to heal: waiting for a feed must not hide a step that fails."""
    ours = [sickness for sickness in found if not sickness.kind.is_outside]
    worse = [sickness for sickness in ours if sickness.kind is not SicknessKind.NO_PROGRESS]
    outside = [sickness for sickness in found if sickness.kind.is_outside]
    return next(iter((*worse, *outside, *ours)))


def _well(course: Course, progress_ms: int | None) -> tuple[Course, Action | None]:
    """End a course once a chain has ended well after its last action."""
    if not course.kind:
        return course, None
    if course.acted_ms and (progress_ms or 0) <= course.acted_ms:
        return course, None
    reason = f"well again after {course.actions} action(s): {course.reason}" if course.actions else "well again"
    action = Action(Rung.RECOVERED, None, reason) if course.actions or course.is_told else None
    return Course(restarts_ms=course.restarts_ms), action


def _act(
    course: Course, sickness: Sickness, now_ms: int, terms: LadderTerms, account_restarts: int
) -> tuple[Course, Action | None]:
    if sickness.kind.is_of_worker:
        return _tell(course, sickness, now_ms, terms)
    if account_restarts >= terms.account_budget:
        why = f"{account_restarts} restarts of all symbols within an hour: none is restarted for now; {sickness.reason}"
        return _tell(course, replace(sickness, reason=why), now_ms, terms)
    if sickness.kind.is_outside:
        return _reopen(course, sickness, now_ms, terms)
    return _heal(course, sickness, now_ms, terms)


def _heal(course: Course, sickness: Sickness, now_ms: int, terms: LadderTerms) -> tuple[Course, Action | None]:
    if len(course.restarts_ms) >= terms.symbol_budget:
        reason = f"{len(course.restarts_ms)} restarts within an hour did not last: {sickness.reason}"
        return _taken(course, Action(Rung.QUARANTINE, sickness, reason), now_ms, terms)
    if sickness.service and course.service_attempts < SERVICE_ATTEMPTS and not course.symbol_attempts:
        return _restart_service(course, sickness, now_ms, terms)
    if course.symbol_attempts < SYMBOL_ATTEMPTS:
        attempt = course.symbol_attempts + 1
        action = Action(Rung.RESTART_SYMBOL, sickness, sickness.reason, attempt, SYMBOL_ATTEMPTS)
        return _taken(replace(course, symbol_attempts=attempt), action, now_ms, terms)
    reason = f"{course.service_attempts} service and {course.symbol_attempts} symbol restart(s) did not help: "
    return _taken(course, Action(Rung.QUARANTINE, sickness, reason + sickness.reason), now_ms, terms)


def _reopen(course: Course, sickness: Sickness, now_ms: int, terms: LadderTerms) -> tuple[Course, Action | None]:
    """Open the clients anew, ever more rarely, and tell a person once when three times did not help."""
    if course.service_attempts >= SERVICE_ATTEMPTS and not course.is_told:
        return _tell(course, sickness, now_ms, terms)
    if len(course.restarts_ms) >= terms.symbol_budget:
        return course, None
    return _restart_service(course, sickness, now_ms, terms)


def _restart_service(
    course: Course, sickness: Sickness, now_ms: int, terms: LadderTerms
) -> tuple[Course, Action | None]:
    attempt = course.service_attempts + 1
    action = Action(Rung.RESTART_SERVICE, sickness, sickness.reason, attempt, SERVICE_ATTEMPTS)
    return _taken(replace(course, service_attempts=attempt), action, now_ms, terms)


def _tell(course: Course, sickness: Sickness, now_ms: int, terms: LadderTerms) -> tuple[Course, Action | None]:
    if course.is_told:
        return course, None
    return _taken(replace(course, is_told=True), Action(Rung.TELL, sickness, sickness.reason), now_ms, terms)


def _taken(course: Course, action: Action, now_ms: int, terms: LadderTerms) -> tuple[Course, Action]:
    wait_s = terms.interval_s * min(2**course.actions, LONGEST_WAIT_FACTOR)
    is_restart = action.rung in (Rung.RESTART_SERVICE, Rung.RESTART_SYMBOL)
    return (
        replace(
            course,
            actions=course.actions + 1,
            acted_ms=now_ms,
            next_ms=now_ms + int(wait_s * 1000),
            restarts_ms=(*course.restarts_ms, now_ms) if is_restart else course.restarts_ms,
        ),
        action,
    )
