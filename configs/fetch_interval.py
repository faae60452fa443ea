"""Interval between a symbol's ticks, from the configuration."""

from configs.services import DataFetchingConfig
from configs.symbols import SymbolConfig

PROMPT_S = 1.0
"""Tick interval of a source at speed max: its chains continue by themselves, a tick only starts them."""


def is_aligned(fetching: DataFetchingConfig, config: SymbolConfig) -> bool:
    """Return whether a symbol's ticks follow the close of its candles; this needs a source in real time."""
    return fetching.tick_alignment == "candle_close" and config.source.pace == 1


def fetch_interval_s(fetching: DataFetchingConfig, config: SymbolConfig) -> float:
    """Return the `fetch_interval` of a symbol in seconds of real time."""
    pace = config.source.pace
    return PROMPT_S if pace is None else fetching.fetch_interval / pace


def longest_pause_s(fetching: DataFetchingConfig, config: SymbolConfig) -> float:
    """Return the longest time between two ticks of a symbol, in real seconds."""
    return config.grid.longest_ms / 1000 if is_aligned(fetching, config) else fetch_interval_s(fetching, config)
