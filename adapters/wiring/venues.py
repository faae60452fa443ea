"""The venue of each symbol: where its orders go, what it lies about on purpose, and the check of what it answers."""

import logging
from collections.abc import Mapping

from adapters.database import create_engine
from adapters.venues.fault_injection.venue import LyingVenue
from adapters.venues.fault_injection.visibility import SqlSends
from adapters.wiring.pipeline import open_paper_venue
from configs.settings import Settings
from configs.symbols import SymbolConfig
from trading.execution.validated_venue import CheckedVenue
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
            venue = LyingVenue(paper, faults, sends=sends)
            told = faults.model_dump(exclude_defaults=True)
            logger.warning("venue_lies_on_purpose symbol=%s faults=%s: for tests, never with money", symbol, told)
        venues[symbol] = CheckedVenue(venue, where=f"venue of {symbol}")
    return venues
