"""Keep children alive: start, restart with a growing delay, stop in order."""

import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from trading.formatting import format_exit
from trading_orchestrator.launcher.child_process import ChildProcess, ProcessSpec

Report = Callable[[str], None]

POLL_S = 0.05
KILL_WAIT_S = 5.0


class RestartPolicy(Struct, frozen=True):
    """A child is always restarted; the delay doubles with each quick death.

    Attributes:
        good_life_s: A child that ran for at least this long restarts after `first_delay_s`.
        steady_s: A child restarted after an error that has run for this long is no longer reported as failing.
    """

    first_delay_s: float = 1.0
    max_delay_s: float = 30.0
    good_life_s: float = 60.0
    steady_s: float = 15.0

    def delay_s(self, quick_deaths: int) -> float:
        """Return the seconds to wait before a restart after `quick_deaths` consecutive quick deaths, at least 1."""
        return min(self.first_delay_s * 2.0 ** min(quick_deaths - 1, 32), self.max_delay_s)


class ChildState(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"


class ChildStatus(Struct, frozen=True):
    """Status of a child.

    Attributes:
        restarts: Number of restarts since the supervisor started.
        last_error: Last line of its log at its last end with an error; empty after any other end.
        is_failing: It waits for a restart, or was restarted after an error less than `RestartPolicy.steady_s` ago.
    """

    name: str
    state: ChildState
    pid: int | None
    restarts: int
    last_exit_code: int | None
    last_error: str = ""
    is_failing: bool = False


class Supervised:
    """A child process and the state for its next restart."""

    def __init__(self, process: ChildProcess, policy: RestartPolicy) -> None:
        self.process = process
        self.policy = policy
        self.started_s = 0.0
        self.restart_at_s: float | None = None
        self.quick_deaths = 0
        self.restarts = 0
        self.last_exit_code: int | None = None
        self.last_error = ""
        self.leaves: _Escalation | None = None

    @property
    def name(self) -> str:
        return self.process.spec.name

    def start(self, now_s: float) -> None:
        self.process.start()
        self.started_s = now_s
        self.restart_at_s = None

    def plan_restart(self, exit_code: int, now_s: float) -> float:
        """Record a death and return the seconds until the next start."""
        self.last_exit_code = exit_code
        self.last_error = self.process.last_line() if exit_code > 0 else ""
        if now_s - self.started_s >= self.policy.good_life_s:
            self.quick_deaths = 0
        self.quick_deaths += 1
        delay_s = self.policy.delay_s(self.quick_deaths)
        self.restart_at_s = now_s + delay_s
        return delay_s

    def status(self, now_s: float) -> ChildStatus:
        state = ChildState.WAITING if self.restart_at_s is not None else ChildState.STOPPED
        if self.process.pid is not None:
            state = ChildState.RUNNING
        is_steady = state is ChildState.RUNNING and now_s - self.started_s >= self.policy.steady_s
        is_failing = state is ChildState.WAITING or (bool(self.last_error) and not is_steady)
        return ChildStatus(
            self.name, state, self.process.pid, self.restarts, self.last_exit_code, self.last_error, is_failing
        )


class Supervisor:
    """Children in the order in which they were added.

    All work runs in the caller's thread, which must be the main one: `watch` detects deaths and starts children that
    are due, so call it a few times per second.

    Args:
        log_dir: Folder for one `<name>.log` per child.
        report: Receives one line per event.
        pause: Waits for the given seconds, or less when a signal arrives.
    """

    def __init__(
        self,
        log_dir: Path,
        *,
        report: Report,
        policy: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._log_dir = log_dir
        self._report = report
        self._policy = policy or RestartPolicy()
        self._clock = clock
        self._pause = pause
        self._children: dict[str, Supervised] = {}

    def add(self, spec: ProcessSpec) -> ChildProcess:
        """Start a child and keep it alive from now on."""
        if spec.name in self._children:
            raise ValueError(f"two children are named {spec.name}")
        child = Supervised(ChildProcess(spec, self._log_dir), self._policy)
        self._children[spec.name] = child
        child.start(self._clock())
        return child.process

    def replace(self, spec: ProcessSpec) -> None:
        """Use another spec for the next start of the child of that name; the running process continues."""
        self._children[spec.name].process.spec = spec

    def retire(self, name: str) -> None:
        """Stop a child without a restart and remove it when it has ended; `watch` does both."""
        child = self._children[name]
        child.restart_at_s = None
        child.leaves = _Escalation(child.process, self._clock())

    def watch(self) -> None:
        """Check each child once: record ended ones, start those that are due, rotate the logs."""
        now_s = self._clock()
        for child in list(self._children.values()):
            if child.leaves is not None:
                self._finish_retired(child, child.leaves, now_s)
                continue
            child.process.keep_log_short()
            exit_code = child.process.ended()
            if exit_code is not None:
                delay_s = child.plan_restart(exit_code, now_s)
                error = f": {child.last_error}" if child.last_error else ""
                self._report(f"{child.name} ended ({format_exit(exit_code)}), restarts in {delay_s:g} s{error}")
            elif child.restart_at_s is not None and now_s >= child.restart_at_s:
                child.start(now_s)
                child.restarts += 1
                self._report(f"{child.name} restarted as process {child.process.pid}")

    def _finish_retired(self, child: Supervised, leaves: "_Escalation", now_s: float) -> None:
        exit_code = child.process.ended()
        if exit_code is None and child.process.pid is not None:
            self._report_exit(child.name, leaves.advance(now_s, forced=False))
            return
        self._report_exit(child.name, "stopped" if exit_code is None else f"stopped ({format_exit(exit_code)})")
        del self._children[child.name]

    def statuses(self) -> Sequence[ChildStatus]:
        now_s = self._clock()
        return [child.status(now_s) for child in self._children.values()]

    def stop(self, *, is_forced: Callable[[], bool] = lambda: False) -> None:
        """Stop all children, the lowest rank first, and return when none is left.

        Each receives its signals in turn; a child that outlives the last one is killed with its group.

        Args:
            is_forced: Polled while children stop; once it returns True, all remaining children are killed.
        """
        for child in self._children.values():
            child.restart_at_s = None
        by_rank = sorted(self._children.values(), key=_rank)
        for _, rank in groupby(by_rank, key=_rank):
            self._stop_together(list(rank), is_forced)

    def _stop_together(self, children: Sequence[Supervised], is_forced: Callable[[], bool]) -> None:
        began_s = self._clock()
        steps = {child.name: _Escalation(child.process, began_s) for child in children}
        while True:
            left = [child for child in children if child.process.pid is not None]
            for child in left:
                exit_code = child.process.ended()
                if exit_code is None:
                    self._report_exit(child.name, steps[child.name].advance(self._clock(), is_forced()))
                else:
                    child.last_exit_code = exit_code
                    self._report_exit(child.name, f"stopped ({format_exit(exit_code)})")
            if not _alive(children):
                return
            self._pause(POLL_S)

    def _report_exit(self, name: str, what: str | None) -> None:
        if what:
            self._report(f"{name} {what}")


class _Escalation:
    """The next signal of a stopping child, and its time."""

    def __init__(self, process: ChildProcess, now_s: float) -> None:
        self._process = process
        self._signals = list(process.spec.stop_signals)
        self._next_at_s = now_s
        self._first = True

    def advance(self, now_s: float, forced: bool) -> str | None:
        """Send the signal that is due and return a message for the user."""
        if not forced and now_s < self._next_at_s:
            return None
        if forced or not self._signals:
            self._process.kill()
            self._next_at_s = now_s + KILL_WAIT_S
            return None if forced else "did not end and was killed"
        number, wait_s = self._signals.pop(0)
        self._next_at_s = now_s + wait_s
        self._process.send(number)
        was_first, self._first = self._first, False
        return None if was_first else f"is still running; sent {number.name}"


def _rank(child: Supervised) -> int:
    return child.process.spec.stop_rank


def _alive(children: Iterable[Supervised]) -> bool:
    return any(child.process.pid is not None for child in children)
