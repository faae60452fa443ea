"""Exits that a venue rejects, and positions whose stop it loses: what is sent again, what stops, and what ends it."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from adapters.venues.fault_injection.venue import Faults
from tests.fakes import Crash, Databases, Desk, planned, system_config
from trading.errors import Rejected, Transient
from trading.events.event import EventType
from trading.incidents.incident import IncidentKind
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.orders.orders import Leg, OrderState
from trading_orchestrator.testing.candles import SYMBOL, make_candles
from trading_orchestrator.testing.flaky_venue import FlakyVenue

SHOWN = 10
BUY, SELL, CLOSE = "buy", "sell", "close"
REFUSED = Rejected("order", "reduce-only is not possible now")
AT_CLOSE = {"kind": "paper", "fill_at": "close"}


def make_desk(databases: Databases, plan: dict[int, str], **options: Any) -> Desk:
    tape: Candles = options.pop("tape", make_candles(80))
    config = system_config(planned(plan, stop_distance=50.0), **options)
    desk = Desk(databases, config, tape, shown=SHOWN)
    desk.advance()
    return desk


def incidents(desk: Desk) -> list[IncidentKind]:
    return [incident.kind for incident in desk.ledger.incidents_of(SYMBOL)]


def told(desk: Desk) -> list[str]:
    return [event.details["kind"] for event in desk.events_of(EventType.INCIDENT_OPENED)]


def exits(desk: Desk) -> list[str]:
    """Return the states of the exits in our ledger, the oldest first."""
    rows = [row for row in desk.ledger.orders(SYMBOL, limit=100_000) if row["leg"] == "exit"]
    return [row["state"] for row in sorted(rows, key=lambda row: (row["market_ms"], row["client_order_id"]))]


def held(desk: Desk) -> float:
    return sum(position.units for position in desk.ledger.positions())


def refuse_exits(desk: Desk, count: int) -> None:
    for _ in range(count):
        desk.venue.fail("submit", REFUSED)


def lose_stop(desk: Desk) -> None:
    for order in desk.paper.open_orders(SYMBOL):
        desk.paper.cancel(order.client_order_id)


# exits that end with their position open


@pytest.mark.parametrize("venue", [{"kind": "paper"}, AT_CLOSE])
def test_exit_rejected_nine_times_is_reported_at_once_and_sent_at_each_candle_until_it_fills(
    databases: Databases, venue: dict[str, Any]
) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE}, venue=venue)
    desk.play(SHOWN + 2)
    refuse_exits(desk, 9)
    desk.advance(show=1)

    assert exits(desk) == ["rejected"]
    assert told(desk) == ["exit_failed"]
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
    assert told(desk) == ["exit_failed"]
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
    assert told(desk) == ["exit_failed"]
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


# positions that lack their stop


def test_stop_that_the_venue_lost_is_placed_again_once_and_its_incident_ends(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 2)
    before = [(one.client_order_id, one.price, one.units) for one in desk.paper.open_orders(SYMBOL)]
    lose_stop(desk)
    desk.pipeline.reconcile()

    assert told(desk) == ["unprotected"]
    assert [(one.client_order_id, one.price, one.units) for one in desk.paper.open_orders(SYMBOL)] == before
    assert incidents(desk) == []
    [event] = desk.events_of(EventType.POSITION_MODIFIED)
    assert event.reason.endswith("the venue did not have it, so it is placed once more")


def losing(desk: Desk) -> Callable[[], None]:
    """Have the venue lose each stop as soon as it was placed; return a function that ends it."""
    moved = desk.venue.move_stop

    def lost(entry_id: str, stop_loss: float, open_ms: int) -> None:
        moved(entry_id, stop_loss, open_ms)
        lose_stop(desk)

    desk.venue.move_stop = lost  # type: ignore[method-assign]  # a venue that takes a stop and has none

    def mend() -> None:
        desk.venue.move_stop = moved  # type: ignore[method-assign]

    return mend


def test_venue_that_loses_each_stop_gets_no_second_position(databases: Databases) -> None:
    plan = {SHOWN: BUY, SHOWN + 4: SELL, SHOWN + 6: BUY, SHOWN + 8: SELL}
    desk = make_desk(databases, plan)
    losing(desk)
    desk.play(SHOWN + 2)
    lose_stop(desk)
    desk.pipeline.reconcile()
    assert (told(desk), incidents(desk)) == (["unprotected"], [IncidentKind.UNPROTECTED])
    placed = desk.events_of(EventType.POSITION_MODIFIED)
    desk.play(SHOWN + 5)

    assert "unprotected" in [row["rule"] for row in desk.ledger.decisions(SYMBOL)]
    assert exits(desk) == ["accepted"]  # the reversal closes what is open, and opens nothing
    desk.play(SHOWN + 6)
    assert (held(desk), incidents(desk)) == (0.0, [])
    assert desk.events_of(EventType.POSITION_MODIFIED)[: len(placed)] == placed
    assert len(placed) == 1


def test_stop_that_is_there_again_lets_the_symbol_enter(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    mend = losing(desk)
    desk.play(SHOWN + 2)
    lose_stop(desk)
    desk.pipeline.reconcile()
    assert incidents(desk) == [IncidentKind.UNPROTECTED]
    mend()
    held_stop = desk.ledger.positions()[0].stop_loss
    [entry] = [row["client_order_id"] for row in desk.ledger.orders(SYMBOL) if row["leg"] == Leg.ENTRY.value]
    assert held_stop is not None
    desk.paper.move_stop(entry, held_stop, 0)  # by hand, at the ledger's price
    desk.advance(show=1)

    assert incidents(desk) == []


@pytest.mark.parametrize("state", [DesiredState.STOPPED, DesiredState.PAUSED])
def test_stop_that_the_venue_lost_is_placed_again_while_paused_and_not_while_stopped(
    databases: Databases, state: DesiredState
) -> None:
    desk = make_desk(databases, {SHOWN: BUY}, on_unprotected="flatten")
    desk.play(SHOWN + 2)
    desk.want(state)
    lose_stop(desk)
    desk.pipeline.reconcile()

    is_stopped = state is DesiredState.STOPPED
    assert told(desk) == ["unprotected"]
    assert len(desk.paper.open_orders(SYMBOL)) == (0 if is_stopped else 1)
    assert (incidents(desk) != []) is is_stopped
    assert exits(desk) == []


@pytest.mark.parametrize("of_account", [False, True])
def test_unprotected_position_is_closed_at_once_where_the_policy_is_flatten(
    databases: Databases, *, of_account: bool
) -> None:
    policy: dict[str, Any] = {"on_unprotected": "flatten"}
    options: dict[str, Any] = {"account": policy} if of_account else policy
    desk = make_desk(databases, {SHOWN: BUY}, **options)
    losing(desk)
    desk.play(SHOWN + 2)
    lose_stop(desk)
    desk.pipeline.reconcile()
    assert exits(desk) == ["accepted"]
    desk.play(SHOWN + 4)

    assert (held(desk), incidents(desk)) == (0.0, [])
    assert "on_unprotected is flatten" in desk.ledger.decisions(SYMBOL)[0]["reason"]


def test_unprotected_position_stays_open_where_the_policy_is_alert(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY}, account={"on_unprotected": "flatten"}, on_unprotected="alert")
    losing(desk)
    desk.play(SHOWN + 2)
    lose_stop(desk)
    desk.pipeline.reconcile()
    desk.play(SHOWN + 6)

    assert (held(desk), exits(desk), incidents(desk)) == (2.0, [], [IncidentKind.UNPROTECTED])


def test_stop_that_never_came_with_its_entry_is_found_in_the_step_of_the_fill(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    sync = FlakyVenue.sync

    def without_stop(venue: FlakyVenue, symbol: str, candles: Candles) -> int:
        newest = sync(venue, symbol, candles)
        if len(candles):
            lose_stop(desk)
        return newest

    with monkeypatch.context() as patch:
        patch.setattr(FlakyVenue, "sync", without_stop)
        desk.play(SHOWN + 2)

    assert told(desk) == ["unprotected"]
    assert incidents(desk) == []  # it was placed again
    assert len(desk.paper.open_orders(SYMBOL)) == 1


PLAN = {SHOWN + at: BUY if at % 4 else SELL for at in range(2, 40, 2)}


@pytest.mark.parametrize(("policy", "most"), [("alert", 1), ("flatten", 20)])
def test_venue_that_loses_every_stop_never_holds_more_than_one_position_without_one(
    databases: Databases, policy: str, most: int
) -> None:
    config = system_config(
        planned(PLAN, stop_distance=50.0), risk={"units": 2.0, "on_opposite_signal": "ignore"}, on_unprotected=policy
    )
    desk = Desk(databases, config, make_candles(80), shown=SHOWN, faults=Faults(lost_stop_probability=1.0))
    desk.advance()
    sizes = []
    for _ in range(45):
        desk.advance(show=1)
        sizes.append(held(desk))

    entries = [row for row in desk.ledger.orders(SYMBOL, limit=1_000) if row["leg"] == "entry" and row["filled_units"]]
    assert 1 <= len(entries) <= most
    assert (len(entries) > 1) is (policy == "flatten")
    assert set(map(abs, sizes)) <= {0.0, 2.0}
    if policy == "flatten":
        assert not any(one and other for one, other in itertools.pairwise(sizes))
        assert held(desk) == 0.0
    assert not any(kind.halts for kind in incidents(desk))


@pytest.mark.parametrize("seed", range(6))
def test_faulty_venue_that_rejects_exits_loses_stops_and_fills_in_part_ends_flat(
    databases: Databases, seed: int
) -> None:
    faults = Faults(
        seed=seed,
        rejection_probability=0.5,
        partial_order_probability=0.3,
        split_fill_probability=0.5,
        lost_stop_probability=0.5,
        timeout_before_probability=0.2,
        timeout_after_probability=0.2,
        late_fill_probability=0.3,
    )
    config = system_config(
        planned({SHOWN + at: (BUY, CLOSE)[at // 3 % 2] for at in range(0, 24, 3)}, stop_distance=50.0),
        risk={"units": 0.3, "unit_step": 0.01},
        on_unprotected="flatten",
    )
    desk = Desk(databases, config, make_candles(120), shown=SHOWN, faults=faults)
    desk.advance()
    desk.play(SHOWN + 80)
    for _ in range(3):
        desk.pipeline.reconcile()

    assert held(desk) == 0.0
    assert [at.units for at in desk.paper.positions()] == []
    assert not any(kind.halts or kind.ends_with_position for kind in incidents(desk))


def test_order_states_of_a_failed_exit_are_final(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE})
    desk.play(SHOWN + 2)
    refuse_exits(desk, 2)
    desk.play(SHOWN + 4)

    assert all(OrderState(state).is_final for state in exits(desk))
    assert desk.ledger.unsettled(SYMBOL) == []
