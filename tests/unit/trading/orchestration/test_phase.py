"""The phase of a symbol: a recording that ended, a closed market, a strategy that warms up."""

from datetime import datetime

import pytest

from trading.events.decisions import NO_SIGNAL, CandleDecision, DecisionKind, Decisions
from trading.market.feed_health import FeedHistory, FeedSnapshot, FeedTerms
from trading.market.sessions import Session
from trading.orchestration.phase import Phase, PhaseKind, phase_of
from trading.structs import replace

WALL_MS = 1_800_000_000_000
GOLD = Session(
    kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00", daily_break="17:00-18:00"
)
TERMS = FeedTerms("1m", 60_000, 1.0, GOLD)
FEW: Decisions = (CandleDecision(DecisionKind.TOO_FEW_ROWS, row_count=91, required_row_count=202),)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)


def seen(market: str, *, is_over: bool = False) -> FeedHistory:
    return FeedHistory(FeedSnapshot(ms(market), ms(market) - 60_000, is_over), WALL_MS, WALL_MS, ms(market) - 60_000)


@pytest.mark.parametrize(
    ("history", "decisions", "expected"),
    [
        (seen("2026-03-03T12:00"), NO_SIGNAL, "running"),
        (seen("2026-03-03T12:00"), FEW, "warming up"),
        (seen("2026-03-03T12:00", is_over=True), FEW, "recording ended"),
        (seen("2026-03-06T22:30"), NO_SIGNAL, "market closed until 2026-03-08 22:00 UTC"),
        (seen("2026-03-03T22:30"), FEW, "market closed until 2026-03-03 23:00 UTC"),
        (None, (), "running"),
        (None, FEW, "warming up"),
    ],
)
def test_phase_reports_why_there_is_nothing_to_see(
    history: FeedHistory | None, decisions: Decisions, expected: str
) -> None:
    assert str(phase_of(history, TERMS, decisions, now_ms=WALL_MS)) == expected


def test_phase_of_a_strategy_that_warms_up_counts_candles() -> None:
    phase = Phase(PhaseKind.WARMING_UP, candles=91, candles_needed=202)

    assert str(phase) == "warming up (91 of 202 candles)"


def test_phase_of_a_market_of_an_exchange_names_its_next_opening() -> None:
    exchange = Session(kind="calendar", calendar="XNYS")
    history = seen("2026-03-07T12:00")
    phase = phase_of(history, replace(TERMS, session=exchange), NO_SIGNAL, now_ms=WALL_MS)

    assert str(phase) == "market closed until 2026-03-09 13:30 UTC"
    assert str(Phase(PhaseKind.MARKET_CLOSED)) == "market closed"
