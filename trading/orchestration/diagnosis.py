"""Diagnose a symbol's health issues from observations. Pure: every observation is an argument.

An issue is internal or external. Internal issues (a step that raises, hangs or dies) may be fixed by a restart;
otherwise they need an operator. External issues (a feed that does not answer) are waited out: they are reported, the
clients are reopened periodically, and they never lead to a quarantine.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from trading.incidents.incident import Incident
from trading.lifecycle import DesiredState, PositionPolicy, ServiceState
from trading.orchestration.phase import Phase
from trading.services.status import ErrorKind, LastError, ServiceStatus
from trading.trading_state import Processing, permissions


class HealthIssueKind(StrEnum):
    """Kinds of health issues, causes before their consequences."""

    WORKER_STUCK = "worker_stuck"
    NO_CONSUMER = "no_consumer"
    STEP_HUNG = "step_hung"
    STEP_LOST = "step_lost"
    STEP_FAILED = "step_failed"
    OUTSIDE_FAILED = "outside_failed"
    NO_PROGRESS = "no_progress"
    FEED_SILENT = "feed_silent"
    QUEUE_GROWS = "queue_grows"
    FENCE_AHEAD = "fence_ahead"
    MESSAGE_REJECTED = "message_rejected"

    @property
    def is_outside(self) -> bool:
        """Whether waiting resolves it: a restart of the services does not reach its cause."""
        return self in (HealthIssueKind.OUTSIDE_FAILED, HealthIssueKind.FEED_SILENT)

    @property
    def is_of_worker(self) -> bool:
        """Whether no process exists that could carry out a command."""
        return self in (HealthIssueKind.WORKER_STUCK, HealthIssueKind.NO_CONSUMER)

    @property
    def needs_operator(self) -> bool:
        """Whether no restart helps: an operator is notified, and has to act."""
        return self.is_of_worker or self is HealthIssueKind.FENCE_AHEAD

    @property
    def is_notice(self) -> bool:
        """Whether the symbol works in spite of it; its incident notifies an operator."""
        return self is HealthIssueKind.MESSAGE_REJECTED


class HealthIssue(Struct, frozen=True):
    """One health issue.

    Attributes:
        reason: Description of the observation, with its values.
        service: The affected service; empty for none.
    """

    kind: HealthIssueKind
    reason: str
    service: str = ""


class WorkerHeartbeat(Struct, frozen=True):
    """The heartbeat of a worker that consumes the symbol's queue.

    Attributes:
        age_s: Seconds since the last heartbeat of its main process.
        up_s: Seconds since its start.
    """

    node: str
    age_s: float
    up_s: float


class TaskFailure(Struct, frozen=True):
    """A step that could not report its own end: it hung until its process was killed, or its process died."""

    service: str
    is_hung: bool
    reason: str
    at_ms: int


class HealthSnapshot(Struct, frozen=True):
    """Observations of a symbol at one moment. Times are wall-clock milliseconds since the epoch, UTC.

    Attributes:
        services: Status of each service.
        reported_ms: Time at which those were stored; 0 for never.
        progress_ms: Time of the last successful run of the chain; None if there was none.
        stale_s: Allowed seconds without a successful run.
        is_open: Whether the market trades now.
        feed: Problem of a feed that answers; empty for none.
        queued: Messages waiting in the symbol's queue.
        workers: None if there are no workers to report, as in a single process.
        incidents: Open incidents of its positions: no restart ends them, so they are reported and never escalate.
        ahead: Why the symbol decides nothing until the market has come as far as its fence or cursor; empty for none.
        rejected: The newest message that was rejected, until an operator resolves its incident; empty for none.
        began_ms: Nothing before this time counts as overdue: the symbol was not monitored, or an action was just taken.
    """

    now_ms: int
    desired: DesiredState
    services: Sequence[ServiceStatus] = ()
    reported_ms: int = 0
    progress_ms: int | None = None
    stale_s: float = 60.0
    is_open: bool = True
    feed: str = ""
    ahead: str = ""
    rejected: str = ""
    failures: Sequence[TaskFailure] = ()
    queued: int = 0
    workers: Sequence[WorkerHeartbeat] | None = None
    began_ms: int = 0
    quarantine: PositionPolicy | None = None
    incidents: Sequence[Incident] = ()
    phase: Phase = Phase()
    last_error: LastError | None = None

    @property
    def silence_s(self) -> float:
        """Seconds since the last successful run, or since one became possible."""
        since_ms = max(self.progress_ms or 0, self.began_ms)
        return max(0.0, min([(self.now_ms - since_ms) / 1000, *(worker.up_s for worker in self.awake)]))

    @property
    def awake(self) -> Sequence[WorkerHeartbeat]:
        return [worker for worker in self.workers or () if worker.age_s <= WORKER_SILENT_S]


WORKER_SILENT_S = 15.0
"""A worker sends a heartbeat every 2 s; after this time without one, its main process is hung or has exited."""

WORKER_GRACE_S = 20.0
"""A worker takes seconds to start or restart: for this long a queue without a consumer is no issue."""

QUEUE_LIMIT = 200
"""Messages in one symbol's queue: ticks expire within an interval, so this many are a flood."""

