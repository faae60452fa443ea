"""The faults of one symbol, and the load beside all symbols, while the latency of the other symbols is measured."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from celery import Celery

from adapters.redis.client import connect
from benchmarks.blast_rig import PATIENT_QUEUE, SICK, Rig
from benchmarks.blast_row import Kind
from benchmarks.names import HELD_BYTES
from tasks.engine.routing import PRIORITY_STEPS, route
from tasks.engine.send_tick import send_tick
from tasks.engine.stages import STAGES, STEPS

KILL_EVERY_S = 0.5
WORKER_LIFE_S = 0.5
FLOOD = 10_000
FLOOD_LIFE_S = 3_600.0
SCRATCH_DATABASE = 9
ROOM_BYTES = 3 * HELD_BYTES // 2
SAMPLE_S = 0.5
DONE = {"hang": "hung", "spin": "looped", "log": "logged", "hold": "allocated memory"}
"""The past tense of each way to misbehave."""

_BURN = """
import sys, time
share = float(sys.argv[1])
while True:
    until = time.perf_counter() + share / 10
    while time.perf_counter() < until:
        pass
    time.sleep((1 - share) / 10)
"""


class Case:
    """No fault: the difference between two quiet phases."""

    title = "no fault"
    kind = Kind.NOBODY

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def missing(self) -> str | None:
        """Return the reason why it cannot run here; None if it can."""
        return None

    def begin(self) -> None:
        """Start the fault."""

    def step(self) -> None:
        """Continue the fault; called about ten times a second."""

    def is_over(self) -> bool:
        """Return whether the fault has ended; called at the end of a phase."""
        return True

    def end(self) -> None:
        """Stop the fault."""

    def result(self) -> str:
        """Describe the result of one round."""
        return ""


class SymbolFault(Case):
    """A fault of the symbol under test."""

    kind = Kind.SYMBOL


class KilledProcess(SymbolFault):
    title = "its pool process killed every half second"

    def begin(self) -> None:
        self.kills, self._next_s = 0, 0.0

    def step(self) -> None:
        if time.monotonic() >= self._next_s and (process := self.rig.pool_process()):
            process.kill()
            self.kills += 1
            self._next_s = time.monotonic() + KILL_EVERY_S

    def result(self) -> str:
        return counted(self.kills, "kill")


class KilledWorker(SymbolFault):
    title = "its worker killed after each restart"

    def begin(self) -> None:
        self.kills, self._up_since_s = 0, 0.0

    def step(self) -> None:
        """Kill it once it has had a pool process for a while, so that the start is part of the fault."""
        if self.rig.pool_process() is None:
            self._up_since_s = time.monotonic()
        elif time.monotonic() - self._up_since_s > WORKER_LIFE_S:
            self.rig.sick.kill()
            self.kills += 1
            self._up_since_s = time.monotonic()

    def result(self) -> str:
        return f"{counted(self.kills, 'kill')} with growing restart delays of the supervisor"


class FaultyCode(SymbolFault):
    """Its own code misbehaves in one of the four steps."""

    def __init__(self, rig: Rig, what: str, stage: str, title: str) -> None:
        super().__init__(rig)
        self.title = title
        self._done = DONE[what]
        self._order = f"{what}:{STEPS[stage].service}"

    def begin(self) -> None:
        self.rig.set_fault(self._order)

    def end(self) -> None:
        self.rig.set_fault("")
        self.count = self.rig.fault_count()

    def result(self) -> str:
        return f"{counted(self.count, 'step')} {self._done}"


class Logging(FaultyCode):
    """Endless log lines; the size of the log files is measured."""

    def begin(self) -> None:
        self.largest_bytes = 0
        super().begin()

    def step(self) -> None:
        files = [self.rig.sick.log_path, self.rig.sick.log_path.with_suffix(".log.1")]
        self.largest_bytes = max(self.largest_bytes, sum(_size(file) for file in files))

    def result(self) -> str:
        return f"{super().result()}, at most {self.largest_bytes / 1e6:.0f} MB in its two log files"


class Holding(FaultyCode):
    """Memory that the code never frees."""

    def missing(self) -> str | None:
        free = psutil.virtual_memory().available
        return None if free > ROOM_BYTES else f"only {free / 2**30:.1f} GiB of memory are free"

    def begin(self) -> None:
        self.most_bytes, self._next_s = 0, 0.0
        self.processes: set[int] = set()
        super().begin()

    def step(self) -> None:
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + SAMPLE_S
        self.most_bytes = max(self.most_bytes, self._resident())

    def end(self) -> None:
        super().end()
        self.left_bytes = self._resident()

    def result(self) -> str:
        most, left = (f"{count / 2**30:.1f} GiB" for count in (self.most_bytes, self.left_bytes))
        seen = counted(len(self.processes), "pool process", "pool processes")
        return f"{super().result()}, at most {most} resident, {left} at the end, {seen} used"

    def _resident(self) -> int:
        process = self.rig.pool_process()
        if process is None:
            return 0
        self.processes.add(process.pid)
        try:
            return int(process.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0


class FloodedQueue(SymbolFault):
    title = f"{FLOOD:,} ticks in its queue at once"

    def begin(self) -> None:
        items, self._began_s, self._drained_s = _many_ticks(self.rig.system.redis.url), time.monotonic(), 0.0
        with self.rig.client.pipeline(transaction=False) as pipe:
            for at in range(0, len(items), 500):
                pipe.lpush(PATIENT_QUEUE, *items[at : at + 500])
            pipe.execute()

    def step(self) -> None:
        if not self._drained_s and self.rig.is_queue_empty():
            self._drained_s = time.monotonic() - self._began_s

    def is_over(self) -> bool:
        return bool(self._drained_s)

    def end(self) -> None:
        self.rig.client.delete(PATIENT_QUEUE)

    def result(self) -> str:
        return f"processed in {self._drained_s:.0f} s" if self._drained_s else "not processed within the time limit"


class OtherProgram(Case):
    """Another program that uses the processor: no part of the system, so isolation cannot help."""

    kind = Kind.STRANGER

    def __init__(self, rig: Rig, cores: float) -> None:
        super().__init__(rig)
        self.title = f"another program uses {cores:g} {'core' if cores <= 1 else 'cores'}"
        whole, part = divmod(cores, 1.0)
        self._shares = [1.0] * int(whole) + ([part] if part else [])

    def begin(self) -> None:
        self._strangers = [subprocess.Popen([sys.executable, "-c", _BURN, str(share)]) for share in self._shares]

    def end(self) -> None:
        for process in self._strangers:
            process.kill()
            process.wait()


def cases(rig: Rig) -> Sequence[Case]:
    """Return all cases in the order in which they run; the other programs last."""
    fetch, indicators, strategy, execute = STAGES
    hangs = [FaultyCode(rig, "hang", stage, f"hung in {stage}") for stage in (fetch, indicators, strategy, execute)]
    return [
        Case(rig),
        KilledProcess(rig),
        KilledWorker(rig),
        *hangs,
        FaultyCode(rig, "spin", strategy, "an endless loop in its strategy"),
        FloodedQueue(rig),
        Logging(rig, "log", strategy, "endless log lines from its strategy"),
        Holding(rig, "hold", strategy, f"its strategy allocates {HELD_BYTES / 2**30:.0f} GiB and keeps it"),
        OtherProgram(rig, 0.5),
        OtherProgram(rig, 1.0),
        OtherProgram(rig, 2.0),
    ]


def _many_ticks(redis_url: str) -> list[str]:
    """Return ticks as queued messages, copied from one that Celery has written into a separate database."""
    scratch = f"{redis_url.rsplit('/', 1)[0]}/{SCRATCH_DATABASE}"
    app = Celery("flood", broker=scratch, set_as_current=False)
    app.conf.task_routes = (route,)
    app.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS)}
    send_tick(app, SICK, tick_id="flood", life_s=FLOOD_LIFE_S)
    app.close()
    client: Any = connect(scratch)
    text = client.lpop(PATIENT_QUEUE)
    client.close()
    return [_copy(json.loads(text), at) for at in range(FLOOD)]


def _copy(message: dict[str, Any], at: int) -> str:
    message["headers"]["id"] = message["headers"]["root_id"] = message["properties"]["correlation_id"] = f"flood:{at}"
    message["properties"]["delivery_tag"] = str(uuid.uuid4())
    return json.dumps(message)


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def joined(rounds: Sequence[str]) -> str:
    """Return the results of all rounds in one text; equal ones once."""
    if len(set(rounds)) <= 1:
        return "".join(rounds[:1]) + (" in each round" if len(rounds) > 1 else "")
    return "; ".join(f"round {number}: {text}" for number, text in enumerate(rounds, start=1))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
