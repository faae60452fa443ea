"""The phase of a symbol whose services work: why there may be nothing to see. Pure: observations are arguments."""

from enum import StrEnum

from msgspec import Struct

from trading.errors import Rejected
from trading.events.decisions import Decisions, has_too_few_rows
from trading.formatting import format_minute
from trading.market.feed_health import FeedHistory, FeedTerms, market_now_ms
from trading.market.sessions import Session


class PhaseKind(StrEnum):
    """The phases of a symbol."""

    RUNNING = "running"
    WARMING_UP = "warming_up"
    """Its strategies have too few candles to be evaluated."""
    MARKET_CLOSED = "market_closed"
    RECORDING_ENDED = "recording_ended"
    """Its source is a recording, and the last candle was shown."""


class Phase(Struct, frozen=True):
    """The phase of a symbol.

    Attributes:
        opens_ms: Market time at which a closed market opens, milliseconds since the epoch, UTC; None if unknown.
        candles: Candles there are while it warms up.
        candles_needed: Candles that its strategies need; 0 if the decision does not say.
    """

    kind: PhaseKind = PhaseKind.RUNNING
    opens_ms: int | None = None
    candles: int = 0
    candles_needed: int = 0

    def __str__(self) -> str:
        match self.kind:
            case PhaseKind.RECORDING_ENDED:
                return "recording ended"
            case PhaseKind.MARKET_CLOSED:
                until = "" if self.opens_ms is None else f" until {format_minute(self.opens_ms)} UTC"
                return f"market closed{until}"
            case PhaseKind.WARMING_UP:
                counts = f" ({self.candles} of {self.candles_needed} candles)" if self.candles_needed else ""
                return f"warming up{counts}"
            case PhaseKind.RUNNING:
                return "running"


def phase_of(history: FeedHistory | None, terms: FeedTerms, decisions: Decisions, *, now_ms: int) -> Phase:
    """Return the phase of a symbol.

    Args:
        history: None before the first answer of its source.
        decisions: Those on its last candle; empty before the first.
        now_ms: The wall clock.
    """
    if history is not None:
        if history.snapshot.is_over:
            return Phase(PhaseKind.RECORDING_ENDED)
        market_ms = market_now_ms(history, terms, now_ms=now_ms)
        if not terms.session.may_be_open(market_ms):
            return Phase(PhaseKind.MARKET_CLOSED, opens_ms=_next_open_ms(terms.session, market_ms))
    if decisions and has_too_few_rows(decisions):
        first = decisions[0]
        return Phase(PhaseKind.WARMING_UP, candles=first.candle_count, candles_needed=first.required_candle_count)
    return Phase()


def _next_open_ms(session: Session, market_ms: int) -> int | None:
    """Return the next opening; None where the calendar of the exchange does not reach it."""
    try:
        return session.next_open(market_ms)
    except Rejected:
        return None
