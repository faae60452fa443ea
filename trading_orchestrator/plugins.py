"""All that a package needs to add a venue or a candle source; `docs/reference/plug-ins.md` shows each name at work."""

from adapters.registry import SourceContext, SourcePlugin, VenueClock, VenueContext, VenuePlugin
from configs.plugins.entry_points import PluginError
from configs.plugins.sources import ConfigPath, PlayedSourceConfig, SourceConfig
from configs.plugins.venues import VenueConfig
from trading.orders.fill_terms import FillTerms
from trading.ports.candle_source import Bars, CandleSource
from trading.ports.venue import QuotesSpread, Venue, VenueTerms

__all__ = [
    "Bars",
    "CandleSource",
    "ConfigPath",
    "FillTerms",
    "PlayedSourceConfig",
    "PluginError",
    "QuotesSpread",
    "SourceConfig",
    "SourceContext",
    "SourcePlugin",
    "Venue",
    "VenueClock",
    "VenueConfig",
    "VenueContext",
    "VenuePlugin",
    "VenueTerms",
]
