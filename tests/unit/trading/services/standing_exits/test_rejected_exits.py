"""Exits that a venue rejects: each is reported, and sent again at each candle until its position is closed."""

from typing import Any

import pytest

from adapters.venues.fault_injection.venue import Faults
from tests.fakes import Crash, Databases, Desk, planned, system_config
from tests.unit.trading.services.standing_exits.desks import (
    AT_CLOSE,
    BUY,
    CLOSE,
    REFUSED,
    SELL,
    SHOWN,
    exits,
    held,
    incidents,
    make_desk,
    published_incidents,
    refuse_exits,
)
from trading.errors import Transient
from trading.incidents.incident import IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.orders import OrderState
from trading_orchestrator.testing.candles import SYMBOL, make_candles


@pytest.mark.parametrize("venue", [{"kind": "paper"}, AT_CLOSE])
def test_exit_rejected_nine_times_is_reported_at_once_and_sent_at_each_candle_until_it_fills(
    databases: Databases, venue: dict[str, Any]
) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE}, venue=venue)
    desk.play(SHOWN + 2)
    refuse_exits(desk, 9)
    desk.advance(show=1)

    assert exits(desk) == ["rejected"]
    assert published_incidents(desk) == ["exit_failed"]
    [row] = desk.ledger.incidents(SYMBOL)
    assert (row["kind"], row["halts"]) == ("exit_failed", False)
    assert "reduce-only is not possible now" in row["reason"]
    for attempt in range(2, 10):
        desk.advance(show=1)
        assert exits(desk) == ["rejected"] * attempt
    assert (held(desk), incidents(desk)) == (2.0, [IncidentKind.EXIT_FAILED])
    desk.play(SHOWN + 15)

    assert exits(desk) == [*["rejected"] * 9, "filled"]
    assert (held(desk), incidents(desk)) == (0.0, [])
    assert published_incidents(desk) == ["exit_failed"]
    assert desk.ledger.incidents(SYMBOL, only_open=False)[0]["resolution"] == "the position was closed since"
    assert len(set(desk.venue.submitted)) == len(desk.venue.submitted)


@pytest.mark.parametrize("step", [1, 3, 7])
def test_exit_rejected_in_a_batch_is_sent_at_each_of_its_candles(databases: Databases, step: int) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE})
    desk.play(SHOWN + 2)
    refuse_exits(desk, 4)
    desk.play(SHOWN + 16, step=step)

    assert exits(desk) == [*["rejected"] * 4, "filled"]
    assert len(list(desk.paper.fills(SYMBOL, after=0))) == 2


@pytest.mark.parametrize("played", [SHOWN + 2, SHOWN + 4], ids=["of its signal", "sent again"])
def test_exit_rejected_at_a_candle_that_comes_twice_is_sent_once(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, played: int
) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE})
    desk.play(SHOWN + 2)
    refuse_exits(desk, 5)
    desk.play(played)
    before = exits(desk)

    def lost(*_: object, **__: object) -> None:
        raise Crash("before commit")

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "commit", lost)
        desk.restart()
        with pytest.raises(Crash):
            desk.advance(show=1)
    once = exits(desk)
    desk.restart()
    desk.advance()

    assert len(once) == len(before) + 1
    assert exits(desk) == once


def test_exit_whose_outcome_is_unknown_is_settled_and_no_second_one_is_sent(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE}, venue=AT_CLOSE)
    desk.play(SHOWN + 2)
    refuse_exits(desk, 1)
    desk.advance(show=1)
    desk.venue.fail("submit", Transient("venue", "timeout"))
    desk.venue.silent = {"find"}
    desk.advance(show=1)
    assert exits(desk) == ["rejected", "unknown"]
    desk.advance(show=1)
    assert exits(desk) == ["rejected", "unknown"]
    desk.venue.silent = set()
    desk.play(SHOWN + 8)

    assert exits(desk) == ["rejected", "filled"]
    assert (held(desk), incidents(desk)) == (0.0, [])
    assert [fill.side.value for fill in desk.paper.fills(SYMBOL, after=0)] == ["buy", "sell"]


