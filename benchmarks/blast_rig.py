"""A running system whose decisions are timed: processes as the launcher starts them, and an observer of journals."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from adapters.redis import keys
from adapters.redis.client import connect
from beat.schedule import Interval, tick_interval
from benchmarks.names import HARM, HARM_COUNT
from tasks.engine.routing import PATIENT
from tests.fixtures.apps.system import TradingSystem, file_symbol, is_watchdog
from tests.fixtures.candle_files import START_MS, generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.structs import replace
from trading_orchestrator.launcher import process_specs
from trading_orchestrator.launcher.assignment import first_assignments
from trading_orchestrator.launcher.child_process import ChildProcess
from trading_orchestrator.launcher.supervisor import Supervisor

SICK = "SICK"
WELL = {"ONE": "quiet", "TWO": "quiet", "THREE": "open", "FOUR": "open"}
"""The timed symbols and their chains: three steps and no signal, or four with a position open."""

STRATEGIES = {
    "quiet": {"name": "ema_cross", "params": {"fast": 20, "slow": 50}},
    "open": {"name": "benchmarks.strategies:Hold", "params": {}},
}
PATIENT_QUEUE = f"{SICK}\x06\x16{PATIENT}"
"""kombu's Redis list of the ticks that wait for the faulty symbol."""

