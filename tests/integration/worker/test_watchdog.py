"""The watchdog beside a process that stands in for a worker: what it kills, what it leaves alone, when it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fixtures.servers.processes import is_alive
from worker.watchdog import feeder, watchdog

LIMIT_S = 60.0
PATIENT_S, IMPATIENT_S = 1000.0, 0.2
REPOSITORY = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")

PARENT = """
import os, signal, sys
sys.path.insert(0, {repository!r})
from worker.watchdog.feeder import Watchdog

child = os.fork()
if not child:
    signal.pause()  # until it is killed
fed = Watchdog({patience}, "@when@ parent is silent for @seconds@ s")
fed.start()
print(fed.pid, child, flush=True)
for line in sys.stdin:
    if line == "feed\\n":
        fed.feed()
        print("fed", flush=True)
        continue
    fed.feed({impatience})  # for the last time
    if line == "stand still\\n":
        os.kill(os.getpid(), signal.SIGSTOP)
"""


class Parent:
    """A process with a child and a watchdog, which feeds that when it is told to, until it is told to be silent."""

    def __init__(self, patience_s: float = PATIENT_S, *, leads_group: bool = True) -> None:
        code = PARENT.format(repository=str(REPOSITORY), patience=patience_s, impatience=IMPATIENT_S)
        # a leader of its own session, or a follower of ours; never one whose group is that of the tests
        self.process = subprocess.Popen(
            [sys.executable, "-c", code]
            if leads_group
            else ["sh", "-c", '"$0" -c "$1"; echo over', sys.executable, code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        watchdog, child = self.answer().split()
        self.watchdog, self.child = psutil.Process(int(watchdog)), psutil.Process(int(child))
        self.main = psutil.Process(self.child.ppid())

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def feed(self) -> None:
        self._command("feed")
        assert self.answer() == "fed\n"

    def be_silent(self, *, is_stopped: bool = False) -> None:
        """Have it feed no more from now on, with a watchdog that has no patience."""
        self._command("stand still" if is_stopped else "hang")

    def _command(self, what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def error_output(self) -> str:
        """Return what came on standard error, after everybody's end."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def close(self) -> None:
        with suppress(ProcessLookupError):  # nobody is left of the group
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


MakeParent = Callable[..., Parent]


@pytest.fixture
def make_parent() -> Iterator[MakeParent]:
    made: list[Parent] = []

    def make(**options: Any) -> Parent:
        made.append(Parent(**options))
        return made[-1]

    yield make
    for parent in made:
        parent.close()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {LIMIT_S:g} s in vain for: {what}"
        time.sleep(0.02)


def wait_s(seconds: float) -> None:
    began_s = time.monotonic()
    until(lambda: time.monotonic() - began_s > seconds, "the time goes by")


@pytest.mark.parametrize("is_stopped", [False, True], ids=["hangs", "stopped"])
def test_worker_that_feeds_no_more_is_killed_with_its_group_and_the_reason_is_reported(
    make_parent: MakeParent, *, is_stopped: bool
) -> None:
    parent = make_parent()
    parent.feed()

    parent.be_silent(is_stopped=is_stopped)

    assert parent.process.wait(LIMIT_S) == -signal.SIGKILL

    until(lambda: not is_alive(parent.child) and not is_alive(parent.watchdog), "the end of the whole group")
    assert re.search(r"parent is silent for [1-9] s", parent.error_output())


def test_worker_that_leads_no_group_is_killed_and_its_neighbours_are_not(make_parent: MakeParent) -> None:
    parent = make_parent(leads_group=False)

    parent.be_silent()

    assert parent.process.wait(LIMIT_S) == 0

    assert parent.answer() == "over\n", "the shell that had started it went on"
    until(lambda: not is_alive(parent.watchdog), "the end of the watchdog")


def test_watchdog_survives_what_a_terminal_sends_and_ends_with_its_worker(make_parent: MakeParent) -> None:
    parent = make_parent()
    until_it_watches(parent.watchdog)
    for number in watchdog.FOR_THE_WORKER:
        parent.watchdog.send_signal(number)
    parent.feed()
    assert is_alive(parent.watchdog)

    parent.process.kill()

    until(lambda: not is_alive(parent.watchdog), "the end of the watchdog")


def until_it_watches(process: psutil.Process) -> None:
    """Wait until a watchdog has set its signals: until then its interpreter opens and closes files."""
    status = Path(f"/proc/{process.pid}/status")
    until(lambda: ignored(status) >= set(watchdog.FOR_THE_WORKER), "the watchdog's start")


def ignored(status: Path) -> set[int]:
    """Return the signals that a process ignores."""
    mask = next(line for line in status.read_text().splitlines() if line.startswith("SigIgn"))
    bits = int(mask.split()[1], 16)
    return {number for number in range(1, 64) if bits >> (number - 1) & 1}


@pytest.mark.long
def test_watchdog_that_stood_still_itself_does_not_count_that_time(make_parent: MakeParent) -> None:
    """As after a suspended machine, or Ctrl-Z: both wake up, and the worker gets the time to say that it lives."""
    parent = make_parent(patience_s=12)
    until_it_watches(parent.watchdog)
    parent.feed()
    wait_s(1)  # it has heard that
    parent.watchdog.suspend()
    wait_s(13)

    parent.watchdog.resume()
    wait_s(2)  # with the time that it stood still it would have killed by now

    assert is_alive(parent.main)
    parent.feed()


def test_watchdog_keeps_nothing_open_of_its_worker(make_parent: MakeParent) -> None:
    parent = make_parent()
    until_it_watches(parent.watchdog)

    assert {int(entry.name) for entry in Path(f"/proc/{parent.watchdog.pid}/fd").iterdir()} == {0, 1, 2}


@pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")
def test_watchdog_that_dies_is_replaced_once_in_a_while(
    make_parent: MakeParent, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = feeder.Watchdog(1000, "")
    fed.start()
    first = fed.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: psutil.Process(first).status() == psutil.STATUS_ZOMBIE, "its end")

    fed.feed()
    assert fed.pid == first, "it was started a moment ago"
    monkeypatch.setattr(feeder, "NEXT_START_S", 0.0)
    fed.feed()

    assert fed.pid not in {first, None}
    fed.close_pipe()
    assert psutil.Process(fed.pid).wait(LIMIT_S) == 0, "it ends with the pipe"
