"""Interfaces to the outside world; `adapters/` implements each."""

from trading.moved import moved

__getattr__ = moved(
    __name__,
    {
        "Bars": "trading.ports.candle_source",
        "CandleSource": "trading.ports.candle_source",
        "Venue": "trading.ports.venue",
        "VenueTerms": "trading.ports.venue",
        "Decided": "trading.ports.ledger",
        "Ledger": "trading.ports.ledger",
        "SymbolStore": "trading.ports.symbol_store",
        "SymbolSnapshot": "trading.ports.symbol_store",
        "Commit": "trading.ports.symbol_store",
        "Intent": "trading.orders.intents",
        "Mark": "trading.orders.intents",
    },
)
