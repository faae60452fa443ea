"""Which symbol is due when: slots counted from the clock, so that no delay adds up."""

import math
from collections.abc import Iterable, Iterator, Mapping

from configs.load import SystemConfig

PROMPT_S = 1.0
"""Between two ticks of a source that plays as fast as it goes: its chains wake themselves, a tick just starts them."""


def tick_intervals(system: SystemConfig) -> dict[str, float]:
    """Return the seconds of real time between two ticks of each symbol."""
    interval_s = system.services.data_fetching.fetch_interval
    speeds = {symbol: config.source.speed for symbol, config in system.symbols.items()}
    return {symbol: PROMPT_S if speed == "max" else interval_s / speed for symbol, speed in speeds.items()}


class Slots:
    """Hands out each slot of each symbol at most once; slots that passed unseen are never made up for.

    A slot is the number of whole intervals since the epoch, so two beats that look at the same clock name it alike.
    """

    def __init__(self, intervals: Mapping[str, float]) -> None:
        """Take the seconds between two slots of each symbol; the first one is due at once."""
        self._intervals = intervals
        self._next: dict[str, int] = {}

    def due(self, now_s: float) -> Iterator[tuple[str, int, float]]:
        """Yield (symbol, slot, interval in seconds) for each symbol whose slot has come."""
        for symbol, interval_s in self._intervals.items():
            slot = math.floor(now_s / interval_s)
            if slot >= self._next.get(symbol, slot):
                yield symbol, slot, interval_s

    def sent(self, symbol: str, slot: int) -> None:
        """Note that a slot's tick is out."""
        self._next[symbol] = slot + 1

    def wait_s(self, now_s: float, *, most: float) -> float:
        """Return the seconds until the next slot of any symbol, `most` at most."""
        return max(0.0, min((*self._waits(now_s), most)))

    def _waits(self, now_s: float) -> Iterable[float]:
        return (self._next.get(symbol, 0) * interval_s - now_s for symbol, interval_s in self._intervals.items())
