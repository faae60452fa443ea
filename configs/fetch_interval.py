"""How often a symbol is woken, as the configuration says."""

from configs.services import DataFetchingConfig
from configs.symbols import SymbolConfig

PROMPT_S = 1.0
"""Between two ticks of a source that plays as fast as it goes: its chains wake themselves, a tick just starts them."""


def is_aligned(fetching: DataFetchingConfig, config: SymbolConfig) -> bool:
    """Return whether a symbol's ticks follow the close of its candles: its market must go by the clock on the wall."""
    return fetching.tick_alignment == "candle_close" and config.source.pace == 1


def fetch_interval_s(fetching: DataFetchingConfig, config: SymbolConfig) -> float:
    """Return `fetch_interval` of a symbol in seconds of real time."""
    pace = config.source.pace
    return PROMPT_S if pace is None else fetching.fetch_interval / pace


def longest_pause_s(fetching: DataFetchingConfig, config: SymbolConfig) -> float:
    """Return the real seconds that lie between two ticks of a symbol at most."""
    return config.timeframe_ms / 1000 if is_aligned(fetching, config) else fetch_interval_s(fetching, config)
