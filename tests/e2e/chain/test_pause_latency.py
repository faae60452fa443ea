"""A pause is not late: not behind full queues, nor behind a step or a `tasks.reconcile` that hangs."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from celery import Celery

from tasks.engine import send_tick as ticks
from tasks.engine.routing import PATIENT
from tasks.engine.send_tick import send_tick
from tasks.engine.stages import RECONCILE, STEPS
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.strategies import hanging

BUSY, HUNG = "XAUUSD", "BTCUSDT"
DEPTH = 1_000
TRIES = 5
LIMIT_S = 1.0
MORE = 10
HANG_S = STEPS[RECONCILE].soft_s
CANDLES = 3_000
FOREVER_S = 3_600

pytestmark = pytest.mark.timeout(200)


class Crowded:
    """A control worker and two symbol workers: one has more to do than it can, the other hangs at its first candle."""

    def __init__(self, system: TradingSystem, client: Celery, flag: Path) -> None:
        self.system = system
        self.client = client
        self.flag = flag
        self._redis: Any = system.stores().redis
        flag.touch()
        for queue in ("control", BUSY, HUNG):
            system.worker(queue)
        self.call("status")

    def call(self, task: str, *arguments: str) -> float:
        """Send a control task as `celery call` does, and return the seconds until its answer."""
        began_s = time.perf_counter()
        self.client.send_task(f"tasks.{task}", args=arguments).get(timeout=60)
        return time.perf_counter() - began_s

    def fill(self) -> None:
        """Put ticks into both queues, enough of them to stay deep for the whole test."""
        for at in range(DEPTH + DEPTH // 2):
            for symbol in (BUSY, HUNG):
                send_tick(self.client, symbol, tick_id=f"tick:{symbol}:{at}", life_s=FOREVER_S)

    def depth(self, symbol: str) -> int:
        """Return how many ticks wait in a symbol's queue."""
        return int(self._redis.llen(f"{symbol}\x06\x16{PATIENT}"))

    def entries(self, symbol: str) -> set[str]:
        """Return the entry intents of a symbol."""
        rows = self.system.stores().ledger.orders(symbol, limit=100_000)
        return {row["client_order_id"] for row in rows if row["leg"] == "entry"}

    def until_it_goes_on(self, symbol: str) -> None:
        decided = len(self.system.journal(symbol))
        self.system.wait_until(lambda: len(self.system.journal(symbol)) >= decided + MORE, f"{symbol} decides on")


@pytest.fixture
def crowded(
    make_system: Callable[..., TradingSystem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Crowded]:
    monkeypatch.setattr(ticks, "TICK_LIFE_S", FOREVER_S)  # else those deep in a queue would give way to newer ones
    path = write_candles(tmp_path / "candles.csv", generated_candles("ANY", CANDLES))
    strategies = {
        BUSY: "tests.fixtures.strategies.hanging:EarlyFlip",
        HUNG: "tests.fixtures.strategies.hanging:HangingFlip",
    }
    symbols = {name: file_symbol(path, strategy={"name": each, "params": {}}) for name, each in strategies.items()}
    flag, began = tmp_path / "hang", tmp_path / "began"
    system = make_system(symbols, extra={hanging.WHILE: str(flag), hanging.BEGAN: str(began)})
    with system.client() as client:
        crowded = Crowded(system, client, flag)
        crowded.fill()
        system.wait_until(began.exists, "a step hangs")
        system.wait_until(lambda: bool(crowded.entries(BUSY)), "the other symbol trades")
        yield crowded


@pytest.mark.long
def test_pause_answers_within_a_second_beside_full_queues_and_a_hung_step_and_no_entry_follows(
    crowded: Crowded,
) -> None:
    taken_s: dict[str, list[float]] = {BUSY: [], HUNG: []}
    entries: dict[str, set[str]] = {}
    for attempt in range(TRIES):
        for symbol, times in taken_s.items():
            assert crowded.depth(symbol) >= DEPTH
            times.append(crowded.call("pause_symbol", symbol))
            entries[symbol] = crowded.entries(symbol)
            if attempt < TRIES - 1:
                crowded.call("resume_symbol", symbol)

    crowded.flag.unlink()  # the hung step wakes up, with a signal in its hand
    for symbol in taken_s:
        crowded.until_it_goes_on(symbol)

    # The median: a machine that does other work may hold up any one of the tries.
    assert max(median(times) for times in taken_s.values()) <= LIMIT_S, taken_s
    assert {symbol: crowded.entries(symbol) for symbol in taken_s} == entries


@pytest.mark.long
def test_pause_is_not_taken_by_a_worker_that_hangs_in_a_reconcile(
    make_system: Callable[..., TradingSystem], tmp_path: Path
) -> None:
    flag, began = tmp_path / "hang", tmp_path / "began"
    flag.touch()
    path = write_candles(tmp_path / "candles.csv", generated_candles("ANY", 40))
    system = make_system({HUNG: file_symbol(path)}, extra={hanging.WHILE: str(flag), hanging.BEGAN: str(began)})
    system.worker("control")
    with system.client() as client:
        client.send_task("tasks.status").get(timeout=60)
        system.celery("hung", "-A", "tasks", "worker", "-Q", HUNG, "-I", "tests.fixtures.apps.hanging_reconcile")
        system.wait_until(began.exists, "the reconcile that comes with the start hangs")

        # Whoever waits longest for a message gets it, so that two in a row would reach both workers if both waited.
        taken_s = []
        for _ in range(4):
            began_s = time.perf_counter()
            client.send_task("tasks.pause_symbol", kwargs={"symbol": HUNG}).get(timeout=60)
            taken_s.append(time.perf_counter() - began_s)
        flag.unlink()

    assert max(taken_s) < HANG_S / 2, taken_s
