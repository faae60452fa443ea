"""Workers of a launcher, started and stopped as symbols are added and removed."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import redis
from celery import Celery
from celery.utils.nodenames import host_format
from kombu.exceptions import OperationalError

from adapters.ledger.ledger import SqlLedger
from adapters.redis.applied_config import EndedProcess, Launcher
from adapters.redis.client import connect
from adapters.wiring.config_follower import ConfigFollower
from configs.diff import compare
from configs.loading import SystemConfig
from configs.redis_url import parse_redis_url
from configs.settings import Settings
from trading.errors import Broken, Transient
from trading_orchestrator.launcher.assignment import WorkerAssignment, first_assignments, plan
from trading_orchestrator.launcher.child_process import ProcessSpec
from trading_orchestrator.launcher.process_specs import assignment_processes, worker_name, worker_process
from trading_orchestrator.launcher.supervisor import Supervisor

LOOK_S = 1.0
LARGEST_SHARE = 0.1
"""Maximum share of time spent polling; a slow Redis is polled less often."""

RENEWED_S = 3.0
"""How long another machine's launcher may take to renew its record; a slow Redis is written to less often."""

_REPLY_S = 1.0
_JOIN, _LEAVE = "add_consumer", "cancel_consumer"


class WorkerPool:
    """Assigns a worker to each new symbol, starting one if needed, and stops the worker of a removed symbol."""

    def __init__(
        self,
        settings: Settings,
        system: SystemConfig,
        supervisor: Supervisor,
        *,
        redis_url: str,
        symbols_per_worker: int,
        report: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._report = report
        self._symbols_per_worker = symbols_per_worker
        self._client: redis.Redis = connect(redis_url)
        self._config = ConfigFollower(settings, system, self._client)
        self._assignments = first_assignments(list(system.symbols), symbols_per_worker)
        self._app = Celery("launcher", broker=parse_redis_url(redis_url).broker_url, set_as_current=False)
        self._app.conf.broker_transport_options = {"socket_timeout": 5, "socket_connect_timeout": 3}
        self._unheard: dict[tuple[str, str], str] = {}
        self._next_look_s = 0.0
        self._trouble = ""

    @property
    def system(self) -> SystemConfig:
        """The applied configuration."""
        return self._config.system

    def specs(self) -> list[ProcessSpec]:
        """Return the workers of the symbols, in order, and the control worker."""
        return assignment_processes(self._settings, self._assignments)

    def put_in_force(self, ledger: SqlLedger) -> None:
        """Record the configuration of this start as applied, unless open orders or positions forbid it.

        Raises:
            Broken: An open order or position forbids a change.
            Transient: Redis or the ledger does not answer, or another change was applied first.
        """
        applied, target = self._config.applied, self._config.content()
        seen, known = applied.revision(), applied.read()
        change = compare(applied.in_force(target), target, ledger.exposure, is_running=False)
        if change.refusals:
            raise Broken(
                "the configuration changes are rejected:\n"
                + "\n".join(f"  {refusal}" for refusal in change.refusals)
                + "\nrevert them, then restart"
            )
        if (known != target or not change.is_empty) and applied.apply(
            target, seen=seen, renewed=change.renewed
        ) is None:
            raise Transient("redis", "another configuration change was applied first; restart")

    def refresh(self) -> bool:
        """Read the applied configuration when a poll is due; return whether it changed."""
        began_s = time.monotonic()
        if began_s < self._next_look_s:
            return False
        is_new = False
        try:
            self._config.applied.record_launcher(self._launcher(tuple(self._ended())))
            is_new = self._config.refresh()
            self._follow()
            self._send_pending()
        except (Transient, OperationalError, redis.RedisError):
            pass  # the live view reports that Redis does not answer; workers and symbols stay unchanged
        if self._config.trouble and self._config.trouble != self._trouble:
            self._report(f"configuration: {self._config.trouble}")
        self._trouble = self._config.trouble
        took_s = time.monotonic() - began_s
        self._next_look_s = began_s + max(LOOK_S, took_s / LARGEST_SHARE)
        return is_new

    def _launcher(self, ended: tuple[EndedProcess, ...] = ()) -> Launcher:
        return Launcher(socket.gethostname(), os.getpid(), ended, str(Path.cwd()))

    def reject_second(self) -> None:
        """Claim this Redis for this launcher.

        Raises:
            Broken: Another launcher runs on it.
            Transient: Redis does not answer.
        """
        applied = self._config.applied
        other = applied.launcher()
        if other is not None and self._is_running(other):
            raise Broken(
                f"{other} runs on this Redis, and two of them would start each worker twice. Stop it, or give this "
                "system its own Redis: another TRADING__REDIS_URL, or none"
            )
        applied.record_launcher(self._launcher())

    def _is_running(self, other: Launcher) -> bool:
        """Return whether a launcher runs: its process, or on another machine whether it renews its record."""
        if other.host == socket.gethostname():
            return other.pid != os.getpid() and psutil.pid_exists(other.pid)
        deadline_s = time.monotonic() + RENEWED_S
        while time.monotonic() < deadline_s:
            age_s = self._config.applied.launcher_age_s()
            if age_s is None:
                return False
            if age_s < LOOK_S / 2:
                return True
            time.sleep(LOOK_S / 10)
        return False

    def _ended(self) -> Iterator[EndedProcess]:
        """Yield the processes that wait for a restart after a failure, or were restarted a moment ago."""
        symbols = {worker_name(assignment): tuple(assignment.symbols) for assignment in self._assignments}
        for child in self._supervisor.statuses():
            if child.is_failing and child.last_exit_code:  # 0 is a restart on request
                served = symbols.get(child.name, ())
                yield EndedProcess(child.name, served, child.restarts, child.last_exit_code, child.last_error)

    def close(self) -> None:
        """Close the connections."""
        self._app.close()
        self._client.close()

    def _follow(self) -> None:
        """Start and stop workers, and record the commands for the remaining ones."""
        own = {worker_name(assignment) for assignment in self._assignments}
        others = {status.name for status in self._supervisor.statuses()} - own
        # a symbol that was added again waits until its former worker has ended
        symbols = [name for name in self.system.symbols if worker_name(WorkerAssignment(name, ())) not in others]
        planned = plan(self._assignments, symbols, self._symbols_per_worker)
        self._assignments = planned.assignments
        for assignment, symbol in planned.left:
            self._assign(assignment, symbol, _LEAVE)
        for assignment in planned.ended:
            self._report(f"{worker_name(assignment)} ends: {', '.join(assignment.symbols)} removed")
            self._supervisor.retire(worker_name(assignment))
        for assignment, symbol in planned.joined:
            self._assign(assignment, symbol, _JOIN)
        for assignment in planned.started:
            self._supervisor.add(worker_process(self._settings, assignment))
            self._report(f"{worker_name(assignment)} starts for {', '.join(assignment.symbols)}")

    def _assign(self, assignment: WorkerAssignment, symbol: str, command: str) -> None:
        """Add a symbol to a worker or remove it, now and at each restart of the worker."""
        self._supervisor.replace(worker_process(self._settings, assignment))
        self._unheard[(assignment.name, symbol)] = command

    def _send_pending(self) -> None:
        """Send pending commands to workers; a starting worker receives them again at the next poll."""
        for (name, symbol), command in list(self._unheard.items()):
            if name not in {assignment.name for assignment in self._assignments}:
                del self._unheard[(name, symbol)]
            elif self._is_confirmed(name, command, symbol):
                change = "now serves" if command == _JOIN else "no longer serves"
                self._report(f"worker-{name} {change} {symbol}")
                del self._unheard[(name, symbol)]

    def _is_confirmed(self, name: str, command: str, symbol: str) -> bool:
        node = host_format(f"{name}@%h")
        replies: list[Mapping[str, Mapping[str, str]]] = self._app.control.broadcast(
            command, arguments={"queue": symbol}, destination=[node], reply=True, timeout=_REPLY_S
        )
        return any("ok" in answer for reply in replies or () for answer in reply.values())
