"""A candle that is not decided, because a strategy raised on it: from its source, with the recorded error."""

from contextlib import closing
from typing import cast

from adapters.backtest.read_recording import window_of
from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from adapters.wiring.pipeline import open_source
from configs.loading import SystemConfig
from configs.snapshot import deciding_digest
from trading.backtest.explanation import failed_entry, holds
from trading.events.journal import Entry
from trading.indicators.regime import Regime, RegimeRule, regimes
from trading.lifecycle import ServiceState
from trading.market.candles import Candles
from trading.services.status import ErrorKind, ServiceStatus
from trading_orchestrator.cli.context import Access

_LIMIT = 1_000
"""Candles after the last decided one that are searched."""


def strategy_error(access: Access, symbol: str) -> str:
    """Return the error that a strategy of a symbol raises at each chain; empty where none does."""
    with talking_to_redis():
        found = access.redis.hvals(keys.service(access.settings.namespace, symbol))
    for text in cast("list[bytes]", found):
        status = ServiceStatus.from_json(text)
        if status.state is ServiceState.ERROR and status.error_kind is ErrorKind.STRATEGY:
            return status.last_error or ""
    return ""


def undecided_candle(access: Access, symbol: str, at_ms: int, error: str) -> tuple[Entry, Candles] | None:
    """Return the candle that contains a time after the last decided one, and the candles up to it.

    Args:
        error: Of `strategy_error`.

    Returns:
        None if the source has no such closed candle.

    Raises:
        Transient: The source does not answer.
    """
    config = access.system.symbols[symbol]
    window = window_of(access.redis, access.settings.namespace, symbol)
    after_ms = window.last_open_ms if len(window) else 0
    if at_ms <= after_ms:
        return None
    with closing(open_source(symbol, config, access.redis, access.settings.namespace)) as source:
        bars = source.since(after_ms, limit=_LIMIT)
    closed = bars.candles[: bars.closed_count(config.grid)]
    candles = window.then(closed.after(after_ms).until(at_ms))
    if candles.last_open_ms <= after_ms or not holds(candles.last_open_ms, config.timeframe, at_ms):
        return None
    regime, digest = regime_of(access.system, candles), deciding_digest(access.system, symbol)
    entry = failed_entry(symbol, config.timeframe, candles, error, regime=regime, as_of_ms=bars.as_of_ms, config=digest)
    return entry, candles


def regime_of(system: SystemConfig, candles: Candles) -> Regime:
    """Return the regime at the last of some candles, as the services compute it."""
    if not system.services.indicator_calculation.track_regime_changes:
        return Regime.UNKNOWN
    rule = RegimeRule()
    return regimes(candles, rule, window=rule.startup_candle_count, count=1)[0]
