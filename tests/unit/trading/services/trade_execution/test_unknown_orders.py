"""The fourth stage when a venue does not answer: unknown is not failed."""

from typing import Any

import pytest

from tests.fakes import Crash, Databases, Desk, Fuse
from tests.unit.trading.services.trade_execution.desks import (
    BUY,
    CLOSE,
    REFUSED,
    SELL,
    SHOWN,
    held,
    make_desk,
    sent,
    told,
)
from trading.errors import Transient
from trading.events.event import EventType, correlation_id
from trading.execution.retry_budget import PatienceTerms
from trading.lifecycle import DesiredState
from trading.services.chain import ChainOutcome
from trading_orchestrator.testing.candles import SYMBOL, at_place

NO_ANSWER = Transient("venue", "no answer")
BOTH_WAYS = pytest.mark.parametrize("after", [False, True], ids=["before-acceptance", "after-acceptance"])
MUTE = {"submit", "find"}


def deafen(desk: Desk, *, after: bool) -> None:
    """Let the next order get no answer, nor any question about it; with `after` the venue has it all the same."""
    desk.venue.fail("submit", NO_ANSWER, after=after)
    desk.venue.silent = {"find"} if after else set(MUTE)


@BOTH_WAYS
def test_execution_that_times_out_is_settled_by_asking_before_the_candle_ends(desk: Desk, *, after: bool) -> None:
    desk.venue.fail("submit", NO_ANSWER, after=after)
    desk.advance(show=1)

    assert sent(desk) == [("entry", "accepted")]
    assert len(desk.venue.submitted) == 1
    assert told(desk, EventType.TRADE_FAILED) == ["outcome unknown: venue: no answer"]
    assert len(desk.events_of(EventType.ORDER_CREATED)) == 1
    desk.play(SHOWN + 3)
    assert sent(desk) == [("entry", "filled")]


@BOTH_WAYS
def test_execution_without_any_answer_is_unknown_then_settled_and_never_a_second_order(
    desk: Desk, *, after: bool
) -> None:
    deafen(desk, after=after)
    result = desk.advance(show=1)

    assert result.reason is ChainOutcome.DECIDED
    assert sent(desk) == [("entry", "unknown")]
    assert told(desk, EventType.TRADE_FAILED)[0].startswith("outcome unknown")
    assert desk.store.load(SYMBOL).has_exposure

    desk.venue.silent = set()
    desk.play(SHOWN + 3)
    assert sent(desk) == [("entry", "filled")]
    assert held(desk) == 2.0
    assert len(desk.venue.submitted) == 1
    assert len(desk.paper.fills(SYMBOL, after=0)) == 1


@BOTH_WAYS
def test_execution_unknown_survives_the_death_of_the_process(desk: Desk, *, after: bool) -> None:
    deafen(desk, after=after)
    desk.advance(show=1)
    desk.venue.silent = set()
    desk.restart()
    desk.play(SHOWN + 3)

    assert sent(desk) == [("entry", "filled")]
    assert len(desk.venue.submitted) == 1


def test_execution_unknown_waits_for_the_venue_and_no_longer_than_its_patience(desk: Desk) -> None:
    deafen(desk, after=False)
    desk.advance(show=1)

    assert 0 < sum(desk.slept_s) <= PatienceTerms().wait_s + 1e-9


def test_execution_unknown_for_too_long_is_let_go_as_an_entry(desk: Desk) -> None:
    desk.venue.silent = set(MUTE)
    desk.play(SHOWN + 3)
    desk.venue.silent = set()
    desk.advance(show=3)

    assert ("entry", "expired") in sent(desk)
    assert desk.venue.submitted == []
    assert held(desk) == 0.0
    [event] = desk.events_of(EventType.ORDER_CANCELLED)
    assert event.correlation_id == correlation_id(SYMBOL, "1m", at_place(SHOWN))
    desk.advance(show=1)
    assert not desk.store.load(SYMBOL).has_exposure


def test_execution_exit_unknown_for_long_is_sent_all_the_same(desk: Desk) -> None:
    desk.play(SHOWN + 3)
    desk.venue.silent = set(MUTE)
    desk.advance(show=1)
    assert sent(desk)[-1] == ("exit", "unknown")

    desk.venue.silent = set()
    desk.advance(show=30)
    assert sent(desk)[-1] == ("exit", "filled")
    assert held(desk) == 0.0


def test_execution_opens_nothing_while_an_outcome_is_unknown(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 1: SELL})
    desk.advance()
    desk.venue.silent = set(MUTE)
    desk.play(SHOWN + 2)

    assert "unsettled" in desk.journal[SHOWN + 1]
    assert sent(desk) == [("entry", "unknown")]


def test_execution_closes_what_is_open_while_an_entry_is_unknown(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: SELL, SHOWN + 4: CLOSE})
    desk.advance()
    desk.play(SHOWN + 3)
    desk.venue.fail("submit", REFUSED)
    desk.advance(show=1)
    assert sent(desk)[1:] == [("exit", "rejected"), ("entry", "canceled")]
    desk.play(SHOWN + 6)

    assert held(desk) == 0.0


