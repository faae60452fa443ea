"""The course of a chain and its result. The four stages in order:

    fetch  --NEW_CANDLE-->  indicators  --INDICATORS_UPDATED-->  strategy  --SIGNAL_GENERATED-->  execute

A stage returns the message for the next one, or a `ChainResult` with the reason why the chain ends.
"""

from enum import StrEnum

from msgspec import Struct

from trading.events.decisions import Decisions, describe


class ChainOutcome(StrEnum):
    """The reason why a chain ended."""

    NO_NEW_CANDLE = "no-new-candle"
    STOPPED = "stopped"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    POISONED = "poisoned"
    RESTARTED = "restarted"
    DISABLED = "disabled"
    TOO_FEW_ROWS = "too-few-rows"
    PAUSED = "paused"
    NO_SIGNAL = "no-signal"
    SETTLED = "settled"
    DECIDED = "decided"


class ChainResult(Struct, frozen=True):
    """The end of a chain.

    Attributes:
        has_more: The source holds further candles: advance the symbol again at once.
        cursor_ms: Open time of the last candle decided.
        decisions: Those on that candle.
    """

    reason: ChainOutcome
    detail: str = ""
    has_more: bool = False
    cursor_ms: int = 0
    decisions: Decisions = ()

    def __str__(self) -> str:
        detail = self.detail or describe(self.decisions)
        return f"{self.reason}: {detail}" if detail else str(self.reason)


class AdvanceSymbol(Struct, frozen=True):
    """The command that starts a chain: advance this symbol to now.

    Attributes:
        expected_ms: The cursor that the sender saw; when another chain moved it since, this one has nothing to do.
    """

    symbol: str
    expected_ms: int | None = None