_KIND_OF_ERROR: Mapping[ErrorKind | None, HealthIssueKind] = {
    ErrorKind.TIME_LIMIT: HealthIssueKind.STEP_HUNG,
    ErrorKind.PROCESS_LOST: HealthIssueKind.STEP_LOST,
}


def diagnose(seen: HealthSnapshot, *, queued_before: int = 0, acted_ms: int = 0) -> tuple[HealthIssue, ...]:
    """Return the health issues, the most important cause first; none for a symbol that should not run.

    Args:
        queued_before: Messages that waited at the last check.
        acted_ms: Time of the last action: earlier errors are already handled.
    """
    if permissions(seen.desired, policy=seen.quarantine).processing is not Processing.FULL:
        return ()
    found = [
        *_workers(seen),
        *_steps(seen, acted_ms),
        *_progress(seen),
        *_feed(seen),
        *_queue(seen, queued_before),
        *_messages(seen),
    ]
    return tuple(sorted(found, key=lambda issue: list(HealthIssueKind).index(issue.kind)))


def _workers(seen: HealthSnapshot) -> Iterator[HealthIssue]:
    if seen.workers is None or seen.awake or seen.silence_s < WORKER_GRACE_S:
        return
    if seen.workers:
        names = ", ".join(f"{worker.node} (silent for {worker.age_s:.0f} s)" for worker in seen.workers)
        yield HealthIssue(HealthIssueKind.WORKER_STUCK, f"its worker does not move: {names}")
    else:
        yield HealthIssue(HealthIssueKind.NO_CONSUMER, "no worker consumes its queue")


def _steps(seen: HealthSnapshot, acted_ms: int) -> Iterator[HealthIssue]:
    """Find errors after the last success; an error while the market is closed counts as silence of the feed."""
    after_ms = max(seen.progress_ms or 0, acted_ms)
    reported = set()
    for failure in seen.failures:
        if failure.at_ms > after_ms:
            kind = HealthIssueKind.STEP_HUNG if failure.is_hung else HealthIssueKind.STEP_LOST
            reported.add(failure.service)
            yield HealthIssue(kind, failure.reason, failure.service)
    for service in seen.services:
        name, error = service.service_name, service.last_error or ""
        if service.state is not ServiceState.ERROR or name in reported or seen.reported_ms <= acted_ms:
            continue
        if not service.is_outside:
            yield HealthIssue(_KIND_OF_ERROR.get(service.error_kind, HealthIssueKind.STEP_FAILED), error, name)
        elif seen.is_open:
            yield HealthIssue(HealthIssueKind.OUTSIDE_FAILED, error, name)


def _progress(seen: HealthSnapshot) -> Iterator[HealthIssue]:
    if seen.silence_s <= seen.stale_s:
        return
    if not seen.is_open and any(service.is_outside for service in seen.services):
        return
    yield HealthIssue(
        HealthIssueKind.NO_PROGRESS,
        f"no chain has ended well for {seen.silence_s:.0f} s, {seen.stale_s:.0f} s are allowed",
    )


def _feed(seen: HealthSnapshot) -> Iterator[HealthIssue]:
    if seen.feed and seen.is_open:
        yield HealthIssue(HealthIssueKind.FEED_SILENT, seen.feed, "DataFetchingService")


def _queue(seen: HealthSnapshot, queued_before: int) -> Iterator[HealthIssue]:
    if seen.queued > QUEUE_LIMIT and seen.queued >= queued_before > QUEUE_LIMIT / 2:
        yield HealthIssue(
            HealthIssueKind.QUEUE_GROWS, f"{seen.queued} messages wait in its queue, {queued_before} at the last look"
        )


def _messages(seen: HealthSnapshot) -> Iterator[HealthIssue]:
    """Find what forged or corrupt messages have done: the symbol answers every tick, and is not well."""
    if seen.ahead:
        yield HealthIssue(HealthIssueKind.FENCE_AHEAD, seen.ahead)
    if seen.rejected:
        yield HealthIssue(HealthIssueKind.MESSAGE_REJECTED, seen.rejected)
