"""Try a strategy on candles, and find what would make live trading differ from what a replay promised."""

from trading.strategy_checks.checks import candles_needed, examine
from trading.strategy_checks.findings import CheckName, Finding, Report
from trading.strategy_checks.synthetic_series import KINDS, Series, made_up

__all__ = ["KINDS", "CheckName", "Finding", "Report", "Series", "candles_needed", "examine", "made_up"]
