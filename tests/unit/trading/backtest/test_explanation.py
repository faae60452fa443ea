"""The part of a candle's journal that belongs to one strategy."""

import pytest

from trading.backtest.explanation import RiskDecisionRecord, of_strategy
from trading.events.decisions import describe
from trading.events.journal import Entry
from trading.events.legacy_text import read_decisions

SILENT = "no signal"
BOTH = ("follow", "fade")
RULING = RiskDecisionRecord("accepted", "ok", "buy 1 units")


def entry(decision: str) -> Entry:
    return Entry(0, read_decisions(decision), "ranging", "XAUUSD:1m:0")


@pytest.mark.parametrize(
    ("decision", "has_signals", "follow", "fade"),
    [
        (SILENT, False, SILENT, SILENT),
        ("too few rows: 1 of 2", False, "too few rows: 1 of 2", "too few rows: 1 of 2"),
        ("fade: stop 1 -> 2: trailing_stop: x", False, SILENT, "stop 1 -> 2: trailing_stop: x"),
        ("follow: buy at 1: a | b | fade: stop 1 -> 2: y", True, "buy at 1: a | b", "stop 1 -> 2: y"),
        ("follow: buy at 1: x", True, "buy at 1: x", SILENT),
        ("buy 1 units", True, SILENT, SILENT),  # made of the ledger's row of another strategy
    ],
)
def test_each_of_several_strategies_reads_what_was_reported_of_it(
    decision: str, has_signals: bool, follow: str, fade: str
) -> None:
    found = [of_strategy(entry(decision), name, None, has_signals=has_signals, strategies=BOTH) for name in BOTH]

    assert [describe(one.decisions) for one in found] == [follow, fade]


def test_ruling_goes_before_the_journal_and_one_strategy_alone_has_all_of_it() -> None:
    ruled = of_strategy(entry("x"), "follow", RULING, has_signals=True, strategies=BOTH)
    alone = of_strategy(entry("stop: x"), "follow", None, has_signals=True, strategies=BOTH[:1])

    assert (describe(ruled.decisions), describe(alone.decisions)) == ("buy 1 units", "stop: x")
