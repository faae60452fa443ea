"""The cost of a trading chain relative to Celery's own: `make bench`.

Two workers have the same settings, one with kombu's own transport as installed with Celery, one with ours. The chains
are sent one at a time, alternating, and timed from the publication to the success of the last step, so that other load
on the machine affects all of them. The result is the ratio.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis
from celery import Celery, Signature
from rich.console import Console
from rich.progress import track

from adapters.redis.client import connect
from benchmarks.names import DONE, KEPT_QUEUE, NOOP_STAGES, STOCK_QUEUE
from tasks.engine.send_tick import send_tick
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.events.decisions import has_too_few_rows

ANSWER_S = 30
GOAL = 1.15
SCENARIOS = {
    "QUIET": ("three steps: flat, no signal", "ema_cross", {"fast": 20, "slow": 50}),
    "OPEN": ("four steps: a position is open", "benchmarks.strategies:Hold", {}),
    "FLIP": ("four steps: two orders, two fills", "benchmarks.strategies:Flip", {}),
}
STOCK, KEPT = "no-op", "no-op, ours"
CHAINS = {
    STOCK: "Celery's four no-op steps, kombu's transport",
    KEPT: "the same steps, this project's transport",
    **{name: description for name, (description, _, _) in SCENARIOS.items()},
}
SIDE = "benchmarks.worker_side"
Send = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """Latency of one kind of chain, in milliseconds, and as a multiple of Celery's no-op chain's in the same run."""

    chain: str
    count: int
    p50_ms: float
    p99_ms: float
    p50_ratio: float
    p99_ratio: float


def measure(rounds: int, *, warm_up: int, events: bool, console: Console) -> list[Cost]:
    """Run each kind of chain `rounds` times in turns, on a Redis and workers of its own.

    Args:
        warm_up: Unmeasured rounds before, so that windows are full and caches warm.
        events: Whether the workers report each task, as Flower needs it.

    Raises:
        ValueError: The windows were not full.
    """
    with tempfile.TemporaryDirectory(prefix="trading-bench-") as folder:
        server = RedisServer(Path(folder)).start()
        system = _system(Path(folder), server, rounds + warm_up, events=events)
        # the same number of queues for each, because each queue costs time
        stock, ours = (STOCK_QUEUE, *(f"IDLE{at}" for at in range(len(SCENARIOS)))), (KEPT_QUEUE, *SCENARIOS)
        worker = ("-A", "tasks", "worker", "-I")
        try:
            system.celery("stock", *worker, f"{SIDE},benchmarks.stock_side", "-Q", ",".join(stock))
            system.celery("ours", *worker, SIDE, "-Q", ",".join(ours))
            times = _time_chains(system, rounds, warm_up, console)
            _check_warmed_up(system, rounds)
        finally:
            system.stop()
            server.stop()
    return _costs(times)


def _system(folder: Path, server: RedisServer, candles: int, *, events: bool) -> TradingSystem:
    path = write_candles(folder / "candles.csv", generated_candles("BENCH", candles + 2))
    symbols = {
        name: file_symbol(path, strategy={"name": strategy, "params": params})
        for name, (_, strategy, params) in SCENARIOS.items()
    }
    return TradingSystem(folder / "system", server, symbols, extra={"TRADING__TASK_EVENTS": str(events)})


def _time_chains(system: TradingSystem, rounds: int, warm_up: int, console: Console) -> dict[str, list[float]]:
    with system.client() as app:
        client = connect(system.redis.url)
        senders: dict[str, Send] = {STOCK: _noop_sender(app, STOCK_QUEUE), KEPT: _noop_sender(app, KEPT_QUEUE)}
        senders |= {name: _ticker(app, name) for name in SCENARIOS}
        times: dict[str, list[float]] = {name: [] for name in senders}
        for at in track(range(warm_up + rounds), "chains, in turns", console=console):
            for name, send in senders.items():
                took_s = _timed(client, send, f"{name}:{at}")
                if at >= warm_up:
                    times[name].append(took_s)
    return times


def _check_warmed_up(system: TradingSystem, rounds: int) -> None:
    """Check that each measured chain had a full window: without it a chain ends early."""
    for symbol in SCENARIOS:
        short = sum(map(has_too_few_rows, list(system.decisions(symbol).values())[-rounds:]))
        if short:
            raise ValueError(f"{short} of {rounds} chains of {symbol} had too few candles; use a longer --warm-up")


def _timed(client: redis.Redis, send: Send, root_id: str) -> float:
    """Send a chain and return the seconds until its last step has succeeded."""
    begun = time.perf_counter()
    send(root_id)
    answer: Any = client.brpop([DONE], timeout=ANSWER_S)
    took_s = time.perf_counter() - begun
    if answer is None or answer[1].decode() != root_id:
        raise RuntimeError(f"chain {root_id} did not end within {ANSWER_S} s; the worker answered {answer}")
    return took_s


def _ticker(app: Celery, symbol: str) -> Send:
    return lambda root_id: send_tick(app, symbol, tick_id=root_id, life_s=ANSWER_S)


def _noop_sender(app: Celery, queue: str) -> Send:
    def send(root_id: str) -> None:
        rest = [Signature(name, app=app, queue=queue) for name in reversed(NOOP_STAGES[1:])]
        app.send_task(
            NOOP_STAGES[0],
            task_id=root_id,
            root_id=root_id,
            chain=rest,
            queue=queue,
            ignore_result=True,
            expires=ANSWER_S,
        )

    return send


def _costs(times: dict[str, list[float]]) -> list[Cost]:
    def percentiles(name: str) -> tuple[float, float]:
        p50_s, p99_s = np.percentile(times[name], [50, 99]).tolist()
        return p50_s * 1000, p99_s * 1000

    base_p50, base_p99 = percentiles(STOCK)
    costs = []
    for name, taken in times.items():
        p50_ms, p99_ms = percentiles(name)
        costs.append(Cost(name, len(taken), p50_ms, p99_ms, p50_ms / base_p50, p99_ms / base_p99))
    return costs
