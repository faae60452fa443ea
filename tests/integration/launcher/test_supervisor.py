"""The supervisor with real processes: which come back, when, and what it reports of their end."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.fixtures.servers.processes import is_alive
from tests.integration.launcher.supervised import FOREVER, WITH_CHILD, Home, python, until
from trading_orchestrator.launcher.supervisor import ChildState, RestartPolicy, Supervisor

pytestmark = pytest.mark.timeout(300)


def test_child_killed_starts_again_as_another_process(home: Home) -> None:
    child = home.supervisor.add(python("one", FOREVER))
    first = child.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    until(lambda: child.pid not in {first, None}, "a second process", meanwhile=home.supervisor.watch)

    assert home.lines[0] == "one ended (signal 9), restarts in 0.05 s"
    assert [status.restarts for status in home.supervisor.statuses()] == [1]


def test_child_replaced_runs_on_and_starts_by_the_new_description_next_time(home: Home) -> None:
    child = home.supervisor.add(python("one", FOREVER))
    first = child.pid
    assert first is not None

    home.supervisor.replace(python("one", "print('another', flush=True)\n" + FOREVER))
    home.supervisor.watch()
    assert child.pid == first
    os.kill(first, signal.SIGKILL)

    until(lambda: "another" in home.log("one"), "the other description", meanwhile=home.supervisor.watch)


def test_child_that_always_fails_is_restarted_with_growing_delays(home: Home) -> None:
    home.supervisor.add(python("one", "import sys; sys.exit(3)"))

    until(lambda: len(home.lines) >= 9, "five deaths", meanwhile=home.supervisor.watch)

    ends = [line for line in home.lines if "ended" in line]
    assert ends[:5] == [f"one ended (exit code 3), restarts in {delay} s" for delay in (0.05, 0.1, 0.2, 0.4, 0.4)]


def test_child_that_fails_at_once_is_reported_with_the_last_line_of_its_log(home: Home) -> None:
    home.supervisor.add(python("failing", "print('first'); raise ValueError('no \\x1b[31mkey')"))
    until(lambda: home.state("failing") is ChildState.WAITING, "its end", meanwhile=home.supervisor.watch)

    [status] = home.supervisor.statuses()
    assert status.last_error == "ValueError: no [31mkey"
    assert status.is_failing
    assert home.lines == ["failing ended (exit code 1), restarts in 0.05 s: ValueError: no [31mkey"]


def test_child_whose_log_was_removed_is_restarted(home: Home) -> None:
    home.supervisor.add(python("one", "import os; os.remove(os.readlink('/proc/self/fd/1')); raise SystemExit(3)"))
    until(lambda: home.state("one") is ChildState.WAITING, "its end", meanwhile=home.supervisor.watch)
    [status] = home.supervisor.statuses()
    until(lambda: any("restarted" in line for line in home.lines), "its restart", meanwhile=home.supervisor.watch)

    assert (status.last_exit_code, status.last_error) == (3, "")


def test_child_ended_by_a_signal_has_no_last_error(home: Home) -> None:
    child = home.supervisor.add(python("one", f"print('ready', flush=True)\n{FOREVER}"))
    until(lambda: "ready" in home.log("one"), "its first line")
    child.kill()
    until(lambda: home.state("one") is ChildState.WAITING, "its end", meanwhile=home.supervisor.watch)

    assert [(one.last_error, one.is_failing) for one in home.supervisor.statuses()] == [("", True)]


def test_child_that_lived_well_starts_again_from_the_first_delay(tmp_path: Path) -> None:
    now_s = [0.0]
    lines: list[str] = []
    supervisor = Supervisor(tmp_path, report=lines.append, policy=RestartPolicy(), clock=lambda: now_s[0])
    child = supervisor.add(python("one", FOREVER))

    for life_s, delay_s in ((5.0, 1.0), (5.0, 2.0), (60.0, 1.0)):
        now_s[0] += life_s
        child.kill()
        deaths = len(lines)
        until(lambda seen=deaths: len(lines) > seen, "the end", meanwhile=supervisor.watch)  # type: ignore[misc]
        assert lines[-1].endswith(f"restarts in {delay_s:g} s")
        now_s[0] += delay_s
        supervisor.watch()
        assert lines[-1].startswith("one restarted as process")
    supervisor.stop()


def test_what_a_dead_child_left_behind_is_killed_with_it(home: Home) -> None:
    child = home.supervisor.add(python("one", WITH_CHILD))
    until(lambda: home.log("one").endswith("\n"), "the grandchild's id")
    grandchild = psutil.Process(int(home.log("one")))
    assert child.pid is not None

    os.kill(child.pid, signal.SIGKILL)
    until(lambda: home.state("one") is ChildState.WAITING, "the end", meanwhile=home.supervisor.watch)

    until(lambda: not is_alive(grandchild), "the grandchild's end")
