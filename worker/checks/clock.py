"""Compare clocks: tick deadlines, signal ages and venue responses depend on a common time."""

import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from adapters.registry import VenueClock
from adapters.wiring.venues import venue_clocks
from configs.symbols import SymbolConfig
from trading.errors import Transient
from worker.checks.check import Check, Health

NOTABLE_SKEW_S, DANGEROUS_SKEW_S = 1.0, 5.0
ASKED, QUICK_ANSWER_S = 3, 0.1
REMEDY = "set this clock, or the other one, by NTP: timedatectl set-ntp true, then timedatectl timesync-status"


class Skew(Struct, frozen=True):
    """Offset of another clock from the local one, in seconds; negative when it is behind.

    Attributes:
        doubt_s: Half of the round trip, the uncertainty of the measurement.
    """

    ahead_s: float
    doubt_s: float

    @property
    def certain_s(self) -> float:
        """Smallest possible difference of the clocks, in seconds."""
        return max(0.0, abs(self.ahead_s) - self.doubt_s)


def measure(remote_s: Callable[[], float], *, now_s: Callable[[], float] = time.time) -> Skew:
    """Measure another clock, in seconds since the epoch; repeat slow measurements and keep the fastest."""
    found: list[Skew] = []
    for _ in range(ASKED):
        sent_s = now_s()
        remote_time_s = remote_s()
        back_s = now_s()
        found.append(Skew(remote_time_s - (sent_s + back_s) / 2, abs(back_s - sent_s) / 2))
        if found[-1].doubt_s <= QUICK_ANSWER_S / 2:
            break
    return min(found, key=lambda skew: skew.doubt_s)


def clock_check(owner: str, skew: Skew) -> Check:
    """Check a skew: warn from `NOTABLE_SKEW_S`, fail from `DANGEROUS_SKEW_S`."""
    name = f"clock of {owner}"
    direction = "ahead of" if skew.ahead_s > 0 else "behind"
    found = f"{abs(skew.ahead_s):.3f} s {direction} the local clock, within {skew.doubt_s:.3f} s"
    if skew.certain_s <= NOTABLE_SKEW_S:
        return Check(name, Health.OK, found)
    health = Health.FAIL if skew.certain_s > DANGEROUS_SKEW_S else Health.WARN
    return Check(name, health, found, REMEDY, endangers_orders=True)


def venue_clock_checks(symbols: Mapping[str, SymbolConfig]) -> list[Check]:
    """Compare the local clock with that of each venue; warn when a venue does not answer."""
    return [_venue_clock(title, clock_ms) for title, clock_ms in venue_clocks(symbols).items()]


def _venue_clock(title: str, clock_ms: VenueClock) -> Check:
    try:
        return clock_check(title, measure(lambda: clock_ms() / 1000))
    except Transient as error:
        remedy = "check the connection to the venue; until it answers, the state of orders is unknown"
        return Check(f"clock of {title}", Health.WARN, f"did not answer: {error}", remedy)
