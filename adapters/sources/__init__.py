"""Candle sources: recorded files and a seeded simulation, played as an exchange would show them."""

from adapters.sources.file import FileSource
from adapters.sources.playback_clock import AnchorStore, MarketClock, MemoryAnchorStore, RedisAnchorStore, Speed
from adapters.sources.simulated import SimulatedSource

__all__ = [
    "AnchorStore",
    "FileSource",
    "MarketClock",
    "MemoryAnchorStore",
    "RedisAnchorStore",
    "SimulatedSource",
    "Speed",
]
