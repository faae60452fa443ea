"""Positions whose stop the venue loses: the stop is placed again once, or the position is closed or reported."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from adapters.venues.fault_injection.venue import Faults
from tests.fakes import Databases, Desk, planned, system_config
from tests.unit.trading.services.standing_exits.desks import (
    BUY,
    CLOSE,
    SELL,
    SHOWN,
    exits,
    held,
    incidents,
    lose_stop,
    make_desk,
    published_incidents,
)
from trading.events.event import EventType
from trading.incidents.incident import IncidentKind
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.orders.orders import Leg
from trading_orchestrator.testing.candles import SYMBOL, make_candles
from trading_orchestrator.testing.flaky_venue import FlakyVenue


def test_stop_that_the_venue_lost_is_placed_again_once_and_its_incident_ends(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 2)
    before = [(one.client_order_id, one.price, one.units) for one in desk.paper.open_orders(SYMBOL)]
    lose_stop(desk)
    desk.pipeline.reconcile()

    assert published_incidents(desk) == ["unprotected"]
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
    assert (published_incidents(desk), incidents(desk)) == (["unprotected"], [IncidentKind.UNPROTECTED])
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
    assert published_incidents(desk) == ["unprotected"]
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

    assert published_incidents(desk) == ["unprotected"]
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
