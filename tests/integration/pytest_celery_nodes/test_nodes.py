"""Kill the worker, restart the broker: the chain continues, and each candle is decided once."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from pytest_celery import CeleryTestSetup

from adapters.redis import keys
from adapters.sources.file import read_candles
from configs.settings import Settings
from tasks.engine.send_tick import send_tick

SYMBOL = "XAUUSD"
NAMESPACE = Settings.model_fields["namespace"].default
ANSWER_WAIT_S = 60.0
LIMIT_S = 90.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def decided(celery_setup: CeleryTestSetup) -> Iterator[Callable[[], list[int]]]:
    """Return the open times of the candles decided, in milliseconds, in the order of the decisions."""
    client = redis.Redis.from_url(celery_setup.broker.config()["host_url"])

    def read() -> list[int]:
        entries: Any = client.xrange(keys.journal(NAMESPACE, SYMBOL))
        return [int(entry.split(b"-")[0]) for entry, _ in entries]

    yield read
    client.close()


def wake(setup: CeleryTestSetup) -> None:
    """Send a tick, as beat does."""
    send_tick(setup.app, SYMBOL, tick_id=f"tick:{SYMBOL}:{time.time_ns()}", life_s=60.0)


def call_task(setup: CeleryTestSetup, task: str, *arguments: str) -> Any:
    return setup.app.send_task(task, args=arguments).get(timeout=ANSWER_WAIT_S)


def wait_for(setup: CeleryTestSetup, decided: Callable[[], list[int]], count: int) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while len(decided()) < count:
        if time.monotonic() > deadline_s:
            pytest.fail(
                f"{len(decided())} of {count} candles decided after {LIMIT_S:g} s:\n{setup.worker.logs()[-4000:]}"
            )
        time.sleep(0.02)


def test_worker_requested_by_message_answers_from_the_ledger(celery_setup: CeleryTestSetup) -> None:
    before = call_task(celery_setup, "tasks.status")
    change = call_task(celery_setup, "tasks.pause_symbol", SYMBOL)
    after = call_task(celery_setup, "tasks.status", SYMBOL)

    assert [row["symbol"] for row in before] == [SYMBOL]
    assert (before[0]["desired"], change["before"], change["now"], after[0]["desired"]) == (
        "running", "running", "paused", "paused",
    )  # fmt: skip


def test_worker_has_the_name_of_its_queue(celery_setup: CeleryTestSetup) -> None:
    deadline_s = time.monotonic() + ANSWER_WAIT_S
    answers: Any = []
    while not answers and time.monotonic() < deadline_s:  # one that is busy may be late once
        answers = celery_setup.app.control.ping(timeout=2.0)

    assert answers == [{celery_setup.worker.hostname(): {"ok": "pong"}}]


@pytest.mark.long
def test_worker_killed_with_a_chain_in_flight_continues_after_its_restart(
    celery_setup: CeleryTestSetup, decided: Callable[[], list[int]], candle_file: Path
) -> None:
    candles = read_candles(candle_file, timeframe="1m").open_ms.tolist()
    wake(celery_setup)
    wait_for(celery_setup, decided, 30)

    celery_setup.worker.kill()
    seen = len(decided())
    celery_setup.worker.restart()
    wake(celery_setup)
    wait_for(celery_setup, decided, len(candles))

    assert seen < len(candles), "the worker was done before it was killed: the test shows nothing"
    assert decided() == candles


@pytest.mark.long
def test_broker_restarted_with_a_chain_in_flight_continues(
    celery_setup: CeleryTestSetup, decided: Callable[[], list[int]], candle_file: Path
) -> None:
    candles = read_candles(candle_file, timeframe="1m").open_ms.tolist()
    wake(celery_setup)
    wait_for(celery_setup, decided, 30)
    seen = len(decided())

    celery_setup.broker.restart(force=True)
    wake(celery_setup)
    wait_for(celery_setup, decided, len(candles))

    assert seen < len(candles), "all was done before the restart: the test shows nothing"
    assert decided() == candles
