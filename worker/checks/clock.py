"""Clocks that must agree with ours: a tick's deadline, a fresh signal and a venue's answer are judged by the time."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.registry import VenueClock
from adapters.wiring.venues import venue_clocks
from configs.symbols import SymbolConfig
from trading.errors import Transient
from worker.checks.check import Check, Health

NOTABLE_SKEW_S, DANGEROUS_SKEW_S = 1.0, 5.0
ASKED, QUICK_ANSWER_S = 3, 0.1
REMEDY = "set this clock, or the other one, by NTP: timedatectl set-ntp true, then timedatectl timesync-status"


@dataclass(frozen=True, slots=True)
class Skew:
    """How far another clock is ahead of ours, in seconds; negative when it is behind.

    Attributes:
        doubt_s: Half of the round trip: the answer was made at some moment of it.
    """

    ahead_s: float
    doubt_s: float

    @property
    def certain_s(self) -> float:
        """Seconds by which the clocks differ for sure."""
        return max(0.0, abs(self.ahead_s) - self.doubt_s)


def measure(remote_s: Callable[[], float], *, now_s: Callable[[], float] = time.time) -> Skew:
    """Ask another clock for its time, seconds since the epoch; after slow answers again, and take the quickest one."""
    found: list[Skew] = []
    for _ in range(ASKED):
        sent_s = now_s()
        told_s = remote_s()
        back_s = now_s()
        found.append(Skew(told_s - (sent_s + back_s) / 2, abs(back_s - sent_s) / 2))
        if found[-1].doubt_s <= QUICK_ANSWER_S / 2:
            break
    return min(found, key=lambda skew: skew.doubt_s)


def clock_check(whose: str, skew: Skew) -> Check:
    """Judge a clock: from `NOTABLE_SKEW_S` on it warns, from `DANGEROUS_SKEW_S` on it fails."""
    name = f"clock of {whose}"
    direction = "ahead of" if skew.ahead_s > 0 else "behind"
    found = f"{abs(skew.ahead_s):.3f} s {direction} ours, within {skew.doubt_s:.3f} s"
    if skew.certain_s <= NOTABLE_SKEW_S:
        return Check(name, Health.OK, found)
    health = Health.FAIL if skew.certain_s > DANGEROUS_SKEW_S else Health.WARN
    return Check(name, health, found, REMEDY, endangers_orders=True)


def venue_clock_checks(symbols: Mapping[str, SymbolConfig]) -> list[Check]:
    """Compare our clock with that of each venue; one that does not answer is told, and harms nothing."""
    return [_venue_clock(title, clock_ms) for title, clock_ms in venue_clocks(symbols).items()]


def _venue_clock(title: str, clock_ms: VenueClock) -> Check:
    try:
        return clock_check(title, measure(lambda: clock_ms() / 1000))
    except Transient as error:
        remedy = "see whether the venue can be reached; until then what becomes of orders is not known"
        return Check(f"clock of {title}", Health.WARN, f"did not answer: {error}", remedy)
