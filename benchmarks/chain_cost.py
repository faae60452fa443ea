"""What a trading chain costs beside Celery's own: `make bench`.

One worker serves both. The chains are sent one after the other, in turns, each from publishing to the success of its
last step, so that what the machine does besides hits them alike; what counts is the ratio.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import redis
from celery import Signature
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.redis_server import RedisServer
from tests.fixtures.system import TradingSystem, file_symbol

ANSWER_S = 30
NOOP_QUEUE = "NOOP"
GOAL = 1.15


@dataclass(frozen=True, slots=True)
class Cost:
    """Latency of one kind of chain, in milliseconds, and as a multiple of the no-op chain's in the same run."""

    chain: str
    count: int
    p50_ms: float
    p99_ms: float
    p50_ratio: float
    p99_ratio: float


SCENARIOS = {
    "QUIET": ("three steps: flat, no signal", {"name": "ema_cross", "params": {"fast": 20, "slow": 50}}),
    "OPEN": ("four steps: a position is open", {"name": "benchmarks.worker_side:Hold", "params": {}}),
    "FLIP": ("four steps: two orders, two fills", {"name": "benchmarks.worker_side:Flip", "params": {}}),
}


def measure(rounds: int, warm_up: int, console: Console, *, events: bool) -> list[Cost]:
    """Run every kind of chain `rounds` times, in turns."""
    with tempfile.TemporaryDirectory(prefix="trading-bench-") as folder:
        server = RedisServer(Path(folder)).start()
        try:
            return _measure(Path(folder), server, rounds, warm_up, console, events=events)
        finally:
            server.stop()


def _measure(
    folder: Path, server: RedisServer, rounds: int, warm_up: int, console: Console, *, events: bool
) -> list[Cost]:
    system = TradingSystem(
        folder / "system", server, _symbols(folder, rounds + warm_up), extra={"TRADING__TASK_EVENTS": str(events)}
    )
    try:
        system.celery(
            "worker", "-A", "tasks", "worker", "-Q", ",".join((NOOP_QUEUE, *SCENARIOS)), "-I", "benchmarks.worker_side"
        )
        senders = _senders(system)
        times: dict[str, list[float]] = {name: [] for name in senders}
        for at in track(range(rounds + warm_up), "chains in turns", console=console):
            for name, send in senders.items():
                took = _timed(system.stores().redis if at == 0 else _shared(system), send, f"{name}:{at}", system)
                if at >= warm_up:
                    times[name].append(took)
    finally:
        system.stop()
    return _costs(times)
