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
"""The symbols that are timed, and what their chains are: three steps and no signal, or four with a position open."""

STRATEGIES = {
    "quiet": {"name": "ema_cross", "params": {"fast": 20, "slow": 50}},
    "open": {"name": "benchmarks.strategies:Hold", "params": {}},
}
PATIENT_QUEUE = f"{SICK}\x06\x16{PATIENT}"
"""The Redis list of the ticks that wait for the harmed symbol, as kombu names it."""

BAR_MS = 60_000
FIRST_CANDLE = 415
"""Enough history for the indicators, and Hold buys a few candles later."""
LAG = 0.03
"""Each symbol's ticks are this much further apart than those of the one before, so that they meet at every distance."""
STEP_S = 0.1
FAR_S = 3_600.0
START_S = 90.0
LONGEST_S = 3 * 3_600.0
"""There are candles for so long."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A candle that a symbol decided: when its tick was due, by the wall clock, and how much later it was written."""

    symbol: str
    due_s: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run: `busy_cores` is how many processor cores the whole machine kept busy."""

    begin_s: float
    end_s: float
    busy_cores: float

    @property
    def lasted_s(self) -> float:
        return self.end_s - self.begin_s

    def then(self, other: "Phase") -> "Phase":
        """Return this phase and the one that followed it as one."""
        busy_s = self.busy_cores * self.lasted_s + other.busy_cores * other.lasted_s
        return Phase(self.begin_s, other.end_s, busy_s / (self.lasted_s + other.lasted_s))


class Rig:
    """One symbol that may misbehave, and four that are timed."""

    def __init__(self, folder: Path, server: RedisServer, *, rate: float) -> None:
        """Make the system; nothing runs yet.

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
            # nothing recovers the harmed symbol: each case is seen at its worst
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
        """Start all of it, wait until every symbol decides, and end it all."""
        observer = threading.Thread(target=self._observe, name="observer")
        with self.system.as_environment():
            try:
                self._start()
                observer.start()
                yield
            finally:
                self.misbehave("")
                self._stopped.set()
                self.supervisor.stop(is_forced=lambda: True)
                if observer.ident is not None:
                    observer.join()
                self.client.close()

    def misbehave(self, order: str) -> None:
        """Tell the harmed worker what to do: `WHAT:SERVICE` as `blast_side` knows it, or nothing wrong any more."""
        if order:
            self.client.mset({HARM: order, HARM_COUNT: 0})
        else:
            self.client.delete(HARM)

    def misdeeds(self) -> int:
        """Return how often the harmed worker has begun to do what it was last told to."""
        return int(self.client.get(HARM_COUNT) or 0)

    def pool_process(self) -> psutil.Process | None:
        """Return the process that runs the harmed symbol's steps; None where there is none just now."""
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
        """Keep everything alive for a while, and return how it was.

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

    def wait_for_sick(self) -> None:
        """Wait until the harmed symbol decides again, so that there is something to harm."""
        seen_ms = self.system.cursor_ms(SICK)
        self._wait(lambda: self.system.cursor_ms(SICK) > seen_ms, f"{SICK} decides again")

    def of(self, phase: Phase) -> list[float]:
        """Return the latencies of the well symbols' candles whose tick was due in a phase, in seconds."""
        return [one.latency_s for one in self.decisions if phase.begin_s <= one.due_s < phase.end_s]

    def is_queue_empty(self) -> bool:
        """Return whether nothing but the last tick waits for the harmed worker."""
        return bool(self.client.llen(PATIENT_QUEUE) <= 1)

    def _start(self) -> None:
        """Start all processes while the markets stand still, then the markets."""
        self._set_market_clocks(time.time() + FAR_S)
        for spec in process_specs.crew_processes(self.system.settings, first_assignments(self.symbols, 1)):
            if spec.name == f"worker-{SICK}":
                self.sick = self.supervisor.add(replace(spec, argv=(*spec.argv, "-I", "benchmarks.blast_side")))
            else:
                self.supervisor.add(spec)
        self.supervisor.add(process_specs.beat_process(self.system.settings))
        self._wait(lambda: all(self.system.cursor_ms(name) for name in self.symbols), "every symbol has looked once")
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
        """Return whether a symbol decides candles, with a position open where it shall have one."""
        if WELL.get(symbol) == "quiet":
            return len(self.system.journal(symbol)) > 0
        return any(one.symbol == symbol and one.is_open for one in self.system.stores().ledger.positions())

    def _set_market_clocks(self, begin_s: float) -> None:
        """Have each market begin at a time, so that its candles close in the middle between two of its ticks."""
        namespace, market_ms = self.system.settings.namespace, START_MS + FIRST_CANDLE * BAR_MS
        for symbol in self.symbols:
            interval = tick_interval(self.system.config, symbol)
            slot = interval.slot(begin_s) + 2
            wall_ms = round((interval.begins_s(slot) - interval.every_s / 2) * 1000)
            self.client.set(keys.market_clock(namespace, symbol), json.dumps((market_ms, wall_ms)))
            self._rhythms[symbol], self._first_slots[symbol] = interval, slot

    def _due_s(self, symbol: str, open_ms: int) -> float:
        """Return when the first tick after a candle's close was due."""
        nth = (open_ms - START_MS) // BAR_MS - (FIRST_CANDLE - 1)
        return self._rhythms[symbol].begins_s(self._first_slots[symbol] + nth)

    def _observe(self) -> None:
        """Note each entry of the journals as it is written; a thread of its own, because the loop has more to do."""
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
