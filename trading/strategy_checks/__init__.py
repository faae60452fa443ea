"""Check a strategy on candles for faults that would make live trading differ from a backtest."""

from trading.strategy_checks.checks import candles_needed, examine
from trading.strategy_checks.findings import CheckName, Finding, Report
from trading.strategy_checks.synthetic_series import KINDS, Series, made_up

__all__ = ["KINDS", "CheckName", "Finding", "Report", "Series", "candles_needed", "examine", "made_up"]
