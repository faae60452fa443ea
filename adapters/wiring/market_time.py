"""The time of a symbol's market without asking its source, and whether its cursor or fence lies after it."""

from collections.abc import Mapping

from adapters.symbol_store.redis import feed_history
from configs.symbols import SymbolConfig
from trading.market.feed_health import market_now_ms
from trading.risk.fence import ahead_of_market


def market_time_ms(config: SymbolConfig, state: Mapping[str, str], now_ms: int) -> int | None:
    """Return the present time of a market, milliseconds since the epoch, UTC; None where its source never answered.

    Args:
        state: The symbol's state hash in Redis.
        now_ms: The wall clock.
    """
    if config.source.is_realtime:
        return now_ms
    history = feed_history(state)
    return None if history is None else market_now_ms(history, config.feed_terms, now_ms=now_ms)


def ahead(symbol: str, config: SymbolConfig, state: Mapping[str, str], fence_ms: int | None, now_ms: int) -> str:
    """Describe a cursor or fence that lies after the market's time; empty for none."""
    market_ms = market_time_ms(config, state, now_ms)
    if market_ms is None:
        return ""
    cursor_ms = int(state["cursor_ms"]) if "cursor_ms" in state else None
    return ahead_of_market(symbol, cursor_ms, fence_ms, market_ms=market_ms, timeframe=config.grid)
