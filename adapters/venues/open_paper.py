"""Opens the paper venue for the symbols of a process, with the faults that their settings name."""

import logging
from collections.abc import Mapping, Set

from adapters.database import create_engine
from adapters.venues.fault_injection.venue import FaultInjectingVenue
from adapters.venues.fault_injection.visibility import SqlSends
from adapters.venues.paper import PaperVenue
from configs.plugins.venues import PaperVenue as PaperVenueConfig
from configs.settings import Settings
from trading.ports.venue import Venue
from trading.structs import replace

logger = logging.getLogger(__name__)


def open_paper(
    settings: Settings, configs: Mapping[str, PaperVenueConfig], *, allow_non_positive: Set[str] = frozenset()
) -> Mapping[str, Venue]:
    """Open the books of the paper venue, which are separate from our ledger, and return the venue of each symbol.

    Args:
        allow_non_positive: Symbols whose prices may be zero or negative.

    Raises:
        Transient: The database of the books did not answer.
    """
    engine = create_engine(settings.paper_url.get_secret_value(), where="paper")
    terms = {
        symbol: replace(config.backtest_fills(symbol), allow_non_positive=symbol in allow_non_positive)
        for symbol, config in configs.items()
    }
    paper = PaperVenue(engine, terms)
    venues: dict[str, Venue] = dict.fromkeys(configs, paper)
    sends: SqlSends | None = None
    for symbol, config in configs.items():
        if config.faults is None:
            continue
        sends = sends or SqlSends(create_engine(settings.paper_url.get_secret_value(), where="paper"))
        venues[symbol] = FaultInjectingVenue(paper, config.faults, sends=sends)
        faults = config.faults.model_dump(exclude_defaults=True)
        logger.warning("venue_lies_on_purpose symbol=%s faults=%s: for tests, never with money", symbol, faults)
    return venues
