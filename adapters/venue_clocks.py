"""The clocks of the venues, to be asked before anything else of them is opened: a worker looks before it forks."""

from collections.abc import Callable, Mapping

from adapters import clock
from configs.symbols import SymbolConfig

VenueClock = Callable[[], int]
"""What `trading.ports.venue.Venue.clock_ms` answers: milliseconds since the epoch, UTC."""


def venue_clocks(symbols: Mapping[str, SymbolConfig]) -> Mapping[str, VenueClock]:
    """Return each venue's clock by the venue's title, one for all symbols that share a venue.

    The paper venue lives in our own processes, and so does its clock; one that lies is off by what it was told to be.
    """
    clocks: dict[str, VenueClock] = {}
    for symbol, config in symbols.items():
        faults = config.venue.faults
        if faults is None:
            clocks["the paper venue"] = clock.now_ms
        else:
            clocks[f"the venue of {symbol}"] = _shifted(faults.clock_offset_ms)
    return clocks


def _shifted(offset_ms: int) -> VenueClock:
    return lambda: clock.now_ms() + offset_ms
