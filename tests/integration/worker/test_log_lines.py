"""The log of a real worker: each line of a symbol's steps says which symbol, which step and which candle."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tasks.engine.routing import CONTROL_QUEUE
from tasks.engine.stages import HEALTH, LOG_STATUS, RECONCILE, STAGES
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading_orchestrator.launcher.child_process import ChildProcess

WELL, SICK = "XAUUSD", "BADUSD"
PAUSE = "tasks.pause_symbol"
STEPS = {*STAGES, RECONCILE}
CANDLES = 40

pytestmark = pytest.mark.timeout(180)

HUMAN_LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (?P<level>[A-Z]+) +"
    r"(?:\[(?P<symbol>\S+) (?P<stage>\S+) (?P<correlation_id>\S+)\] )?(?P<logger>[\w.]+): (?P<message>.*)"
)
TASK_MESSAGE = re.compile(r"Task (?P<task>[\w.]+)\[[^\]]+\] (?P<what>received|succeeded|raised)")


@dataclass(frozen=True, slots=True)
class Line:
    """The fields of a task in both formats."""

    task: str
    what: str
    symbol: str | None
    stage: str | None
    correlation_id: str | None
    traceback: str = ""


@pytest.fixture
def run(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Callable[[str], ChildProcess]:
    """Play one symbol's candles, beside one that can't work, and return the worker that did so."""
    path = write_candles(tmp_path / "gold.csv", generated_candles(WELL, CANDLES, seed=3))
    lost = write_candles(tmp_path / "lost.csv", generated_candles(SICK, CANDLES, seed=4))

    def play(log_format: str) -> ChildProcess:
        symbols = {WELL: file_symbol(path), SICK: file_symbol(lost)}
        system = make_system(symbols, extra={"TRADING__LOG_FORMAT": log_format})
        lost.unlink()
        worker = system.celery("worker", "-A", "tasks", "worker", "-Q", f"{WELL},{SICK}", "-l", "INFO")
        system.beat()
        system.wait_until(lambda: len(system.journal(WELL)) == CANDLES, "every candle decided")
        system.wait_until(lambda: "lost.csv" in text_of(worker), "the other symbol fails")
        with Celery("foreign", broker=system.redis.url, set_as_current=False) as foreign:
            foreign.send_task(PAUSE, args=[SICK, "it's a test"], queue=CONTROL_QUEUE)
        system.wait_until(lambda: f"{PAUSE}[" in text_of(worker) or f'"{PAUSE}"' in text_of(worker), "the pause")
        worker.terminate(60)  # to its end in peace: what it is at is told
        system.stop()
        return worker

    return play


def text_of(worker: ChildProcess) -> str:
    return worker.log_path.read_text(encoding="utf-8", errors="replace")


def json_lines(worker: ChildProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text_of(worker).splitlines() if line.startswith("{")]


def task_lines_in_json(worker: ChildProcess) -> Iterator[Line]:
    for line in json_lines(worker):
        if "task" in line and line["event"].startswith("task_"):
            context = {name: line.get(name) for name in ("symbol", "stage", "correlation_id")}
            what = line["event"].removeprefix("task_")
            yield Line(line["task"], what, **context, traceback=line.get("error", ""))


def task_lines_in_text(worker: ChildProcess) -> Iterator[Line]:
    """Yield what is said of tasks; a line that is none of ours belongs to the traceback of the one before it."""
    names = {"received": "received", "succeeded": "succeeded", "raised": "failed"}
    found: list[tuple[re.Match[str], re.Match[str], list[str]]] = []
    for text in text_of(worker).splitlines():
        line = HUMAN_LINE.fullmatch(text)
        if line and (task := TASK_MESSAGE.match(line["message"])):
            found.append((line, task, []))
        elif not line and found:
            found[-1][2].append(text)
    for line, task, rest in found:
        context = line["symbol"], line["stage"], line["correlation_id"]
        yield Line(task["task"], names[task["what"]], *context, traceback="\n".join(rest))


def assert_steps_are_logged(lines: list[Line]) -> None:
    """Each line says symbol, stage and candle, and all of those that there must be are there."""
    control = {(line.what, line.symbol, line.stage) for line in lines if line.task == PAUSE}
    assert control == {(what, SICK, "pause_symbol") for what in ("received", "succeeded")}
    counted = Counter((line.symbol, line.task, line.what) for line in lines)
    for task in STAGES[:3]:
        assert counted[WELL, task, "received"] >= CANDLES
        assert counted[WELL, task, "succeeded"] >= CANDLES
    for line in lines:
        assert line.symbol in {WELL, SICK}
        assert line.stage == line.task.removeprefix("tasks.")
        assert line.correlation_id
    about = {line.correlation_id for line in lines if line.task == STAGES[1]}
    assert {(one or "").rpartition(":")[0] for one in about} == {f"{WELL}:1m"}, "the later steps know their candle"
    assert len(about) == CANDLES
    fetched = {line.correlation_id for line in lines if (line.task, line.what) == (STAGES[0], "succeeded")}
    assert about <= fetched, "a fetch that found its candle names it"
    failed = [line for line in lines if (line.symbol, line.what) == (SICK, "failed")]
    assert failed
    assert all("lost.csv" in line.traceback and "Traceback" in line.traceback for line in failed)


def test_json_lines_of_steps_say_symbol_stage_and_candle(run: Callable[[str], ChildProcess]) -> None:
    worker = run("json")

    assert_steps_are_logged([line for line in task_lines_in_json(worker) if line.task in {*STEPS, PAUSE}])
    written = [line for line in json_lines(worker) if line["process"].startswith("ForkPool")]
    of_all = {HEALTH, LOG_STATUS}
    of_steps = [line for line in written if line["logger"] != "trading.status" and line.get("task") not in of_all]
    assert len(of_steps) >= len(STAGES[:3]) * CANDLES
    assert [line for line in of_steps if "symbol" not in line] == []
    assert {tuple(line)[:4] for line in written} == {("time", "level", "process", "logger")}


@pytest.mark.long
def test_lines_for_people_of_steps_say_symbol_stage_and_candle(run: Callable[[str], ChildProcess]) -> None:
    assert_steps_are_logged([line for line in task_lines_in_text(run("human")) if line.task in {*STEPS, PAUSE}])
