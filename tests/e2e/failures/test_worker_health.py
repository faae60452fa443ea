"""A worker's heartbeat, and the handling of hung steps, dead processes and a hung worker.

One worker and no beat: each test sends its own ticks, so that nothing runs that it does not know of.
"""

import json
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery, Signature

from adapters.clock import now_ms
from adapters.redis import keys
from adapters.redis.heartbeats import RunningStep, WorkerBeat, read_heartbeats
from adapters.redis.task_failures import TaskFailure, TaskFailureKind, forget_task_failures, read_task_failures
from tasks.engine import revoke
from tasks.engine.revoke import end_step, queue_lists, restart_worker
from tasks.engine.stages import FIRST_STAGE, STAGES, TICK_LIFE_S
from tests.fixtures.apps.system import TradingSystem, file_symbol, is_watchdog, pool_child
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from tests.fixtures.strategies.held_up import CAUGHT, DEAF, WAITS
from trading_orchestrator.launcher.assignment import first_assignments
from trading_orchestrator.launcher.child_process import ChildProcess
from trading_orchestrator.launcher.process_specs import assignment_processes
from trading_orchestrator.launcher.supervisor import RestartPolicy, Supervisor

GOLD, STRATEGY, SERVICE = "XAUUSD", "tasks.strategy", "StrategyEvaluationService"
LONG_LIMITS: dict[str, float] = {"soft_time_limit": 60, "time_limit": 90}
LONG_ANSWER_S = 30.0
"""For a worker whose answer comes, as soon as it comes."""
SPEED = 600
"""Ten candles a second: every tick finds one."""

pytestmark = pytest.mark.timeout(200)


class Held:
    """A system of one symbol, whose strategy the test can hold up."""

    def __init__(self, folder: Path, server: RedisServer, **extra: str) -> None:
        path = write_candles(folder / "gold.csv", generated_candles(GOLD, 6_000))
        self.files = folder / "files"
        self.files.mkdir()
        strategy = {"name": "tests.fixtures.strategies.held_up:HeldUp", "params": {"folder": str(self.files)}}
        self.system = TradingSystem(
            folder / "system", server, {GOLD: file_symbol(path, speed=SPEED, strategy=strategy)}, extra=extra
        )
        self.redis = self.system.stores().redis
        self.held_ms = 0

    def send(self, app: Celery, tick_id: str, **limits: float) -> None:
        """Send a tick whose strategy step has the given limits."""
        common = {"symbol": GOLD, "deadline_ms": now_ms() + int(TICK_LIFE_S * 1000)}
        rest = [Signature(name, kwargs=common, app=app) for name in reversed(STAGES[1:])]
        rest[STAGES[:0:-1].index(STRATEGY)].set(**limits)
        app.send_task(
            FIRST_STAGE,
            kwargs=common,
            task_id=str(uuid.uuid4()),  # the worker drops an id for good once a message of it was too old
            root_id=tick_id,
            chain=rest,
            expires=TICK_LIFE_S,
            ignore_result=True,
        )

    @contextmanager
    def held(self, app: Celery, how: str = WAITS, **limits: float) -> Iterator[None]:
        """Send a tick whose strategy step is held up, and let it go at the end; by itself it goes on for a minute."""
        path, caught, tick_id = self.files / how, self.files / CAUGHT, str(uuid.uuid4())
        limits = limits or LONG_LIMITS
        self.held_ms = now_ms()
        path.write_text(tick_id)

        def is_held() -> bool:
            is_caught = caught.exists() and caught.read_text() == tick_id
            if not is_caught and not self.waits_somewhere(tick_id):
                self.send(app, tick_id, **limits)  # the one before may have found no new candle
            return is_caught

        try:
            self.system.wait_until(is_held, "a strategy that is held up")
            yield
        finally:
            path.unlink(missing_ok=True)

    def beats(self) -> list[WorkerBeat]:
        return read_heartbeats(self.redis, "trading")

    def running(self) -> Sequence[RunningStep]:
        return [step for beat in self.beats() for step in beat.running]

    def until_held(self) -> RunningStep:
        """Wait until the worker says that it runs the strategy that is held up now, and no earlier one."""

        found: list[RunningStep] = []

        def is_reported() -> bool:
            found[:] = [step for step in self.running() if step.started_ms > self.held_ms]
            return [step.name for step in found] == [STRATEGY]

        self.system.wait_until(is_reported, "a strategy that runs")
        return found[0]

    def troubles(self) -> list[TaskFailure]:
        return read_task_failures(self.redis, "trading", [GOLD])[GOLD]

    def status(self) -> dict[str, Any]:
        text: Any = self.redis.hget(keys.service("trading", GOLD), SERVICE)
        return dict(json.loads(text)) if text else {}

    def waits_somewhere(self, task_id: str) -> bool:
        """Return whether a message is on its way: in the queue, or given to a worker that has not acknowledged it."""
        lists: Any = [self.redis.hvals("unacked"), *(self.redis.lrange(name, 0, -1) for name in queue_lists(GOLD))]
        return any(task_id.encode() in text for texts in lists for text in texts)

    def until_it_decides(self, app: Celery) -> None:
        """Send ticks until one more candle is decided."""
        seen = self.system.cursor_ms(GOLD)

        def goes_on() -> bool:
            if not self.waits_somewhere("plain-tick"):
                self.send(app, "plain-tick")
            return self.system.cursor_ms(GOLD) > seen

        self.system.wait_until(goes_on, "another candle")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Held, ChildProcess, Celery]]:
    folder = tmp_path_factory.mktemp("held")
    server = RedisServer(folder / "server").start()
    held = Held(folder, server, TRADING__SUPERVISED="true")
    try:
        worker = held.system.worker(GOLD)
        with held.system.client() as app:
            held.until_it_decides(app)
            yield held, worker, app
    finally:
        held.system.stop()
        server.stop()


