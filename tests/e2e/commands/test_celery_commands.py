"""Control as any Celery project is controlled: plain workers, `celery call`, `celery result`, `celery inspect`.

Nothing here was started by the launcher: two `celery -A tasks worker -Q ...` and a beat on one Redis.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from celery import Celery

from adapters.redis import keys
from adapters.redis.event_bus import RedisEventBus
from adapters.wiring.pipeline import Stores
from tests.fixtures.apps.system import ROOT, TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.events.event import EventType
from trading.lifecycle import DesiredState

pytestmark = pytest.mark.timeout(150)

GOLD, COIN = "XAUUSD", "BTCUSD"
SERVICES = {
    "DataFetchingService",
    "IndicatorCalculationService",
    "StrategyEvaluationService",
    "TradeExecutionService",
}
Answer = dict[str, Any]


class Plain:
    """Two plain workers and a beat, and a client of one's own that knows nothing of the project but its task names."""

    def __init__(self, system: TradingSystem) -> None:
        self.system = system
        self.stores: Stores = system.stores()
        self.client = Celery("somebody", broker=system.redis.url, backend=system.redis.url)
        system.worker(GOLD)
        system.worker(COIN)
        system.beat()

    def celery(self, *arguments: str) -> str:
        """Run `celery ARGUMENTS` from the project's root and return what it printed, whatever its exit code."""
        answer = subprocess.run(
            [sys.executable, "-m", "celery", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.system.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return answer.stdout + answer.stderr

    def call_task(self, task: str, *arguments: str) -> Any:
        """Send a control task and return its answer."""
        return self.client.send_task(f"tasks.{task}", args=arguments, queue="control").get(timeout=60)

    def state_of(self, symbol: str = GOLD) -> tuple[DesiredState, str]:
        """Return the desired state of a symbol in the ledger and in Redis."""
        shown: Any = self.stores.redis.hget(keys.state("trading", symbol), "desired")
        return self.stores.ledger.desired(symbol), shown.decode()

    def count(self, symbol: str = GOLD) -> int:
        return len(self.system.journal(symbol))

    def until_it_goes_on(self, symbol: str = GOLD) -> None:
        seen = self.count(symbol)
        self.system.wait_until(lambda: self.count(symbol) > seen, f"another candle of {symbol}")

    def started(self) -> list[str]:
        """Return the services of gold that told of their start, oldest first."""
        bus = RedisEventBus(self.stores.redis, "trading", events_limit=100_000)
        events = [event for _, _, event in bus.recent(100_000)]
        return [
            str(event.details["service"])
            for event in events
            if event.type is EventType.SERVICE_STARTED and event.symbol == GOLD
        ]

    def taken(self) -> dict[str, int]:
        """Return how many tasks of each name the worker of gold has taken."""
        inspect = self.client.control.inspect(pattern=f"{GOLD}@*", matcher="glob", timeout=60, limit=1)
        (stats,) = inspect.stats().values()
        return dict(stats["total"])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    folder = tmp_path_factory.mktemp("plain")
    server = RedisServer(folder / "server").start()
    files = {name: write_candles(folder / f"{name}.csv", generated_candles(name, 4_000)) for name in (GOLD, COIN)}
    symbols = {name: file_symbol(path, speed=240) for name, path in files.items()}
    system = TradingSystem(folder / "system", server, symbols)
    try:
        found = Plain(system)
        for name in files:
            system.wait_until(lambda name=name: found.count(name) > 0, f"candles of {name}")  # type: ignore[misc]
        yield found
    finally:
        system.stop()
        server.stop()


@pytest.fixture
def running(plain: Plain) -> Plain:
    """The same system, with both symbols running."""
    plain.call_task("start_symbol", GOLD)
    plain.call_task("start_symbol", COIN)
    return plain


def test_plain_workers_answer_a_ping_by_the_names_of_their_queues(plain: Plain) -> None:
    answers: list[str] = []

    def have_answered() -> bool:
        answers.append(plain.celery("-A", "tasks", "inspect", "ping"))  # who is busy misses the second that it is given
        nodes = re.findall(r"(\w+)@\S+: OK", answers[-1])
        assert len(nodes) == len(set(nodes))
        return {GOLD, COIN} < set(nodes)

    plain.system.wait_until(have_answered, "both workers and beat answer")
    assert not any("DuplicateNodename" in answer for answer in answers)


def test_pause_called_without_naming_the_app_is_in_the_ledger_and_its_answer_can_be_read(running: Plain) -> None:
    task_id = running.celery("call", "tasks.pause_symbol", f'--args=["{GOLD}"]').strip()

    running.system.wait_until(lambda: running.state_of()[0] is DesiredState.PAUSED, "paused in the ledger")
    answer = ast.literal_eval(running.celery("result", task_id))
    assert answer == {"symbol": GOLD, "before": "running", "now": "paused", "reason": "requested by operator"}
    assert running.state_of(COIN)[0] is DesiredState.RUNNING


def test_unknown_symbol_is_rejected_with_a_text_that_lists_the_known_ones(running: Plain) -> None:
    task_id = running.celery("call", "tasks.pause_symbol", '--args=["GOLD"]').strip()

    answer = running.celery("result", task_id)

    assert all(word in answer for word in ("UnknownSymbol", "GOLD", GOLD, COIN)), answer


def test_pause_and_resume_of_a_symbol_answer_and_take_effect(running: Plain) -> None:
    paused = running.call_task("pause_symbol", GOLD, "lunch")
    assert running.state_of() == (DesiredState.PAUSED, "paused")
    running.until_it_goes_on()
    resumed = running.call_task("resume_symbol", GOLD)

    assert (paused["before"], paused["now"], paused["reason"]) == ("running", "paused", "lunch")
    assert (resumed["before"], resumed["now"]) == ("paused", "running")
    assert running.state_of() == (DesiredState.RUNNING, "running")


def test_stop_decides_no_further_candle_until_start(running: Plain) -> None:
    def until_ticks_are_taken(count: int) -> None:
        target_count = running.taken()["tasks.fetch"] + count
        running.system.wait_until(lambda: running.taken()["tasks.fetch"] >= target_count, "ticks of a stopped symbol")

    running.call_task("stop_symbol", GOLD)
    assert running.state_of() == (DesiredState.STOPPED, "stopped")
    until_ticks_are_taken(2)  # the chain that was under way has ended then
    decided, later_steps = running.count(), running.taken()["tasks.indicators"]
    until_ticks_are_taken(3)
    running.until_it_goes_on(COIN)

    assert (running.count(), running.taken()["tasks.indicators"]) == (decided, later_steps)
    assert running.call_task("start_symbol", GOLD)["before"] == "stopped"
    running.until_it_goes_on()
    assert running.state_of() == (DesiredState.RUNNING, "running")


def test_restart_builds_all_four_services_anew_and_lets_a_paused_symbol_run(running: Plain) -> None:
    before = running.started()
    running.call_task("pause_symbol", GOLD)
    decided = list(running.system.journal(GOLD))

    answer = running.call_task("restart_symbol", GOLD, "asked by a test")

    assert (answer["now"], answer["reason"]) == ("running", "asked by a test")
    running.system.wait_until(lambda: set(running.started()[len(before) :]) >= SERVICES, "services that start")
    assert set(running.started()[len(before) :]) == SERVICES
    running.until_it_goes_on()
    status: Any = running.stores.redis.hgetall(keys.service("trading", GOLD))
    assert {json.loads(value)["state"] for value in status.values()} == {"running"}
    after = list(running.system.journal(GOLD))
    assert after[: len(decided)] == decided
    assert {later - earlier for earlier, later in pairwise(after)} == {60_000}


def test_pause_all_and_resume_all_leave_a_stopped_symbol_stopped(running: Plain) -> None:
    running.call_task("stop_symbol", COIN)

    paused = running.call_task("pause_all")
    assert running.state_of(GOLD) == (DesiredState.PAUSED, "paused")
    resumed = running.call_task("resume_all")

    assert [(answer["symbol"], answer["now"]) for answer in paused] == [(GOLD, "paused")]
    assert [(answer["symbol"], answer["now"]) for answer in resumed] == [(GOLD, "running")]
    assert running.state_of(GOLD) == (DesiredState.RUNNING, "running")
    assert running.state_of(COIN) == (DesiredState.STOPPED, "stopped")


def test_status_reports_of_one_symbol_or_of_all(running: Plain) -> None:
    running.call_task("pause_symbol", COIN)

    rows = {row["symbol"]: row for row in running.call_task("status")}
    alone = running.call_task("status", GOLD)

    assert list(rows) == list(running.system.config.symbols)
    assert rows[COIN]["state"] == "paused"
    assert [row["symbol"] for row in alone] == [GOLD]
    assert alone[0]["candles"] >= rows[GOLD]["candles"] > 0
