"""The venue of each symbol, opened by the plug-in of its kind, with a check of every answer."""

from collections.abc import Mapping

from adapters.registry import VenueClock, VenueContext, venue_plugin
from configs.settings import Settings
from configs.symbols import SymbolConfig
from trading.errors import Broken
from trading.execution.validated_venue import ValidatedVenue
from trading.ports.venue import Venue


def open_venues(settings: Settings, symbols: Mapping[str, SymbolConfig]) -> Mapping[str, Venue]:
    """Open the venue of each symbol; symbols whose venues are of one kind are opened together.

    Raises:
        Transient: A venue, or the database of its books, did not answer.
        Broken: A plug-in returned no venue for a symbol.
    """
    opened: dict[str, Venue] = {}
    for kind, group in _by_kind(symbols).items():
        allowing = frozenset(symbol for symbol, config in group.items() if config.allow_non_positive_prices)
        context = VenueContext({symbol: config.venue for symbol, config in group.items()}, settings, allowing)
        found = venue_plugin(kind).open(context)
        venues = found if isinstance(found, Mapping) else dict.fromkeys(group, found)
        missing = [symbol for symbol in group if symbol not in venues]
        if missing:
            raise Broken(f"the plug-in of the venue {kind!r} returned no venue for {', '.join(missing)}")
        opened |= {
            symbol: ValidatedVenue(venues[symbol], where=f"venue of {symbol}", allow_non_positive=symbol in allowing)
            for symbol in group
        }
    return {symbol: opened[symbol] for symbol in symbols}


def venue_clocks(symbols: Mapping[str, SymbolConfig]) -> Mapping[str, VenueClock]:
    """Return the clock of each venue by the venue's title, one for all symbols that share a venue."""
    clocks: dict[str, VenueClock] = {}
    for kind, group in _by_kind(symbols).items():
        clocks |= venue_plugin(kind).clocks(group)
    return clocks


def _by_kind(symbols: Mapping[str, SymbolConfig]) -> dict[str, dict[str, SymbolConfig]]:
    groups: dict[str, dict[str, SymbolConfig]] = {}
    for symbol, config in symbols.items():
        groups.setdefault(config.venue.kind, {})[symbol] = config
    return groups
