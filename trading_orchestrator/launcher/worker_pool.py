"""The workers of a launcher: they come and go with the symbols."""

import os
import socket
import time
from collections.abc import Callable, Mapping

import redis
from celery import Celery
from celery.utils.nodenames import host_format
from kombu.exceptions import OperationalError

from adapters.ledger.ledger import SqlLedger
from adapters.redis.applied_config import Launcher
from adapters.redis.client import connect
from adapters.wiring.config_follower import ConfigFollower
from configs.diff import compare
from configs.loading import SystemConfig
from configs.settings import Settings
from trading.errors import Broken, Transient
from trading_orchestrator.launcher.assignment import WorkerAssignment, first_assignments, plan
from trading_orchestrator.launcher.child_process import ProcessSpec
from trading_orchestrator.launcher.process_specs import crew_processes, worker_name, worker_process
from trading_orchestrator.launcher.supervisor import Supervisor

LOOK_S = 1.0
LARGEST_SHARE = 0.1
"""Part of the time that may go into looking: a Redis that is slow to answer is asked less often."""

_REPLY_S = 1.0
_JOIN, _LEAVE = "add_consumer", "cancel_consumer"


class WorkerPool:
    """Starts a worker for each new symbol, or has one with room serve it too; ends the one of a symbol that is gone."""

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
        self._app = Celery("launcher", broker=redis_url, set_as_current=False)
        self._app.conf.broker_transport_options = {"socket_timeout": 5, "socket_connect_timeout": 3}
        self._unheard: dict[tuple[str, str], str] = {}
        self._next_look_s = 0.0
        self._trouble = ""

    @property
    def system(self) -> SystemConfig:
        """The configuration that is in force."""
        return self._config.system

    def specs(self) -> list[ProcessSpec]:
        """Return the workers of the symbols, in their order, and the one of the control queue."""
        return crew_processes(self._settings, self._assignments)

    def put_in_force(self, ledger: SqlLedger) -> None:
        """Write down that from now on the configuration of this start is in force, unless what is open forbids it.

        Raises:
            Broken: It does.
            Transient: Redis or the ledger does not answer, or another change came in between.
        """
        applied, wanted = self._config.applied, self._config.content()
        seen, known = applied.revision(), applied.read()
        change = compare(applied.in_force(wanted), wanted, ledger.exposure, is_running=False)
        if change.refusals:
            raise Broken(
                "the files must not be changed in this way now:\n"
                + "\n".join(f"  {refusal}" for refusal in change.refusals)
                + "\nput them back as they were, and start again"
            )
        if (known != wanted or not change.is_empty) and applied.apply(
            wanted, seen=seen, renewed=change.renewed
        ) is None:
            raise Transient("redis", "another change of the configuration came in between; start again")

    def refresh(self) -> bool:
        """Follow what was applied, when it is time; return whether it is new."""
        began_s = time.monotonic()
        if began_s < self._next_look_s:
            return False
        is_new = False
        try:
            self._config.applied.note_launcher(Launcher(socket.gethostname(), os.getpid()))
            is_new = self._config.refresh()
            self._follow()
            self._speak()
        except (Transient, OperationalError, redis.RedisError):
            pass  # the live view tells that Redis does not answer; workers and symbols stay as they are
        if self._config.trouble and self._config.trouble != self._trouble:
            self._report(f"configuration: {self._config.trouble}")
        self._trouble = self._config.trouble
        took_s = time.monotonic() - began_s
        self._next_look_s = began_s + max(LOOK_S, took_s / LARGEST_SHARE)
        return is_new

    def close(self) -> None:
        """Close the connections."""
        self._app.close()
        self._client.close()

    def _follow(self) -> None:
        """Start and end workers, and note what those that stay shall be told."""
        own = {worker_name(assignment) for assignment in self._assignments}
        others = {status.name for status in self._supervisor.statuses()} - own
        # a symbol that is there again waits until its worker of before has gone
        symbols = [name for name in self.system.symbols if worker_name(WorkerAssignment(name, ())) not in others]
        planned = plan(self._assignments, symbols, self._symbols_per_worker)
        self._assignments = planned.assignments
        for assignment, symbol in planned.left:
            self._tell(assignment, symbol, _LEAVE)
        for assignment in planned.ended:
            self._report(f"{worker_name(assignment)} ends: {', '.join(assignment.symbols)} removed")
            self._supervisor.retire(worker_name(assignment))
        for assignment, symbol in planned.joined:
            self._tell(assignment, symbol, _JOIN)
        for assignment in planned.started:
            self._supervisor.add(worker_process(self._settings, assignment))
            self._report(f"{worker_name(assignment)} starts for {', '.join(assignment.symbols)}")

    def _tell(self, assignment: WorkerAssignment, symbol: str, command: str) -> None:
        """Have a worker take on or let go a symbol: now, and whenever it starts again."""
        self._supervisor.replace(worker_process(self._settings, assignment))
        self._unheard[(assignment.name, symbol)] = command

    def _speak(self) -> None:
        """Say to workers what they have not heard yet; one that is just starting is told again at the next look."""
        for (name, symbol), command in list(self._unheard.items()):
            if name not in {assignment.name for assignment in self._assignments}:
                del self._unheard[(name, symbol)]
            elif self._is_heard(name, command, symbol):
                verb = "serves" if command == _JOIN else "serves no longer"
                self._report(f"worker-{name} {verb} {symbol}")
                del self._unheard[(name, symbol)]

    def _is_heard(self, name: str, command: str, symbol: str) -> bool:
        node = host_format(f"{name}@%h")
        replies: list[Mapping[str, Mapping[str, str]]] = self._app.control.broadcast(
            command, arguments={"queue": symbol}, destination=[node], reply=True, timeout=_REPLY_S
        )
        return any("ok" in answer for reply in replies or () for answer in reply.values())
