"""The stop of a supervisor and of one child: the order, the signals, and the kill at last."""

import os
import signal
import time

import pytest

from tests.integration.launcher.supervised import FOREVER, LIMIT_S, STUBBORN, Home, python, until
from trading_orchestrator.launcher.supervisor import ChildState

pytestmark = pytest.mark.timeout(300)


def test_child_retired_ends_in_peace_is_forgotten_and_its_name_is_free(home: Home) -> None:
    gone, stays = home.supervisor.add(python("one", FOREVER)), home.supervisor.add(python("two", FOREVER))

    home.supervisor.retire("one")
    until(lambda: len(home.supervisor.statuses()) == 1, "the end of one", meanwhile=home.supervisor.watch)

    assert home.lines == ["one stopped (signal 15)"]
    assert gone.pid is None
    assert stays.pid is not None
    home.supervisor.add(python("one", FOREVER))


def test_child_retired_that_waits_for_its_restart_is_forgotten_at_once(home: Home) -> None:
    home.supervisor.add(python("one", "import sys; sys.exit(3)"))
    until(lambda: home.state("one") is ChildState.WAITING, "a death", meanwhile=home.supervisor.watch)

    home.supervisor.retire("one")
    home.supervisor.watch()

    assert list(home.supervisor.statuses()) == []


def test_child_retired_that_does_not_end_is_killed_while_the_others_are_watched(home: Home) -> None:
    child = home.supervisor.add(python("one", STUBBORN, stop_signals=((signal.SIGTERM, 0.2),)))
    other = home.supervisor.add(python("two", FOREVER))
    until(lambda: "ready" in home.log("one"), "a child that listens")
    first = other.pid
    assert first is not None

    home.supervisor.retire("one")
    home.supervisor.watch()
    os.kill(first, signal.SIGKILL)
    until(lambda: len(home.supervisor.statuses()) == 1, "the end of one", meanwhile=home.supervisor.watch)
    until(lambda: other.pid not in {first, None}, "another two", meanwhile=home.supervisor.watch)

    assert "one did not end and was killed" in home.lines
    assert child.pid is None


def test_stop_ends_the_lower_ranks_first(home: Home) -> None:
    for name, rank in (("store", 2), ("clock", 1), ("worker", 0)):
        home.supervisor.add(python(name, FOREVER, stop_rank=rank))

    home.supervisor.stop()

    assert [line.split()[0] for line in home.lines] == ["worker", "clock", "store"]
    assert {status.state for status in home.supervisor.statuses()} == {ChildState.STOPPED}


def test_stop_of_a_child_that_ignores_the_signal_continues_to_the_next_and_kills_at_last(home: Home) -> None:
    signals = ((signal.SIGTERM, 0.05), (signal.SIGTERM, 0.05))
    child = home.supervisor.add(python("one", STUBBORN, stop_signals=signals))
    until(lambda: "ready" in home.log("one"), "the signal handler")

    home.supervisor.stop()

    assert child.pid is None
    assert home.lines == [
        "one is still running; sent SIGTERM",
        "one did not end and was killed",
        "one stopped (signal 9)",
    ]


def test_forced_stop_kills_without_waiting(home: Home) -> None:
    home.supervisor.add(python("one", STUBBORN, stop_signals=((signal.SIGTERM, LIMIT_S),)))
    until(lambda: "ready" in home.log("one"), "the signal handler")
    began_s = time.monotonic()

    home.supervisor.stop(is_forced=lambda: True)

    assert time.monotonic() - began_s < LIMIT_S / 3
    assert home.lines == ["one stopped (signal 9)"]


def test_stop_while_a_restart_is_due_starts_nothing(home: Home) -> None:
    home.supervisor.add(python("one", "raise SystemExit(1)"))
    until(lambda: home.state("one") is ChildState.WAITING, "the end", meanwhile=home.supervisor.watch)

    home.supervisor.stop()
    home.supervisor.watch()

    assert home.state("one") is ChildState.STOPPED
