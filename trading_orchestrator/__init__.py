"""The Python API: strategies, indicators, backtests, and the orchestrators of a running system, in one import.

>>> import trading_orchestrator as to
>>> to.Indicator("RSI", (("timeperiod", 14),)) == to.indicators.rsi(14)
True

`docs/reference/python-api.md` shows each name at work.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.redis.event_bus import EventBusFactory
    from configs.plugins.candle_files import CandleFileOptions
    from configs.plugins.strategies import load_strategy
    from configs.settings import Settings
    from tasks.orchestrators.factory import MultiSymbolTradingOrchestrator
    from trading.errors import BadCandle
    from trading.exits.exit_rules import BreakEven, ExitTerms, TrailingStop
    from trading.indicators import Indicator
    from trading.market.candles import Candles
    from trading.market.sessions import EntryHours, Session
    from trading.orchestration.symbol_orchestrator import SymbolOrchestrator
    from trading.risk.limits import AccountLimits, RiskLimits
    from trading.risk.protections import CooldownPeriod, LowProfitPairs, MaxDrawdown, StoplossGuard
    from trading.strategies import (
        AtrStrategy,
        ExitNow,
        MoveStop,
        PositionView,
        SignalBuilder,
        Strategy,
        StrategyFault,
        columns,
        crossed_above,
        crossed_below,
        previous,
    )
    from trading_orchestrator import indicators
    from trading_orchestrator.backtesting import BacktestResult, Costs, backtest, simulated_candles

__all__ = [
    "AccountLimits",
    "AtrStrategy",
    "BacktestResult",
    "BadCandle",
    "BreakEven",
    "CandleFileOptions",
    "Candles",
    "CooldownPeriod",
    "Costs",
    "EntryHours",
    "EventBusFactory",
    "ExitNow",
    "ExitTerms",
    "Indicator",
    "LowProfitPairs",
    "MaxDrawdown",
    "MoveStop",
    "MultiSymbolTradingOrchestrator",
    "PositionView",
    "RiskLimits",
    "Session",
    "Settings",
    "SignalBuilder",
    "StoplossGuard",
    "Strategy",
    "StrategyFault",
    "SymbolOrchestrator",
    "TrailingStop",
    "backtest",
    "columns",
    "crossed_above",
    "crossed_below",
    "indicators",
    "load_strategy",
    "previous",
    "simulated_candles",
]

_HOMES = {
    "AccountLimits": "trading.risk.limits",
    "AtrStrategy": "trading.strategies",
    "BacktestResult": "trading_orchestrator.backtesting",
    "BadCandle": "trading.errors",
    "BreakEven": "trading.exits.exit_rules",
    "CandleFileOptions": "configs.plugins.candle_files",
    "Candles": "trading.market.candles",
    "CooldownPeriod": "trading.risk.protections",
    "Costs": "trading_orchestrator.backtesting",
    "EntryHours": "trading.market.sessions",
    "EventBusFactory": "adapters.redis.event_bus",
    "ExitNow": "trading.strategies",
    "ExitTerms": "trading.exits.exit_rules",
    "Indicator": "trading.indicators",
    "LowProfitPairs": "trading.risk.protections",
    "MaxDrawdown": "trading.risk.protections",
    "MoveStop": "trading.strategies",
    "MultiSymbolTradingOrchestrator": "tasks.orchestrators.factory",
    "PositionView": "trading.strategies",
    "RiskLimits": "trading.risk.limits",
    "Session": "trading.market.sessions",
    "Settings": "configs.settings",
    "SignalBuilder": "trading.strategies",
    "StoplossGuard": "trading.risk.protections",
    "Strategy": "trading.strategies",
    "StrategyFault": "trading.strategies",
    "SymbolOrchestrator": "trading.orchestration.symbol_orchestrator",
    "TrailingStop": "trading.exits.exit_rules",
    "backtest": "trading_orchestrator.backtesting",
    "columns": "trading.strategies",
    "crossed_above": "trading.strategies",
    "crossed_below": "trading.strategies",
    "indicators": "trading_orchestrator.indicators",
    "load_strategy": "configs.plugins.strategies",
    "previous": "trading.strategies",
    "simulated_candles": "trading_orchestrator.backtesting",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: a command does not wait for what it does not need."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    home = import_module(_HOMES[name])
    found = home if _HOMES[name].endswith(f".{name}") and not hasattr(home, name) else getattr(home, name)
    globals()[name] = found
    return found
