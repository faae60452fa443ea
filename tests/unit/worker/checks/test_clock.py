"""Skew between two clocks: what a round trip hides is no fault."""

import pytest

from worker.checks.check import Health
from worker.checks.clock import Skew, clock_check, measure


class Clocks:
    """Our clock, and another one that is ahead; an answer takes as long as the next of `trips_s`, in all."""

    def __init__(self, ahead_s: float, *trips_s: float) -> None:
        self.ahead_s = ahead_s
        self.trips_s = list(trips_s)
        self.ours_s = 1_000_000.0

    def answer(self) -> float:
        trip_s = self.trips_s.pop(0)
        self.ours_s += trip_s / 2
        remote_s = self.ours_s + self.ahead_s
        self.ours_s += trip_s / 2
        return remote_s

    def measure(self) -> Skew:
        return measure(self.answer, now_s=lambda: self.ours_s)


@pytest.mark.parametrize("ahead_s", [-60.0, -0.25, 0.0, 0.25, 60.0])
def test_skew_is_measured_from_the_middle_of_the_round_trip(ahead_s: float) -> None:
    skew = Clocks(ahead_s, 0.05).measure()

    assert skew.ahead_s == pytest.approx(ahead_s)
    assert skew.doubt_s == pytest.approx(0.025)


def test_slow_answer_is_requested_again_and_the_quickest_counts() -> None:
    clocks = Clocks(0.0, 4.0, 0.5, 2.0)

    assert clocks.measure().doubt_s == pytest.approx(0.25)
    assert clocks.trips_s == []


@pytest.mark.parametrize(
    ("ahead_s", "doubt_s", "health"),
    [
        (0.9, 0.0, Health.OK),
        (-1.1, 0.0, Health.WARN),
        (4.9, 0.0, Health.WARN),
        (-5.1, 0.0, Health.FAIL),
        (9.0, 8.5, Health.OK),
        (9.0, 5.0, Health.WARN),
    ],
)
def test_clock_is_judged_by_what_is_certain(ahead_s: float, doubt_s: float, health: Health) -> None:
    check = clock_check("venue", Skew(ahead_s, doubt_s))

    assert check.health is health
    assert check.is_refusal == (health is Health.FAIL)
    assert bool(check.remedy) == (health is not Health.OK)
    assert ("NTP" in check.remedy) == (health is not Health.OK)