def test_exit_sent_again_whose_answer_is_lost_is_found_at_the_venue(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE})
    desk.play(SHOWN + 2)
    refuse_exits(desk, 1)
    desk.advance(show=1)
    desk.venue.fail("submit", Transient("venue", "timeout"), after=True)
    desk.play(SHOWN + 8)

    assert exits(desk) == ["rejected", "filled"]
    assert [fill.side.value for fill in desk.paper.fills(SYMBOL, after=0)] == ["buy", "sell"]


def test_exit_that_fills_late_after_its_rejection_ends_the_attempts(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE}, venue=AT_CLOSE)
    desk.play(SHOWN + 2)
    desk.venue.fail("submit", REFUSED, after=True)  # the venue says no, and has taken it
    desk.play(SHOWN + 8)

    assert exits(desk) == ["filled"]
    assert (held(desk), [kind for kind in incidents(desk) if kind.halts]) == (0.0, [])


def test_exit_failed_and_resolved_by_an_operator_is_not_sent_again(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE})
    desk.play(SHOWN + 2)
    refuse_exits(desk, 1)
    desk.advance(show=1)
    [row] = desk.ledger.incidents(SYMBOL)
    desk.ledger.resolve_incident(row["id"], "it is to stay open")
    desk.play(SHOWN + 8)

    assert (exits(desk), held(desk)) == (["rejected"], 2.0)


def test_exit_failed_while_the_symbol_is_paused_is_sent_and_while_it_is_halted_is_not(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE})
    desk.play(SHOWN + 2)
    refuse_exits(desk, 2)
    desk.advance(show=1)
    desk.want(DesiredState.PAUSED)
    desk.advance(show=1)
    assert exits(desk) == ["rejected", "rejected"]
    desk.play(SHOWN + 8)
    assert (exits(desk)[-1], held(desk)) == ("filled", 0.0)


def test_flatten_that_the_venue_rejects_is_reported_and_sent_again_at_the_next_candle(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 3)
    refuse_exits(desk, 2)
    answer = desk.pipeline.flatten("enough")

    assert answer.outcome == "open"
    assert "reduce-only is not possible now" in next(iter(answer.failed.values()))
    assert answer.as_dict()["failed"] == dict(answer.failed)
    assert published_incidents(desk) == ["exit_failed"]
    desk.advance(show=1)
    assert exits(desk) == ["rejected", "rejected"]
    desk.play(SHOWN + 7)
    assert (exits(desk), held(desk), incidents(desk)) == (["rejected", "rejected", "filled"], 0.0, [])


def test_exit_of_one_strategy_is_sent_again_while_another_holds_the_opposite(databases: Databases) -> None:
    plans = {
        "one": planned({SHOWN: BUY, SHOWN + 3: CLOSE}, stop_distance=50.0),
        "two": planned({SHOWN: SELL}, stop_distance=50.0),
    }
    desk = Desk(databases, system_config(None, strategies=plans, venue=AT_CLOSE), make_candles(60), shown=SHOWN)
    desk.advance()
    desk.play(SHOWN + 3)
    refuse_exits(desk, 2)
    desk.play(SHOWN + 8)

    assert exits(desk) == ["rejected", "rejected", "filled"]
    assert {one.strategy: one.units for one in desk.ledger.positions()} == {"one": 0.0, "two": -2.0}


@pytest.mark.parametrize("units", [0.3, 12_000_000.0, 1e-8])
def test_exit_requests_a_multiple_of_the_step_and_leaves_nothing(databases: Databases, units: float) -> None:
    desk = make_desk(
        databases,
        {SHOWN: BUY, SHOWN + 2: CLOSE},
        risk={"sizing": "fixed_units", "units": units},
        account={"starting_balance": 1e12},
    )
    desk._faults = Faults(seed=5, split_fill_probability=1.0, duplicate_fill_probability=0.5)
    desk.restart()
    desk.play(SHOWN + 6)

    [row] = [row for row in desk.ledger.orders(SYMBOL) if row["leg"] == "exit"]
    assert row["units"] == units
    assert [one.is_open for one in desk.ledger.positions()] == [False]
    assert desk.pipeline.reconcile() == []
    assert incidents(desk) == []


def test_order_states_of_a_failed_exit_are_final(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE})
    desk.play(SHOWN + 2)
    refuse_exits(desk, 2)
    desk.play(SHOWN + 4)

    assert all(OrderState(state).is_final for state in exits(desk))
    assert desk.ledger.unsettled(SYMBOL) == []
