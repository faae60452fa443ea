"""A control message cut off by the end of its process or worker: it is reported, and never executed too late."""

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.result import AsyncResult

from tasks.engine.routing import CONTROL_QUEUE
from tests.fixtures.apps.system import TradingSystem, file_symbol, pool_child
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.errors import Rejected
from trading.lifecycle import DesiredState
from trading_orchestrator.launcher.child_process import ChildProcess

SYMBOL = "XAUUSD"
UNACKED, UNACKED_INDEX = "unacked", "unacked_index"
"""kombu's keys of the messages that were taken and not acknowledged, and of their times."""

pytestmark = pytest.mark.timeout(150)


class Cut:
    """A control task that waits for the ledger's lock, in a worker that is about to be cut off."""

    def __init__(self, system: TradingSystem, worker: ChildProcess, result: AsyncResult) -> None:
        self.system = system
        self.worker = worker
        self.result = result
        self.redis: Any = system.stores().redis

    @property
    def desired(self) -> DesiredState:
        return self.system.stores().ledger.desired(SYMBOL)

    def put_back(self) -> list[dict[str, Any]]:
        """Return the delivery info of each message that waits in the control queue."""
        return [json.loads(item)["properties"]["delivery_info"] for item in self.redis.lrange(CONTROL_QUEUE, 0, -1)]

    def is_left(self) -> bool:
        return bool(self.redis.hlen(UNACKED) or self.redis.llen(CONTROL_QUEUE))

    def let_the_visibility_time_pass(self) -> None:
        """Have the message look as if it had been taken long ago, which spares the test 20 s."""
        for tag in self.redis.zrange(UNACKED_INDEX, 0, -1):
            self.redis.zadd(UNACKED_INDEX, {tag: 1.0})


@contextmanager
def locked(system: TradingSystem) -> Iterator[None]:
    """Hold the ledger's write lock: who wants to write waits."""
    path = system.settings.ledger_url.get_secret_value().removeprefix("sqlite:///")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def running(client: Celery) -> set[str]:
    """Return the ids of the tasks that the worker is at."""
    replies = client.control.inspect(timeout=5.0, limit=1).active() or {}
    return {str(request["id"]) for requests in replies.values() for request in requests}


@contextmanager
def cut_in(system: TradingSystem, client: Celery, task: str) -> Iterator[Cut]:
    """Give a control task that has begun and cannot end."""
    worker = system.worker(SYMBOL)
    with locked(system):
        client.send_task("tasks.status").get(timeout=60)  # by now the worker's process has opened what it needs
        result = client.send_task(task, kwargs={"symbol": SYMBOL, "reason": "the first to be asked"})
        cut = Cut(system, worker, result)
        system.wait_until(lambda: result.id in running(client), "the task has begun")
        yield cut


@pytest.fixture
def system(make_system: Callable[..., TradingSystem], tmp_path: Path) -> TradingSystem:
    return make_system({SYMBOL: file_symbol(write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, 40)))})


@pytest.fixture
def client(system: TradingSystem) -> Iterator[Celery]:
    with system.client() as app:
        yield app


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT])
def test_resume_that_its_worker_did_not_finish_does_not_undo_the_pause_that_was_requested_since(
    system: TradingSystem, client: Celery, number: signal.Signals
) -> None:
    with cut_in(system, client, "tasks.resume_symbol") as cut:
        cut.worker.send(number)
        if number is signal.SIGQUIT:
            system.wait_until(lambda: [info["redelivered"] for info in cut.put_back()] == [True], "it is put back")
        cut.worker.kill()
        cut.worker.wait(60)
    system.stores().ledger.set_desired(SYMBOL, DesiredState.PAUSED, reason="asked for since")
    cut.let_the_visibility_time_pass()

    cut.worker.start()

    with pytest.raises(Rejected, match="delivered_again"):
        cut.result.get(timeout=60)
    assert cut.desired is DesiredState.PAUSED
    assert "control_rejected task=tasks.resume_symbol" in cut.worker.log_tail(30)
    system.wait_until(lambda: not cut.is_left(), "its message is gone for good")


def test_pause_whose_process_is_killed_reports_it_and_is_not_repeated(system: TradingSystem, client: Celery) -> None:
    with cut_in(system, client, "tasks.pause_symbol") as cut:
        pool_child(cut.worker).kill()

        with pytest.raises(WorkerLostError):
            cut.result.get(timeout=60)

    system.wait_until(lambda: not cut.is_left(), "its message is gone for good")
    assert cut.desired is DesiredState.RUNNING
