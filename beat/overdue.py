"""Find symbols that wait for a candle that should have closed: a tick was lost, or the exchange was late.

This is only checked where ticks follow the candles' close: there the next tick may be a day away.
"""

import json
from collections.abc import Sequence
from typing import Any

import redis

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from configs.loading import SystemConfig


def overdue(
    client: "redis.Redis", namespace: str, system: SystemConfig, symbols: Sequence[str], now_s: float
) -> set[str]:
    """Return the symbols whose candle after the last decided one has closed, in one round trip.

    A closed market has no overdue candles.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis(), client.pipeline(transaction=False) as pipe:
        for symbol in symbols:
            pipe.hget(keys.state(namespace, symbol), "cursor_ms")
            pipe.get(keys.market_clock(namespace, symbol))
        answers: Any = pipe.execute()
    return {
        symbol
        for at, symbol in enumerate(symbols)
        if _is_overdue(system, symbol, answers[2 * at], _market_ms(answers[2 * at + 1], now_s))
    }


def _is_overdue(system: SystemConfig, symbol: str, cursor: bytes | None, market_ms: float) -> bool:
    config, offset_ms = system.symbols[symbol], system.services.data_fetching.tick_offset * 1000
    if not config.session.is_open(int(market_ms) - config.grid.length_ms):
        return False
    if cursor is None:
        return True
    next_open_ms = config.grid.close_of(int(cursor))
    return config.grid.close_of(next_open_ms) + offset_ms <= market_ms


def _market_ms(anchor: bytes | None, now_s: float) -> float:
    """Return the present market time; a source that is played back began at another time than the wall clock."""
    if anchor is None:
        return now_s * 1000
    market_ms, wall_ms = json.loads(anchor)
    return float(now_s * 1000 - wall_ms + market_ms)
