"""Ctrl-C and its relatives are counted, and put back as they were."""

import signal
import time

import pytest

from trading_orchestrator.launcher.stop_signals import StopSignals

LONG_S = 100.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_requests_a_stop_and_the_second_forces_it(number: signal.Signals) -> None:
    with StopSignals() as signals:
        seen = [(signals.is_stop_requested, signals.is_forced())]
        for _ in range(2):
            signal.raise_signal(number)
            seen.append((signals.is_stop_requested, signals.is_forced()))

    assert seen == [(False, False), (True, False), (True, True)]
    assert signals.last is number


def test_wait_ends_when_a_signal_has_come() -> None:
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGTERM)
        began_s = time.monotonic()

        signals.wait(LONG_S)

        assert time.monotonic() - began_s < LONG_S / 2


def test_signal_that_was_ignored_before_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert not signals.is_stop_requested
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_handlers_after_the_end_are_those_from_before() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}

    with StopSignals():
        pass

    assert {number: signal.getsignal(number) for number in before} == before