BAR_MS = 60_000
FIRST_CANDLE = 415
"""Enough history for the indicators; Hold buys a few candles later."""
LAG = 0.03
"""The tick interval of each symbol is longer than the previous one's by this, so that their ticks meet at all
offsets.
"""
STEP_S = 0.1
FAR_S = 3_600.0
START_S = 90.0
LONGEST_S = 3 * 3_600.0
"""Length of the generated market."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decided candle: the due time of its tick, by the wall clock, and the latency of its decision."""

    symbol: str
    due_s: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run: `busy_cores` is the number of busy processor cores of the whole machine."""

    begin_s: float
    end_s: float
    busy_cores: float

    @property
    def lasted_s(self) -> float:
        return self.end_s - self.begin_s

    def then(self, other: "Phase") -> "Phase":
        """Return this phase joined with the next one."""
        busy_s = self.busy_cores * self.lasted_s + other.busy_cores * other.lasted_s
        return Phase(self.begin_s, other.end_s, busy_s / (self.lasted_s + other.lasted_s))


class Rig:
    """One symbol that may misbehave, and four that are timed."""

    def __init__(self, folder: Path, server: RedisServer, *, rate: float) -> None:
        """Create the system without starting it.

        Args:
            rate: Candles a second of each symbol.
        """
        path = write_candles(folder / "candles.csv", generated_candles("BLAST", FIRST_CANDLE + int(LONGEST_S * rate)))
        self.symbols = (*WELL, SICK)
        symbols = {
            name: file_symbol(path, speed=60 * rate / (1 + LAG * at), strategy=STRATEGIES[WELL.get(name, "open")])
            for at, name in enumerate(self.symbols)
        }
        extra = {
            "TRADING__SERVICES__DATA_FETCHING__FETCH_INTERVAL": "60",
            # without recovery each case has its full effect
            "TRADING__ORCHESTRATOR__ENABLE_AUTO_RESTART": "false",
        }
        self.system = TradingSystem(folder / "system", server, symbols, extra=extra)
        self.client: Any = connect(server.url)
        self.log_dir = self.system.settings.var_dir / "log"
        self.log: list[str] = []
        self.supervisor = Supervisor(self.log_dir, report=self.log.append)
        self.sick: ChildProcess
        self.decisions: list[Decision] = []
        self._rhythms: dict[str, Interval] = {}
        self._first_slots: dict[str, int] = {}
        self._stopped = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all processes, wait until every symbol decides, and stop them at the end."""
        observer = threading.Thread(target=self._observe, name="observer")
        with self.system.as_environment():
            try:
                self._start()
                observer.start()
                yield
            finally:
                self.set_fault("")
                self._stopped.set()
                self.supervisor.stop(is_forced=lambda: True)
                if observer.ident is not None:
                    observer.join()
                self.client.close()

    def set_fault(self, order: str) -> None:
        """Set the faulty worker's fault, `WHAT:SERVICE` of `blast_side`; empty for none."""
        if order:
            self.client.mset({HARM: order, HARM_COUNT: 0})
        else:
            self.client.delete(HARM)

    def fault_count(self) -> int:
        """Return the number of times that the faulty worker has begun its fault."""
        return int(self.client.get(HARM_COUNT) or 0)

    def pool_process(self) -> psutil.Process | None:
        """Return the process that runs the faulty symbol's steps; None if there is none at present."""
        if self.sick.pid is None:
            return None
        try:
            found = [each for each in psutil.Process(self.sick.pid).children() if not is_watchdog(each)]
        except psutil.NoSuchProcess:
            return None
        return found[0] if found else None

    def let_pass(
        self, seconds: float, *, step: Callable[[], None] = lambda: None, tick: Callable[[float], None] = lambda _: None
    ) -> Phase:
        """Run all processes for a phase, and return it.

        Args:
            step: Called about ten times a second.
            tick: Called with the seconds that have passed since the last call.
        """
        cpu, begin_s = psutil.cpu_times(), time.time()
        now_s = begin_s
        while now_s < begin_s + seconds:
            self.supervisor.watch()
            step()
            time.sleep(STEP_S)
            last_s, now_s = now_s, time.time()
            tick(now_s - last_s)
        after = psutil.cpu_times()
        idle = (after.idle - cpu.idle) + (getattr(after, "iowait", 0.0) - getattr(cpu, "iowait", 0.0))
        busy = sum(after) - sum(cpu) - idle
        return Phase(begin_s, now_s, busy / (now_s - begin_s))

    def wait_for_faulty_symbol(self) -> None:
        """Wait until the faulty symbol decides again."""
        seen_ms = self.system.cursor_ms(SICK)
        self._wait(lambda: self.system.cursor_ms(SICK) > seen_ms, f"{SICK} decides again")

    def of(self, phase: Phase) -> list[float]:
        """Return the latencies, in seconds, of the healthy symbols' candles whose tick was due in a phase."""
        return [one.latency_s for one in self.decisions if phase.begin_s <= one.due_s < phase.end_s]

    def is_queue_empty(self) -> bool:
        """Return whether only the last tick waits for the faulty worker."""
        return bool(self.client.llen(PATIENT_QUEUE) <= 1)

    def _start(self) -> None:
        """Start all processes while the markets are stopped, then the markets."""
        self._set_market_clocks(time.time() + FAR_S)
        for spec in process_specs.assignment_processes(self.system.settings, first_assignments(self.symbols, 1)):
            if spec.name == f"worker-{SICK}":
                self.sick = self.supervisor.add(replace(spec, argv=(*spec.argv, "-I", "benchmarks.blast_side")))
            else:
                self.supervisor.add(spec)
        self.supervisor.add(process_specs.beat_process(self.system.settings))
        self._wait(lambda: all(self.system.cursor_ms(name) for name in self.symbols), "every symbol has fetched once")
        self._set_market_clocks(time.time())
        self._wait(lambda: all(self._is_at_work(name) for name in self.symbols), "every symbol decides")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + START_S
        while not condition():
            if time.monotonic() > deadline_s:
                lines = "\n".join([*self.log, self.sick.log_tail(20)])
                raise RuntimeError(f"not within {START_S:g} s: {what}\n{lines}")
            self.let_pass(0.5)

    def _is_at_work(self, symbol: str) -> bool:
        """Return whether a symbol decides candles, with a position open if it should have one."""
        if WELL.get(symbol) == "quiet":
            return len(self.system.journal(symbol)) > 0
        return any(one.symbol == symbol and one.is_open for one in self.system.stores().ledger.positions())

    def _set_market_clocks(self, begin_s: float) -> None:
        """Start each market at a time at which its candles close halfway between two of its ticks."""
        namespace, market_ms = self.system.settings.namespace, START_MS + FIRST_CANDLE * BAR_MS
        for symbol in self.symbols:
            interval = tick_interval(self.system.config, symbol)
            slot = interval.slot(begin_s) + 2
            wall_ms = round((interval.begins_s(slot) - interval.every_s / 2) * 1000)
            self.client.set(keys.market_clock(namespace, symbol), json.dumps((market_ms, wall_ms)))
            self._rhythms[symbol], self._first_slots[symbol] = interval, slot

    def _due_s(self, symbol: str, open_ms: int) -> float:
        """Return the due time of the first tick after a candle's close."""
        nth = (open_ms - START_MS) // BAR_MS - (FIRST_CANDLE - 1)
        return self._rhythms[symbol].begins_s(self._first_slots[symbol] + nth)

    def _observe(self) -> None:
        """Record each entry of the journals as it is written; in its own thread, because the loop has other work."""
        client: Any = connect(self.system.redis.url)
        names = {keys.journal(self.system.settings.namespace, symbol).encode(): symbol for symbol in WELL}
        seen: dict[bytes, Any] = dict.fromkeys(names, "$")
        while not self._stopped.is_set():
            answer = client.xread(seen, block=200)
            now_s = time.time()
            for key, entries in answer or ():
                seen[key] = entries[-1][0]
                for identity, _ in entries:
                    due_s = self._due_s(names[key], int(identity.split(b"-")[0]))
                    self.decisions.append(Decision(names[key], due_s, now_s - due_s))
        client.close()
