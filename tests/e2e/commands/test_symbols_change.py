"""Symbols come, change and go under the launcher, as a user has it: the others never notice."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fixtures.apps.system import ROOT, TradingSystem, file_symbol
from tests.fixtures.books import open_times
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.events.event import EventType

CANDLES = 20_000
SPEED = 600
"""Ten candles a second: slow enough for a busy machine, and the files last for half an hour."""
HASTY = {"name": "ema_cross", "params": {"fast": 2, "slow": 3, "atr_period": 2, "stop_atr": 0, "target_atr": 0}}
GOLD, COIN, ETHER, TIN = "XAUUSD", "BTCUSD", "ETHUSD", "TIN"

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


class Live:
    """A launcher on the system's Redis, and the command line beside it."""

    def __init__(self, system: TradingSystem, *options: str) -> None:
        self.system = system
        self.process = system.celery("launcher", "-A", "tasks", "trading", "up", "--no-flower", "--no-table", *options)

    def verb(self, *arguments: str, exit_code: int = 0) -> str:
        """Type `celery -A tasks trading symbols ARGUMENTS`; return stdout, and stderr of what must fail."""
        answer = subprocess.run(
            [sys.executable, "-m", "celery", "-A", "tasks", "trading", "symbols", *arguments, "--timeout", "60"],
            cwd=ROOT,
            env={**os.environ, **self.system.environment},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert answer.returncode == exit_code, answer.stdout + answer.stderr + self.system.logs()
        return answer.stderr if exit_code else answer.stdout

    def pids(self, name: str) -> tuple[int, list[int]]:
        """Return the process of a worker and those of its pool, by the name that the launcher gave it."""
        assert self.process.pid is not None
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if f"{name}@%h" in child.cmdline():
                    return child.pid, [one.pid for one in child.children()]
        return 0, []

    def decided(self, symbol: str) -> int:
        return len(self.system.journal(symbol))

    def until_decided(self, symbol: str, more: int) -> None:
        seen = self.decided(symbol)
        self.system.wait_until(lambda: self.decided(symbol) >= seen + more, f"{symbol} decides on", limit_s=120)

    def entries(self) -> list[float]:
        """Return the sizes of all entries of gold, in order."""
        rows = self.system.stores().ledger.orders(GOLD, limit=100_000)
        return [row["units"] for row in rows[::-1] if row["leg"] == "entry"]

    def control(self, task: str) -> None:
        """Have a control task done for gold."""
        with self.system.client() as app:
            app.send_task(f"tasks.{task}_symbol", args=[GOLD]).get(timeout=60)

    def stop_with_a_position(self) -> None:
        """Stop gold while a position is open: it stays as it is then."""
        for _ in range(20):
            self.control("start")
            self.system.wait_until(lambda: self.exposure(GOLD).units != 0, "a position in gold", limit_s=120)
            self.control("stop")
            if self.exposure(GOLD).units:
                return
        pytest.fail("gold was flat each time when it stopped")

    def exposure(self, symbol: str) -> Any:
        return self.system.stores().ledger.exposure(symbol)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        name: write_candles(tmp_path / f"{name}.csv", generated_candles(name, CANDLES, seed=at))
        for at, name in enumerate((GOLD, COIN))
    }


def symbols_of(files: dict[str, Path]) -> dict[str, Any]:
    return {name: file_symbol(path, speed=SPEED, strategy=HASTY) for name, path in files.items()}


def assert_no_candle_missed(live: Live, symbol: str, path: Path) -> None:
    journal = list(live.system.journal(symbol))
    times = open_times(path)
    first = times.index(journal[0])
    assert journal == times[first : first + len(journal)]


def test_symbol_comes_changes_and_goes_while_another_one_trades_on(
    make_system: Callable[..., TradingSystem], files: dict[str, Path]
) -> None:
    system = make_system(symbols_of(files), extra={"TRADING__JOURNAL_MAX_LEN": "100000"})
    live = Live(system)
    system.wait_until(lambda: live.decided(GOLD) > 10 and live.decided(COIN) > 10, "both trade", limit_s=120)
    of_coin = live.pids(COIN)

    # one comes: by its own worker, which starts at once
    assert f"{ETHER}: added" in live.verb("add", ETHER, "--like", GOLD)
    system.wait_until(lambda: live.decided(ETHER) > 3, "the first candles of the new symbol", limit_s=120)
    assert live.pids(ETHER)[0]

    # one changes: its next order has the new size
    system.wait_until(lambda: live.exposure(GOLD).units != 0, "a position in gold", limit_s=120)
    before = len(live.entries())
    assert "risk.units: 1 -> 3" in live.verb("set", GOLD, "risk.units=3")
    after = len(live.entries())
    system.wait_until(lambda: len(live.entries()) > after + 1, "orders of the new size", limit_s=120)
    assert set(live.entries()[:before]) == {1.0}
    assert set(live.entries()[after + 1 :]) == {3.0}

    # one goes, but not while something is open
    live.stop_with_a_position()
    output = live.verb("remove", GOLD, exit_code=1)
    assert f"{GOLD} cannot be removed: " in output
    assert "nothing was changed" in output
    live.control("start")
    live.control("pause")
    system.wait_until(lambda: not live.exposure(GOLD).is_open, "gold is flat", limit_s=120)
    assert f"{GOLD}: removed" in live.verb("remove", GOLD)
    system.wait_until(lambda: live.pids(GOLD) == (0, []), "the worker of gold has ended", limit_s=90)
    seen = live.decided(GOLD)
    live.until_decided(COIN, 20)

    assert live.decided(GOLD) == seen
    assert live.pids(COIN) == of_coin
    assert of_coin[0]
    for name in (GOLD, COIN):
        assert_no_candle_missed(live, name, files[name])
    changed = [event for _, _, event in system.stores().bus.recent(100_000) if event.type is EventType.CONFIG_CHANGED]
    assert [(event.symbol, event.details["change"]) for event in changed] == [
        (ETHER, "added"),
        (GOLD, "changed"),
        (GOLD, "removed"),
    ]


def test_worker_of_many_symbols_takes_on_another_one_and_still_has_it_after_its_restart(
    make_system: Callable[..., TradingSystem], files: dict[str, Path]
) -> None:
    system = make_system(symbols_of(files), extra={"TRADING__JOURNAL_MAX_LEN": "100000"})
    live = Live(system, "--symbols-per-worker", "3")
    system.wait_until(lambda: live.decided(GOLD) > 10 and live.decided(COIN) > 10, "both trade", limit_s=120)
    name = f"{COIN}+1"  # named after the first symbol of the file
    first = live.pids(name)

    live.verb("add", ETHER, "--like", GOLD)
    system.wait_until(lambda: live.decided(ETHER) > 3, "the new symbol trades", limit_s=120)
    assert live.pids(name) == first
    live.verb("add", TIN, "--like", GOLD)
    system.wait_until(lambda: live.decided(TIN) > 3, "one more has a worker of its own", limit_s=120)
    assert live.pids(TIN)[0] not in (0, first[0])

    psutil.Process(first[0]).kill()
    system.wait_until(lambda: live.pids(name)[0] not in (0, first[0]), "the worker is there again", limit_s=60)
    live.until_decided(ETHER, 10)

    for symbol, path in files.items():
        assert_no_candle_missed(live, symbol, path)
