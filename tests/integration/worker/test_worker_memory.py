"""A pool process that took too much memory is replaced after its step, and the chain goes on in the next one."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.engine.stages import STAGES
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles

SYMBOL = "XAUUSD"
BAR_MS = 60_000
CANDLES = 3

pytestmark = [pytest.mark.long, pytest.mark.timeout(150)]


def test_worker_over_its_memory_limit_replaces_its_process_after_each_step_and_leaves_no_candle_out(
    make_system: Callable[..., TradingSystem], tmp_path: Path
) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, 40))
    settings = {"TRADING__WORKER_MAX_MEMORY_MB": "20", "TRADING__LOG_FORMAT": "json"}
    system = make_system({SYMBOL: file_symbol(path)}, extra=settings)
    worker = system.celery("worker", "-A", "tasks", "worker", "-Q", SYMBOL, "-l", "INFO")

    def processes() -> list[str]:
        """Return the process of each step that has ended, as the log names it."""
        lines = worker.log_path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        lines_of_json = [json.loads(line) for line in lines if line.startswith("{")]
        ended = [line for line in lines_of_json if line.get("event") == "task_succeeded" and line["task"] in STAGES]
        return [line["process"] for line in ended]

    system.beat()
    system.wait_until(lambda: len(system.journal(SYMBOL)) >= CANDLES, f"{CANDLES} candles are decided")
    system.wait_until(lambda: len(processes()) > 2 * CANDLES, "their steps are told of")

    found = processes()
    assert len(found) == len(set(found)), "a process has run two steps"
    assert {later - earlier for earlier, later in pairwise(system.journal(SYMBOL))} == {BAR_MS}
