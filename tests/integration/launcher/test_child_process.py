"""A child process: how it starts, and the length of its log."""

import os
import threading
from pathlib import Path

import pytest

from tests.integration.launcher.supervised import FOREVER, LIMIT_S, Home, python, until
from trading.errors import Broken
from trading_orchestrator.launcher.child_process import ChildProcess, ProcessSpec

pytestmark = pytest.mark.timeout(300)


def test_program_that_does_not_exist_is_reported_in_the_log(home: Home) -> None:
    home.supervisor.add(ProcessSpec("one", ("no-such-program",)))

    until(lambda: bool(home.lines), "the end", meanwhile=home.supervisor.watch)

    assert "cannot run no-such-program" in home.log("one")


def test_child_is_the_leader_of_a_session_of_its_own(home: Home) -> None:
    child = home.supervisor.add(python("one", FOREVER))
    assert child.pid is not None

    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid


def test_start_from_another_thread_is_rejected(tmp_path: Path) -> None:
    child = ChildProcess(python("one", FOREVER), tmp_path)
    caught: list[Exception] = []

    def start() -> None:
        try:
            child.start()
        except Broken as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in str(caught[0])
    assert child.pid is None


def test_large_log_is_put_aside_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading_orchestrator.launcher.child_process.LOG_LIMIT_BYTES", 10)
    child = ChildProcess(python("one", "print('a long line of output')"), tmp_path)

    for _ in range(2):
        child.start()
        assert child.wait(LIMIT_S) == 0

    assert (tmp_path / "one.log").read_text() == (tmp_path / "one.log.1").read_text() == "a long line of output\n"


def test_log_that_grows_without_end_keeps_its_last_part_aside_and_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_orchestrator.launcher.child_process.LOG_LIMIT_BYTES", 1_000)
    written = "".join(f"line {number}\n" for number in range(10_000))
    child = ChildProcess(python("one", f"print({written!r}, end='', flush=True)\n{FOREVER}"), tmp_path)
    child.start()
    until(lambda: child.log_path.stat().st_size == len(written), "all of it is written")

    child.keep_log_short()

    child.terminate(LIMIT_S)
    assert child.log_path.stat().st_size == 0
    assert (tmp_path / "one.log.1").read_text() == written[-1_000:]
