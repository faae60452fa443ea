"""Journal entries as an explanation reads them: of one strategy, of a failed candle, of a decision alone."""

from collections.abc import Collection

import msgspec

from trading.backtest.explanation.records import RiskDecisionRecord
from trading.events.decisions import (
    NO_SIGNAL,
    CandleDecision,
    DecisionKind,
    Decisions,
)
from trading.events.event import correlation_id
from trading.events.journal import Entry
from trading.indicators.regime import Regime
from trading.market.candles import Candles
from trading.market.timeframes import Timeframe
from trading.risk.verdict import OK
from trading.structs import replace


def of_strategy(
    entry: Entry,
    strategy: str,
    risk_decision: RiskDecisionRecord | None,
    *,
    has_signals: bool,
    strategies: Collection[str],
) -> Entry:
    """Return a candle's journal entry, reduced to one of several strategies.

    Args:
        has_signals: Some strategy of the symbol gave a signal at this candle.
        strategies: All strategies of the symbol; for a single one the whole entry is returned.
    """
    if len(strategies) == 1:
        return entry
    if risk_decision is not None:
        return replace(entry, decisions=decisions_of(risk_decision.rule, risk_decision.reason))
    own = tuple(msgspec.structs.replace(one, strategy="") for one in entry.decisions if one.strategy == strategy)
    is_recorded = has_signals or any(one.strategy in strategies for one in entry.decisions)
    return replace(entry, decisions=own or NO_SIGNAL) if is_recorded else entry


def failed_entry(
    symbol: str, timeframe: str, candles: Candles, error: str, *, regime: Regime, as_of_ms: int, config: str
) -> Entry:
    """Return the last of some candles as an entry: it is not decided, because a strategy raised.

    Args:
        error: The recorded error.
        regime: At that candle.
        as_of_ms: Market time at which its source shows it.
        config: Digest of the configuration in force.
    """
    open_ms = candles.last_open_ms
    opening, high, low, close, volume = candles.values[-1].tolist()
    return Entry(
        open_ms,
        (CandleDecision(DecisionKind.FAILED, reason=error),),
        regime.value,
        correlation_id(symbol, timeframe, open_ms),
        (opening, high, low, close, volume),
        close,
        as_of_ms,
        timeframe=timeframe,
        config=config,
    )


def decisions_of(rule: str, reason: str) -> Decisions:
    """Return a candle's decisions if only the decision of the risk rules is known."""
    kind = DecisionKind.ACCEPTED if rule == OK else DecisionKind.REJECTED
    return (CandleDecision(kind, rule="" if rule == OK else rule, reason=reason),)


def holds(open_ms: int, timeframe: str, at_ms: int) -> bool:
    """Return whether a time is within a candle."""
    return open_ms <= at_ms < Timeframe.parse(timeframe).close_of(open_ms)