def test_execution_reversal_whose_exit_is_rejected_gives_up_its_entry_with_it(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: SELL})
    desk.advance()
    desk.play(SHOWN + 3)
    desk.venue.fail("submit", REFUSED)
    desk.play(SHOWN + 4)

    assert sent(desk) == [("entry", "filled"), ("exit", "rejected"), ("entry", "canceled")]
    assert held(desk) == 2.0
    assert told(desk, EventType.TRADE_FAILED)[-1].startswith("not sent")
    desk.play(SHOWN + 8)
    assert held(desk) == 0.0  # the exit is sent again, its entry is not


def test_execution_reversal_rejected_after_a_restart_gives_up_its_entry_too(databases: Databases) -> None:
    fuse = Fuse()
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: SELL}, fuse=fuse)
    desk.advance()
    desk.play(SHOWN + 3)
    desk.venue.fail("submit", RuntimeError("killed while it was sending"))
    with pytest.raises(RuntimeError):
        desk.advance(show=1)
    desk.restart()
    desk.venue.fail("submit", REFUSED)
    desk.play(SHOWN + 8)

    orders = [("entry", "canceled"), ("entry", "filled"), ("exit", "filled"), ("exit", "rejected")]
    assert sorted(sent(desk)) == orders
    assert held(desk) == 0.0


def test_execution_reversal_whose_exit_is_unknown_enters_only_after_it(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: SELL})
    desk.advance()
    desk.play(SHOWN + 3)
    desk.venue.silent = set(MUTE)
    desk.play(SHOWN + 5)
    assert sent(desk) == [("entry", "filled"), ("exit", "unknown"), ("entry", "planned")]

    desk.venue.silent = set()
    desk.play(SHOWN + 7)
    assert sent(desk) == [("entry", "filled"), ("exit", "filled"), ("entry", "filled")]
    assert held(desk) == -2.0


def test_execution_reversal_while_paused_closes_and_does_not_enter(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: SELL})
    desk.advance()
    desk.play(SHOWN + 3)
    desk.want(DesiredState.PAUSED)
    desk.play(SHOWN + 6)

    assert sent(desk) == [("entry", "filled"), ("exit", "filled")]
    assert held(desk) == 0.0


def test_execution_entry_never_sent_is_let_go_when_none_is_wanted_any_more(desk: Desk) -> None:
    desk.venue.silent = set(MUTE)
    desk.advance(show=1)
    desk.venue.silent = set()
    desk.want(DesiredState.PAUSED)
    desk.advance(show=1)

    assert sent(desk) == [("entry", "canceled")]
    assert desk.venue.submitted == []
    assert "the symbol is paused" in told(desk, EventType.ORDER_CANCELLED)[0]


PLAN = {SHOWN: BUY, SHOWN + 1: SELL, SHOWN + 3: CLOSE}
UNTIL = SHOWN + 5


ALL_IN = {"sizing": "equity_fraction", "equity_fraction": 1.0, "unit_step": 1.0}
TWO_UNITS = {"sizing": "fixed_units", "units": 2.0}


@pytest.mark.parametrize(
    ("fill_at", "step", "after", "risk"),
    [
        ("next_open", 1, False, TWO_UNITS),
        ("next_open", 4, True, TWO_UNITS),
        ("close", 3, True, TWO_UNITS),
        ("next_open", 1, True, ALL_IN),
    ],
)  # after one write is before the next one, so each way of filling needs only one of the two
def test_execution_cut_off_at_any_write_and_run_again_gives_the_same_books(
    databases: Databases, *, fill_at: str, step: int, after: bool, risk: dict[str, Any]
) -> None:
    venue = {"kind": "paper", "fill_at": fill_at}
    options: dict[str, Any] = {"venue": venue, "max_signal_age_s": 3_600.0, "risk": risk}

    def run(fuse: Fuse) -> tuple[Desk, int]:
        desk, crashes = make_desk(databases, PLAN, fuse=fuse, **options), 0
        while desk.cursor != UNTIL - 1:
            missing = UNTIL - desk.source.shown
            try:
                desk.advance(show=min(step, missing) if desk.cursor == desk.source.shown - 1 else 0)
            except Crash:
                crashes += 1
                desk.restart()
        return desk, crashes

    whole_fuse = Fuse()
    whole, _ = run(whole_fuse)
    expected = whole.books()
    writes = len(whole_fuse.calls)
    assert len(expected["fills"]) == 4
    assert set(whole_fuse.calls) >= {"mark_exposed", "decide", "submit", "sync", "record_fills", "commit"}

    for at in range(1, writes + 1):
        cut, crashes = run(Fuse(at, after=after))
        where = f"crash {'after' if after else 'before'} write {at}, {whole_fuse.calls[at - 1]}"
        assert crashes == 1, where
        assert cut.books() == expected, where
        assert cut.journal == whole.journal, where
        assert set(cut.venue.submitted) == set(whole.venue.submitted), where
