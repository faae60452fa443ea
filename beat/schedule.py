"""Which symbol is due when: slots counted from the clock, so that no delay adds up."""

import math
from collections.abc import Iterator, Mapping

from configs.load import SystemConfig

PROMPT_S = 1.0
"""Between two ticks of a source that plays as fast as it goes: its chains wake themselves, a tick just starts them."""


def tick_intervals(system: SystemConfig) -> dict[str, float]:
    """Return the seconds of real time between two ticks of each symbol."""
    interval_s = system.services.data_fetching.fetch_interval
    speeds = {symbol: config.source.speed for symbol, config in system.symbols.items()}
    return {symbol: PROMPT_S if speed == "max" else interval_s / speed for symbol, speed in speeds.items()}


def reconcile_intervals(system: SystemConfig) -> dict[str, float]:
    """Return the seconds of real time between two comparisons of each symbol's ledger and venue."""
    return dict.fromkeys(system.symbols, system.orchestrator.reconcile_interval)


class Slots:
    """Hands out each slot of each symbol once; slots that passed unseen are never made up for.

    A slot is the number of whole intervals since the epoch, so two beats that look at the same clock name it alike. A
    clock that is put back gives the same slots again, which costs nothing: a tick carries no candle.
    """

    def __init__(self, intervals: Mapping[str, float]) -> None:
        """Take the seconds between two slots of each symbol; the first one is due at once."""
        self._intervals = intervals
        self._sent: dict[str, int] = {}

    def due(self, now_s: float) -> Iterator[tuple[str, int, float]]:
        """Yield (symbol, slot, interval in seconds) for each symbol whose slot has come."""
        for symbol, interval_s in self._intervals.items():
            slot = math.floor(now_s / interval_s)
            if slot != self._sent.get(symbol):
                yield symbol, slot, interval_s

    def sent(self, symbol: str, slot: int) -> None:
        """Note that a slot's tick is out."""
        self._sent[symbol] = slot

    def wait_s(self, now_s: float, *, most: float) -> float:
        """Return the seconds until the next slot of any symbol, `most` at most."""
        return max(0.0, min((*self._waits(now_s), most)))

    def _waits(self, now_s: float) -> Iterator[float]:
        for symbol, interval_s in self._intervals.items():
            slot = math.floor(now_s / interval_s)
            yield (slot + 1) * interval_s - now_s if slot == self._sent.get(symbol) else 0.0
