"""The venue of each symbol: where its orders go, what it lies about on purpose, and the check of what it answers."""

import logging
from collections.abc import Callable, Mapping

from adapters import clock
from adapters.database import create_engine
from adapters.venues.fault_injection.venue import FaultInjectingVenue
from adapters.venues.fault_injection.visibility import SqlSends
from adapters.wiring.pipeline import open_paper_venue
from configs.settings import Settings
from configs.symbols import SymbolConfig
from trading.execution.validated_venue import ValidatedVenue
from trading.ports.venue import Venue

logger = logging.getLogger(__name__)


def open_venues(settings: Settings, symbols: Mapping[str, SymbolConfig]) -> Mapping[str, Venue]:
    """Open the venue of each symbol; they share the paper books, and every answer is checked.

    Raises:
        Transient: The database of the books did not answer.
    """
    paper = open_paper_venue(settings, symbols)
    venues: dict[str, Venue] = {}
    sends: SqlSends | None = None
    for symbol, config in symbols.items():
        venue: Venue = paper
        faults = config.venue.faults
        if faults is not None:
            sends = sends or SqlSends(create_engine(settings.paper_url.get_secret_value(), where="paper"))
            venue = FaultInjectingVenue(paper, faults, sends=sends)
            told = faults.model_dump(exclude_defaults=True)
            logger.warning("venue_lies_on_purpose symbol=%s faults=%s: for tests, never with money", symbol, told)
        venues[symbol] = ValidatedVenue(venue, where=f"venue of {symbol}")
    return venues


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
