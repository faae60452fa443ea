"""The system under test: armed workers, a control worker and a beat, each of which can be killed and comes back."""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, cast

import psutil
from celery import Celery
from kombu.exceptions import OperationalError

from adapters.redis import keys
from adapters.redis.client import connect, talking_to_redis
from tests.chaos.kill_points.armed import FOLDER, PACE_S
from tests.chaos.kill_points.director import Director, Hit
from tests.chaos.kill_points.places import Target
from tests.chaos.systems.postgres import DEATH_LIMIT_S, KillablePostgres
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.servers.processes import is_alive
from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import Transient
from trading_orchestrator.launcher.child_process import ChildProcess

APP = "tests.chaos.kill_points.armed"
BEAT, CONTROL = "beat", "worker-control"


class ChaosSystem(TradingSystem):
    """A `TradingSystem` whose processes carry hooks; what dies is started again after a short seeded delay."""

    def __init__(
        self,
        folder: Path,
        redis: RedisServer,
        symbols: Mapping[str, Any],
        *,
        director: Director,
        director_folder: Path,
        random: Random,
        pace_s: float,
        postgres: KillablePostgres | None = None,
    ) -> None:
        databases: dict[str, str] = {}
        if postgres is not None:
            url = postgres.make_database()
            databases = {"TRADING__LEDGER_URL": url, "TRADING__PAPER_URL": url}
        extra = {
            FOLDER: str(director_folder),
            PACE_S: str(pace_s),
            "TRADING__TASK_EVENTS": "false",
            "TRADING__ORCHESTRATOR__ENABLE_AUTO_RESTART": "false",
            **databases,
        }
        super().__init__(folder, redis, symbols, extra=extra)
        self._director = director
        self._random = random
        self._postgres = postgres
        self._due_s: dict[str, float] = {}
        self._down: set[Target] = set()
        self._side = connect(redis.url)
        """For the director's threads: the stores belong to the main one."""
        self.restarts = 0

    def start_all(self) -> None:
        """Start a worker for each symbol, one for control, and beat."""
        for name in [*self.symbols, "control"]:
            self.celery(f"worker-{name}", "-A", APP, "worker", "-Q", name, "--without-gossip", "--without-mingle")
        self.celery(BEAT, "-A", APP, "beat")

    def kill_target(self, target: Target, hit: Hit) -> None:
        """Kill with SIGKILL; called while the process that hit the place waits there. Returns when it is dead."""
        match target:
            case Target.CHILD:
                _kill_child(hit)
            case Target.WORKER:
                _kill_group(hit.main_pid)
            case Target.BEAT:
                self._kill_named(BEAT)
            case Target.CONTROL:
                self._kill_named(CONTROL)
            case Target.REDIS:
                self.redis.kill()
                self._down.add(target)  # last: the main thread starts again what it finds here
            case Target.POSTGRESQL:
                assert self._postgres is not None
                self._postgres.kill()
                self._down.add(target)

    def keep_alive(self) -> None:
        """Start again what ended; must be called often, from the main thread."""
        now_s = time.monotonic()
        for name, child in self._children.items():
            if child.ended() is not None:
                self._due_s[name] = now_s + self._delay_s()
            if name in self._due_s and now_s >= self._due_s[name]:
                del self._due_s[name]
                child.start()
                self.restarts += 1
        for target in list(self._down):
            if self._due_s.setdefault(target, now_s + self._delay_s()) <= now_s:
                del self._due_s[target]
                self._down.discard(target)
                self._restart_server(target)

    def is_whole(self) -> bool:
        """Return whether nothing waits for its start."""
        return not self._due_s and not self._down and all(child.pid is not None for child in self._children.values())

    def worker_pid(self, symbol: str) -> int | None:
        """Return the process id of a symbol's worker, None while it is down."""
        return self._children[f"worker-{symbol}"].pid

    def cursors(self) -> dict[str, int]:
        """Return the cursor of each symbol; those that Redis does not tell now are missing."""
        found: dict[str, int] = {}
        with suppress(Transient):
            for symbol in self.symbols:
                with talking_to_redis():
                    text = cast("bytes | None", self._state(symbol, "cursor_ms"))
                if text:
                    found[symbol] = int(text)
        return found

    def forget(self, symbol: str) -> None:
        """Take from Redis what it knows of a symbol but its journal, as a lost second of its log does."""
        with suppress(Transient), talking_to_redis():
            self._side.delete(keys.state(self.settings.namespace, symbol))

    def lie_in_redis(self, symbol: str, field: str, value: str) -> None:
        """Have Redis say something else than the ledger, and the symbol's services begin anew."""
        key = keys.state(self.settings.namespace, symbol)
        with suppress(Transient), talking_to_redis(), self._side.pipeline(transaction=True) as pipe:
            pipe.hset(key, field, value)
            pipe.hincrby(key, "generation", 1)
            pipe.execute()

    def send(self, app: Celery, task: str, *args: str) -> None:
        """Send a control task; one that Redis does not take now is left out."""
        with suppress(OperationalError, OSError):
            app.send_task(task, args=args, ignore_result=True, retry=False)

    def kill_all(self) -> None:
        """End every process at once: the run is over, and nothing of it is to be kept."""
        for child in self._children.values():
            child.kill()
        for child in self._children.values():
            child.wait(DEATH_LIMIT_S)
        self._side.close()
        if self._stores is not None:
            self._stores.close()

    def _state(self, symbol: str, field: str) -> object:
        return self.stores().redis.hget(keys.state(self.settings.namespace, symbol), field)

    def _delay_s(self) -> float:
        return self._random.uniform(0.0, 0.3)

    def _restart_server(self, target: Target) -> None:
        if target is Target.REDIS:
            self.redis.start()
        elif self._postgres is not None:
            self._postgres.start()

    def _kill_named(self, name: str) -> None:
        child: ChildProcess = self._children[name]
        if child.pid is not None:
            _kill_group(child.pid)


def _kill_child(hit: Hit) -> None:
    """Kill the pool child: the process that hit the place, or the child of the worker that did."""
    worker = psutil.Process(hit.main_pid)
    children = worker.children() if hit.pid == hit.main_pid else [psutil.Process(hit.pid)]
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    deadline_s = time.monotonic() + DEATH_LIMIT_S
    while any(map(is_alive, children)):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"{children} live on after a SIGKILL")
        time.sleep(0.001)


def _kill_group(pid: int) -> None:
    """Kill a process with all of its group; it is ours, and stays a zombie until the main thread has noticed."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
