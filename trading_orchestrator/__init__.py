"""The Python API: strategies, indicators, backtests, and the orchestrators of a running system, in one import.

>>> import trading_orchestrator as to
>>> to.Indicator("RSI", (("timeperiod", 14),)) == to.indicators.rsi(14)
True

`docs/reference/python-api.md` shows each name at work.
"""

from adapters.redis.event_bus import EventBusFactory
from configs.settings import Settings
from trading import indicators
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
    Signals,
    Strategy,
    StrategyFault,
    columns,
    crossed_above,
    crossed_below,
    load_strategy,
    previous,
)
from trading_orchestrator.backtesting import BacktestResult, Costs, backtest, simulated_candles
from trading_orchestrator.orchestrators import MultiSymbolTradingOrchestrator

__all__ = [
    "AccountLimits",
    "AtrStrategy",
    "BacktestResult",
    "BadCandle",
    "BreakEven",
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
    "Signals",
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