@pytest.fixture
def live(home: tuple[Held, ChildProcess, Celery]) -> tuple[Held, ChildProcess, Celery]:
    """The same worker, with nothing left of what other tests saw."""
    held, _, app = home
    held.until_it_decides(app)
    forget_task_failures(held.redis, "trading", GOLD)
    return home


Live = tuple[Held, ChildProcess, Celery]


def test_heartbeat_names_the_queues_and_the_step_that_runs(live: Live) -> None:
    held, worker, app = live
    with held.held(app):
        step = held.until_held()
        (beat,) = held.beats()

        assert (beat.node.split("@")[0], beat.pid) == (GOLD, worker.pid)
        assert set(beat.queues) == {GOLD, "control"}
        assert beat.is_supervised is True
        held.system.wait_until(lambda: held.beats()[0].age_s(now_ms()) < 10, "a heartbeat that is young")
        assert (step.name, step.symbol) == (STRATEGY, GOLD)
        assert beat.started_ms < step.started_ms <= beat.at_ms
    held.system.wait_until(lambda: held.running() == [], "a worker that rests")


def test_step_that_gets_the_soft_limit_is_an_error_that_reports_what_took_how_long(live: Live) -> None:
    held, _, app = live
    with held.held(app, soft_time_limit=1, time_limit=30):
        held.system.wait_until(lambda: held.status()["state"] == "error", "a service in error")

    assert held.status()["last_error"] == "SoftTimeLimitExceeded: tasks.strategy of XAUUSD still ran after 8 s"
    assert held.troubles() == []
    held.until_it_decides(app)
    held.system.wait_until(lambda: held.status()["state"] == "running", "a service that has recovered")


@pytest.mark.long
def test_step_that_is_deaf_is_killed_at_the_hard_limit_and_the_next_one_works_in_a_fresh_process(live: Live) -> None:
    held, worker, app = live
    first = pool_child(worker)
    with held.held(app, DEAF, soft_time_limit=1, time_limit=2):
        held.system.wait_until(lambda: bool(held.troubles()), "a trouble")

    (failure,) = held.troubles()
    assert (failure.kind, failure.service, failure.stage, failure.count) == (TaskFailureKind.HUNG, SERVICE, STRATEGY, 1)
    assert failure.text == "TimeLimitExceeded: tasks.strategy still ran after 10 s; its process was killed"
    status = held.status()
    assert (status["state"], status["is_healthy"], status["last_error"]) == ("error", False, failure.text)
    held.system.wait_until(lambda: not first.is_running(), "the end of the process")
    assert not held.waits_somewhere(failure.task_id)
    held.until_it_decides(app)
    assert pool_child(worker).pid != first.pid
    held.system.wait_until(lambda: held.status()["state"] == "running", "a service that works")
    assert held.troubles() == [failure], "it stays until somebody has seen it"


def test_process_that_is_killed_in_a_step_is_recorded_and_the_step_runs_again(live: Live) -> None:
    held, worker, app = live
    seen = held.system.cursor_ms(GOLD)
    with held.held(app):
        step = held.until_held()
        first = pool_child(worker)
        first.send_signal(signal.SIGKILL)
        held.system.wait_until(lambda: bool(held.troubles()), "a trouble")

        (failure,) = held.troubles()
        assert (failure.kind, failure.service, failure.task_id) == (TaskFailureKind.LOST, SERVICE, step.task_id)
        assert failure.text.startswith("WorkerLostError: the process of tasks.strategy died")
        assert "signal 9" in failure.text
        assert held.status()["last_error"] == failure.text
    held.system.wait_until(lambda: held.system.cursor_ms(GOLD) > seen, "the same message is worked on again")


