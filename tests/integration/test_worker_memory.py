"""A pool process that took too much memory is replaced after its step, and the chain goes on in the next one."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.system import TradingSystem, file_symbol

SYMBOL = "XAUUSD"
BAR_MS = 60_000
CANDLES = 3

pytestmark = [pytest.mark.long, pytest.mark.timeout(150)]


def test_worker_over_its_memory_limit_replaces_its_process_after_each_step_and_leaves_no_candle_out(
    make_system: Callable[..., TradingSystem], tmp_path: Path
) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, 40))
    system = make_system({SYMBOL: file_symbol(path)}, extra={"TRADING__WORKER_MAX_MEMORY_MB": "20"})
    worker = system.worker(SYMBOL)
    processes: set[int] = set()

    def has_decided() -> bool:
        processes.update(child.pid for child in psutil.Process(worker.pid).children())
        return len(system.journal(SYMBOL)) >= CANDLES

    system.beat()
    system.wait_until(has_decided, f"{CANDLES} candles are decided")

    assert len(processes) > CANDLES + 1  # one of them is the worker's watchdog
    assert {later - earlier for earlier, later in pairwise(system.journal(SYMBOL))} == {BAR_MS}
