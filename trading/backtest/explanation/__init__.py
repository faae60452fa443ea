"""Explanation of a candle: why it led to a trade or not."""

from trading.backtest.explanation.entries import decisions_of, failed_entry, holds, of_strategy
from trading.backtest.explanation.explanation import Explanation, Protective, Value, explain
from trading.backtest.explanation.records import (
    CandleRecord,
    EventRecord,
    ExplainContext,
    OrderOutcome,
    RiskDecisionRecord,
)

__all__ = [
    "CandleRecord",
    "EventRecord",
    "ExplainContext",
    "Explanation",
    "OrderOutcome",
    "Protective",
    "RiskDecisionRecord",
    "Value",
    "decisions_of",
    "explain",
    "failed_entry",
    "holds",
    "of_strategy",
]