def test_step_that_is_ended_from_outside_is_not_delivered_again(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revoke, "ANSWER_S", LONG_ANSWER_S)
    held, worker, app = live
    with held.held(app):
        step = held.until_held()
        (beat,) = held.beats()
        first = pool_child(worker)

        assert end_step(app, step.task_id, beat.node) is True

        held.system.wait_until(lambda: bool(held.troubles()), "a trouble")
        (failure,) = held.troubles()
        assert (failure.kind, failure.task_id) == (TaskFailureKind.LOST, step.task_id)
        assert "on request (signal 9)" in failure.text
        held.system.wait_until(lambda: held.running() == [], "a worker that rests")
        held.system.wait_until(lambda: not held.waits_somewhere(step.task_id), "its message is gone for good")
        assert end_step(app, step.task_id, beat.node) is False
    held.until_it_decides(app)
    assert pool_child(worker).pid != first.pid


def test_worker_that_is_requested_to_end_takes_its_heartbeat_and_its_watchdog_with_it(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test of this worker: it ends it."""
    held, worker, app = live
    assert worker.pid is not None
    (watchdog,) = (child for child in psutil.Process(worker.pid).children() if is_watchdog(child))
    (beat,) = held.beats()
    assert restart_worker(app, "nobody@nowhere") is False

    monkeypatch.setattr(revoke, "ANSWER_S", LONG_ANSWER_S)
    assert restart_worker(app, beat.node) is True

    assert worker.wait(60) == 0
    held.system.wait_until(lambda: not watchdog.is_running(), "the watchdog's end")
    assert held.beats() == []


@pytest.fixture
def supervised(tmp_path: Path, own_redis: RedisServer) -> Iterator[tuple[Held, Supervisor, list[str]]]:
    """A supervisor of the worker that the launcher would start, whose watchdog is impatient."""
    held = Held(tmp_path, own_redis, TRADING__WORKER_STUCK_AFTER_S="3")
    lines: list[str] = []
    policy = RestartPolicy(first_delay_s=0.1)
    supervisor = Supervisor(tmp_path / "log", report=lines.append, policy=policy)
    settings = held.system.settings.model_copy(update={"supervised": True})
    supervisor.add(assignment_processes(settings, first_assignments([GOLD], 1))[0])
    yield held, supervisor, lines
    supervisor.stop(is_forced=lambda: True)
    held.system.stop()


@pytest.mark.long
def test_worker_whose_main_process_stands_still_is_killed_and_started_again(
    supervised: tuple[Held, Supervisor, list[str]], tmp_path: Path
) -> None:
    held, supervisor, lines = supervised

    def until(condition: Any, what: str) -> None:
        def look() -> bool:
            supervisor.watch()
            return bool(condition())

        held.system.wait_until(look, f"{what}\n{lines}")

    until(held.beats, "a worker that tells of itself")
    (first,) = held.beats()
    assert first.is_supervised is True
    family = psutil.Process(first.pid).children()

    psutil.Process(first.pid).send_signal(signal.SIGSTOP)
    stopped_s = time.monotonic()

    until(lambda: any("signal 9" in line for line in lines), "the worker's end")
    assert time.monotonic() - stopped_s > 3
    until(lambda: [beat.pid for beat in held.beats()] not in ([], [first.pid]), "another worker")
    log = (tmp_path / "log" / f"worker-{GOLD}.log").read_text()
    assert f"worker_stuck node={first.node}" in log
    assert "its supervisor restarts it" in log
    assert [process for process in family if process.is_running()] == []


@pytest.mark.long
def test_worker_by_hand_whose_main_process_stands_still_is_killed_and_reported_how_to_start_again(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    held = Held(tmp_path, own_redis, TRADING__WORKER_STUCK_AFTER_S="3")
    worker = held.system.worker(GOLD)
    try:
        held.system.wait_until(lambda: bool(held.beats()), "a worker that tells of itself")
        (beat,) = held.beats()
        assert worker.pid is not None
        with held.system.client() as app:
            assert restart_worker(app, beat.node) is False, "nothing would start it again"
        assert beat.is_supervised is False

        psutil.Process(worker.pid).send_signal(signal.SIGSTOP)

        assert worker.wait(60) == -signal.SIGKILL
        assert f"restart it: celery -A tasks worker -Q {GOLD}\n" in worker.log_path.read_text()
    finally:
        held.system.stop()


@pytest.mark.long
def test_worker_without_redis_is_not_taken_for_a_stuck_one(tmp_path: Path, own_redis: RedisServer) -> None:
    """Celery's event loop rests while it connects again: four times as long as a stuck worker would live."""
    patience_s = 5
    held = Held(tmp_path, own_redis, TRADING__WORKER_STUCK_AFTER_S=str(patience_s))
    worker = held.system.worker(GOLD)
    try:
        held.system.wait_until(lambda: bool(held.beats()), "a worker that tells of itself")
        own_redis.kill()
        away_s = time.monotonic()
        held.system.wait_until(lambda: time.monotonic() - away_s > 4 * patience_s, "a long time without Redis")
        own_redis.start()

        with held.system.client() as app:
            held.until_it_decides(app)
        assert worker.ended() is None
        assert "worker_stuck" not in worker.log_path.read_text()
    finally:
        held.system.stop()
