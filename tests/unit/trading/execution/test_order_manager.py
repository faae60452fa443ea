"""What becomes of orders when the venue lies, loses them or shows strange ones, and when we are cut off meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.ledger.tables import stop_moves
from adapters.venues.fault_injection.venue import Faults
from tests.fakes import Crash, Databases, Desk, Fuse, planned, system_config
from trading.errors import Rejected, Transient
from trading.events.event import EventType
from trading.execution.order_manager import OrderManager
from trading.execution.reconciliation import AbandonOrder, CancelOrder, ResendStop, SubmitOrder
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.intents import OrderUpdate
from trading.orders.orders import (
    Leg,
    OrderRequest,
    OrderState,
    Side,
    VenuePosition,
    client_order_id,
    protective_order_id,
)
from trading.portfolio.positions import StopMove
from trading.structs import replace
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles

SHOWN = 10
STRATEGY = "tests.fakes:PlannedStrategy"
HALT = Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "position", "the ledger holds 2 units, the venue 3")
BUY, SELL, CLOSE = "buy", "sell", "close"
PLAN = {SHOWN: BUY, SHOWN + 2: SELL, SHOWN + 5: BUY, SHOWN + 8: CLOSE, SHOWN + 9: SELL}
UNTIL = SHOWN + 16
LINE = {
    "timeout_before_probability": 0.3,
    "timeout_after_probability": 0.3,
    "server_error_probability": 0.2,
    "rate_limit_probability": 0.2,
    "malformed_probability": 0.2,
    "duplicate_fill_probability": 0.4,
    "shuffled_fills_probability": 0.5,
    "late_fill_probability": 0.5,
    "split_fill_probability": 0.5,
}


def make_desk(databases: Databases, plan: dict[int, str], **options: Any) -> Desk:
    desk_options = {name: options.pop(name) for name in ("fuse", "faults") if name in options}
    config = system_config(planned(plan, stop_distance=0.6, target_distance=1.2), **options)
    return Desk(databases, config, make_candles(60), shown=SHOWN, **desk_options)


@pytest.fixture
def desk(databases: Databases) -> Desk:
    """A desk that holds two units bought at its first decision, with a stop far away."""
    config = system_config(planned({SHOWN: BUY, SHOWN + 5: CLOSE}, stop_distance=50.0))
    desk = Desk(databases, config, make_candles(60), shown=SHOWN)
    desk.advance()
    desk.play(SHOWN + 2)
    return desk


def incidents(desk: Desk) -> list[IncidentKind]:
    return [incident.kind for incident in desk.ledger.incidents_of(SYMBOL)]


def told(desk: Desk) -> list[str]:
    return [event.details["kind"] for event in desk.events_of(EventType.INCIDENT_OPENED)]


def by_hand(leg: Leg = Leg.ENTRY, side: Side = Side.BUY, units: float = 1.0) -> OrderRequest:
    identity = client_order_id("by-hand", SYMBOL, "planned", at_place(SHOWN + 1), leg)
    return OrderRequest(identity, SYMBOL, "by-hand", leg, side, units, 100.0, at_place(SHOWN + 2))


def test_reconcile_when_ledger_and_venue_agree_does_nothing(desk: Desk) -> None:
    assert desk.pipeline.reconcile() == []
    assert incidents(desk) == []


def test_reconcile_position_that_the_venue_does_not_have_halts_the_symbol_until_it_is_resolved(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = [VenuePosition(SYMBOL, "x", 3.0, 100.0), VenuePosition("OTHER", "x", 9.0, 1.0)]
    monkeypatch.setattr(desk.paper, "positions", lambda: elsewhere)
    desk.pipeline.reconcile()
    desk.pipeline.reconcile()

    assert told(desk) == ["position_mismatch"]
    assert "the ledger holds 2 units of XAUUSD, the venue 3" in desk.ledger.incidents_of(SYMBOL)[0].reason
    desk.play(SHOWN + 7)
    assert "halted" in desk.journal[SHOWN + 5]
    assert desk.ledger.positions()[0].units == 2.0

    monkeypatch.undo()
    [row] = [row for row in desk.ledger.incidents(SYMBOL) if row["halts"]]
    assert desk.ledger.resolve_incident(row["id"], "traded by hand, closed again") is not None
    assert desk.ledger.resolve_incident(row["id"], "again") is None
    assert incidents(desk) == [IncidentKind.CLOSE_REFUSED]
    assert desk.pipeline.reconcile() == []


def test_close_asked_for_while_halted_is_remembered_and_told(desk: Desk) -> None:
    desk.ledger.open_incidents([HALT])
    desk.play(SHOWN + 7)

    assert told(desk) == ["position_mismatch", "close_refused"]
    [row] = [row for row in desk.ledger.incidents(SYMBOL) if not row["halts"]]
    assert (row["key"], row["details"]["units"], row["details"]["open_ms"]) == (STRATEGY, 2.0, at_place(SHOWN + 5))
    assert row["reason"].endswith("celery -A tasks trading flatten XAUUSD")
    assert "2026-03-02 00:15 UTC" in row["reason"]
    [halting] = [row for row in desk.ledger.incidents(SYMBOL) if row["halts"]]
    desk.ledger.resolve_incident(halting["id"], "it was a display error")
    assert incidents(desk) == [IncidentKind.CLOSE_REFUSED]  # it is there for whoever has resolved the other one
    desk.pipeline.flatten("as told")
    desk.play(SHOWN + 9)
    assert desk.ledger.positions()[0].units == 0.0
    assert incidents(desk) == []
    assert desk.ledger.incidents(SYMBOL, only_open=False)[0]["resolution"] == "the position was closed since"


# told for sure


def test_incident_whose_event_never_left_the_worker_is_told_by_the_next_one(desk: Desk) -> None:
    desk.paper.submit(by_hand())
    desk.pipeline.reconcile()
    desk.pipeline.reconcile()
    assert told(desk) == ["foreign_order"]  # waiting to leave is not told again
    desk.restart()
    assert told(desk) == []
    desk.pipeline.reconcile()

    assert told(desk) == ["foreign_order"]
    desk.flush()
    assert desk.ledger.unpublished(SYMBOL) == []
    desk.restart()
    desk.pipeline.reconcile()
    assert told(desk) == ["foreign_order"]


def test_incident_whose_telling_could_not_be_written_down_is_told_once_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.paper.submit(by_hand())
    desk.pipeline.reconcile()

    def locked(_: object) -> None:
        raise Transient("ledger", "database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(desk.ledger, "mark_published", locked)
        desk.flush()
    assert [one.kind for one in desk.ledger.unpublished(SYMBOL)] == [IncidentKind.FOREIGN_ORDER]
    desk.pipeline.reconcile()
    desk.flush()

    assert told(desk) == ["foreign_order", "foreign_order"]
    assert desk.ledger.unpublished(SYMBOL) == []


@pytest.mark.parametrize("after", [False, True])
def test_fill_that_came_late_is_told_whatever_the_worker_died_of(databases: Databases, *, after: bool) -> None:
    for at in range(1, 40):
        fuse = Fuse(at, after=after)
        desk = make_desk(databases, {SHOWN: BUY}, venue={"kind": "paper", "fill_at": "next_open"})
        desk.advance()
        desk.advance(show=1)
        [identity] = desk.venue.submitted
        desk.ledger.mark(OrderUpdate(identity, OrderState.EXPIRED))
        desk.paper.sync(SYMBOL, desk.source.tape[: SHOWN + 2])
        desk.watch(fuse)
        try:
            desk.advance(show=1)
        except Crash:
            desk.restart()
        else:
            assert at > len(fuse.calls) > 4
            break
        desk.pipeline.reconcile()
        desk.flush()
        where = f"crash {'after' if after else 'before'} {fuse.calls[at - 1]}"
        assert "late_fill" in told(desk), where
        assert desk.ledger.unpublished(SYMBOL) == [], where


def test_reconcile_mismatch_that_passes_while_it_is_looked_at_is_not_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [[VenuePosition(SYMBOL, "x", 3.0, 100.0)]] * 3
    positions = desk.paper.positions
    monkeypatch.setattr(desk.paper, "positions", lambda: answers.pop() if answers else positions())

    assert desk.pipeline.reconcile() == []
    assert told(desk) == []
    assert len(desk.slept_s) == 3


def test_reconcile_foreign_order_at_the_venue_is_told_once_and_halts_nothing(desk: Desk) -> None:
    desk.paper.submit(by_hand())
    desk.pipeline.reconcile()
    assert told(desk) == ["foreign_order"]
    desk.flush()
    slept = len(desk.slept_s)
    desk.restart()
    desk.pipeline.reconcile()

    assert told(desk) == ["foreign_order"]
    assert len(desk.slept_s) == slept  # what was told is not waited for again
    assert not any(kind.halts for kind in incidents(desk))


def test_reconcile_stop_that_is_gone_from_the_venue_is_told(desk: Desk) -> None:
    [stop] = desk.paper.open_orders(SYMBOL)
    desk.paper.cancel(stop.client_order_id)
    desk.pipeline.reconcile()

    assert incidents(desk) == [IncidentKind.UNPROTECTED]
    desk.play(SHOWN + 8)
    assert desk.ledger.positions()[0].units == 0.0  # a naked position may still be closed


def test_reconcile_order_that_the_venue_took_and_lost_halts_and_ends_when_it_is_resolved(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.advance(show=1)
    monkeypatch.setattr(desk.paper, "find", lambda _: None)
    desk.pipeline.reconcile()

    [row] = desk.ledger.incidents(SYMBOL)
    assert (row["kind"], row["halts"]) == ("order_lost", True)
    desk.ledger.resolve_incident(row["id"], "the venue confirms that it has none")
    assert desk.ledger.unsettled(SYMBOL) == []
    assert [type(action) for action in desk.pipeline.reconcile()] == [CancelOrder]  # it had it after all


def test_reconcile_order_that_we_gave_up_and_that_rests_at_the_venue_is_cancelled_there(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.advance(show=1)
    [identity] = desk.venue.submitted
    ended = desk.ledger.unsettled(SYMBOL)[0]
    desk.ledger.mark(OrderUpdate(identity, OrderState.EXPIRED, reason="as if it had never been sent"))
    desk.pipeline.reconcile()

    found = desk.paper.find(identity)
    assert (found and found.state, ended.state) == (OrderState.CANCELED, OrderState.ACCEPTED)


def test_book_fill_of_an_order_that_we_gave_up_is_written_down_and_told(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.advance(show=1)
    [identity] = desk.venue.submitted
    desk.ledger.mark(OrderUpdate(identity, OrderState.EXPIRED))
    desk.advance(show=1)

    assert told(desk) == ["late_fill"]
    assert desk.ledger.positions()[0].units == 2.0
    [state] = {state for name, _, state in desk.orders() if name == identity}
    assert state == "filled"


def test_reconcile_without_the_markets_time_sends_no_entry(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    desk.venue.silent = set()
    settlement = desk.pipeline.execute

    assert not any(isinstance(action, SubmitOrder) for action in settlement.reconcile(None))
    assert any(isinstance(action, SubmitOrder) for action in desk.pipeline.reconcile())


def test_reconcile_stopped_symbol_lets_go_of_an_entry_never_sent(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    desk.venue.silent = set()
    desk.want(DesiredState.STOPPED)

    assert [type(action) for action in desk.pipeline.reconcile()] == [AbandonOrder]


def test_send_order_that_another_process_claimed_meanwhile_is_not_sent(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    [intent] = desk.ledger.unsettled(SYMBOL)
    identity = intent.request.client_order_id

    assert desk.ledger.mark(OrderUpdate(identity, OrderState.SUBMITTING, claims=intent.attempt + 1))
    assert not desk.ledger.mark(OrderUpdate(identity, OrderState.SUBMITTING, claims=intent.attempt + 1))


def test_settle_sends_again_only_after_a_wait_and_ends_with_its_patience(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit"}
    desk.advance(show=1)

    [intent] = desk.ledger.unsettled(SYMBOL)
    assert intent.state is OrderState.UNKNOWN
    assert intent.attempt <= len(desk.slept_s) + 2 < 20


def test_settle_in_a_dry_run_sends_nothing_of_what_was_decided_before(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    desk.venue.silent = set()
    desk.config = system_config(
        planned({SHOWN: BUY}, stop_distance=0.6), services={"trade_execution": {"execution_mode": "dry"}}
    )
    desk.restart()
    desk.pipeline.reconcile()

    assert desk.venue.submitted == []
    assert [one.state for one in desk.ledger.unsettled(SYMBOL)] == [OrderState.UNKNOWN]


@pytest.mark.parametrize("desired", [DesiredState.PAUSED, DesiredState.STOPPED])
def test_claim_of_an_entry_after_the_symbol_was_paused_is_refused_by_the_ledger(
    databases: Databases, desired: DesiredState
) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    [intent] = desk.ledger.unsettled(SYMBOL)
    desk.want(desired)

    claim = OrderUpdate(intent.request.client_order_id, OrderState.SUBMITTING, claims=intent.attempt + 1)
    assert not desk.ledger.mark(claim)


def test_positions_that_the_venue_does_not_tell_keep_no_exit_from_being_sent(desk: Desk) -> None:
    desk.venue.silent = {"positions", "open_orders"}
    desk.restart()
    desk.play(SHOWN + 8)

    assert desk.ledger.positions()[0].units == 0.0


def test_reconcile_that_finds_a_position_has_its_candles_reach_the_venue_again(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.advance(show=1)
    [identity] = desk.venue.submitted
    desk.ledger.mark(OrderUpdate(identity, OrderState.EXPIRED))
    desk.paper.sync(SYMBOL, desk.source.tape[: SHOWN + 2])
    desk.store.lose_exposure(SYMBOL)
    desk.pipeline.reconcile()

    assert desk.ledger.positions()[0].is_open
    assert desk.store.load(SYMBOL).has_exposure


def test_fill_by_hand_without_any_id_of_ours_is_told_and_not_written_down(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fills = desk.paper.fills(SYMBOL, after=0)
    strange = replace(fills[-1], fill_id="web-1", client_order_id="", sequence=fills[-1].sequence + 1)
    monkeypatch.setattr(desk.paper, "fills", lambda *_, **__: [*fills, strange])
    desk.pipeline.reconcile()

    assert IncidentKind.FOREIGN_FILL in incidents(desk)
    assert desk.ledger.positions()[0].units == 2.0


# every lie, and a crash at every write


def run(databases: Databases, fuse: Fuse, faults: Faults, step: int) -> tuple[Desk, int]:
    desk, crashes = make_desk(databases, PLAN, fuse=fuse, faults=faults, max_signal_age_s=3_600.0), 0
    while desk.cursor != UNTIL - 1:
        missing = UNTIL - desk.source.shown
        try:
            desk.advance(show=min(step, missing) if desk.cursor == desk.source.shown - 1 else 0)
        except Crash:
            crashes += 1
            desk.restart()
        except Transient:
            continue  # the next tick goes on
    return desk, crashes


def comparable(desk: Desk) -> dict[str, Any]:
    """Return the books, without what lies may change: which number a fill has at the venue."""
    books = desk.books()
    return {name: books[name] for name in ("decisions", "orders", "fills", "positions", "venue")} | {
        "incidents": incidents(desk)
    }


@pytest.mark.parametrize("outcomes", [{}, {"rejection_probability": 0.3, "partial_order_probability": 0.4}])
@pytest.mark.parametrize("seed", range(3))
def test_books_with_a_lying_venue_are_those_of_one_that_only_has_the_same_outcomes(
    databases: Databases, seed: int, outcomes: dict[str, float]
) -> None:
    honest = Faults(seed=seed, split_fill_probability=0.5, **outcomes)
    expected, _ = run(databases, Fuse(), honest, 1)
    wanted = comparable(expected)
    assert wanted["fills"]

    lied, _ = run(databases, Fuse(), Faults(seed=seed, **{**LINE, **outcomes}), 1)

    assert comparable(lied) == wanted
    assert wanted["incidents"] == []


@settings(max_examples=25, deadline=None)
@example(seed=3, at=9, after=False, step=4)
@given(seed=st.integers(0, 3), at=st.integers(1, 120), after=st.booleans(), step=st.sampled_from([1, 4]))
def test_books_with_a_lying_venue_and_a_crash_at_any_write_are_the_same(
    reference: Callable[[int, int], dict[str, Any]], databases: Databases, seed: int, at: int, after: bool, step: int
) -> None:
    wanted = reference(seed, step)
    faults = Faults(seed=seed, **LINE, rejection_probability=0.2, partial_order_probability=0.3)
    cut, crashes = run(databases, Fuse(at, after=after), faults, step)

    assert crashes <= 1
    assert comparable(cut) == wanted
    assert len(set(cut.venue.submitted)) == len({row["client_order_id"] for row in sent_orders(cut)})


def sent_orders(desk: Desk) -> list[dict[str, Any]]:
    rows = desk.ledger.orders(SYMBOL, limit=1_000)
    return [row for row in rows if row["leg"] in ("entry", "exit") and row["venue_order_id"] is not None]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], dict[str, Any]]:
    """The books of a run without a crash and without faults of the line, for each seed and step."""
    apart = Databases(tmp_path_factory.mktemp("reference"))
    known: dict[tuple[int, int], dict[str, Any]] = {}

    def books(seed: int, step: int) -> dict[str, Any]:
        if (seed, step) not in known:
            faults = Faults(
                seed=seed, split_fill_probability=0.5, rejection_probability=0.2, partial_order_probability=0.3
            )
            known[seed, step] = comparable(run(apart, Fuse(), faults, step)[0])
        return known[seed, step]

    return books


# stops that move

TRAILING = {"trailing_stop": {"distance": 0.3}}
TRAILED = {SHOWN: SELL, SHOWN + 5: BUY, SHOWN + 7: SELL}
TRAILED_UNTIL = SHOWN + 11
HELD = {SHOWN: BUY, SHOWN + 12: CLOSE}
SEEN_MS = at_place(SHOWN + 2)


def held_desk(databases: Databases, **options: Any) -> Desk:
    """Return a desk that holds two units with a stop far away, whose next candle is not shown yet."""
    config = system_config(planned(HELD, stop_distance=50.0), **options.pop("config", {}))
    desk = Desk(databases, config, make_candles(60), shown=SHOWN, **options)
    desk.advance()
    desk.play(SHOWN + 2)
    return desk


def settlement_of(desk: Desk) -> OrderManager:
    return desk.pipeline.execute._order_manager


def move(desk: Desk, stop_loss: float, *, place: int = SHOWN + 1) -> StopMove | None:
    return settlement_of(desk).move_stop(STRATEGY, at_place(place), stop_loss, "by the test", at_place(place + 1))


def resting(desk: Desk) -> list[float | None]:
    return [order.price for order in desk.paper.open_orders(SYMBOL)]


def stop_events(desk: Desk) -> list[Any]:
    return [event.details["stop_loss"] for event in desk.events if "stop_loss_before" in event.details]


def test_stop_that_is_moved_is_written_down_rests_at_the_venue_and_is_told_once(databases: Databases) -> None:
    desk = held_desk(databases)
    first, again = move(desk, 90.0), move(desk, 90.0)

    assert first is not None
    assert (first, first.refusal) == (again, "")
    assert resting(desk) == [90.0]
    assert desk.ledger.positions()[0].stop_loss == 90.0
    [event] = desk.events_of(EventType.POSITION_MODIFIED)
    assert event.reason == f"the stop of {STRATEGY} from {first.before:g} to 90: by the test"
    assert event.details["client_order_id"] == protective_order_id(first.entry_id, Leg.STOP_LOSS)
    assert desk.pipeline.reconcile() == []


@pytest.mark.parametrize("after", [False, True])
def test_stop_whose_move_is_not_answered_is_asked_for_and_moved_again(databases: Databases, *, after: bool) -> None:
    desk = held_desk(databases)
    desk.venue.fail("move_stop", Transient("venue", "no answer"), after=after)
    moved = move(desk, 90.0)

    assert moved is not None
    assert resting(desk) == [90.0]
    assert stop_events(desk) == [90.0]
    assert incidents(desk) == []


def test_stop_that_cannot_be_moved_in_time_lets_no_later_candle_pass_until_it_is(databases: Databases) -> None:
    desk = held_desk(databases)
    desk.venue.silent.add("move_stop")
    with pytest.raises(Transient):
        move(desk, 90.0)
    assert desk.ledger.positions()[0].stop_loss == 90.0
    assert stop_events(desk) == []
    synced: list[str] = []
    desk.watch(Fuse())
    desk.venue.silent.add("positions")  # so that nothing is compared, and the candle alone asks for it
    with pytest.raises(Transient):
        desk.advance(show=1)
    assert (desk.cursor, synced) == (SHOWN + 1, [])

    desk.venue.silent.clear()
    desk.advance()
    assert desk.cursor == SHOWN + 2
    assert resting(desk) == [90.0]


def test_stop_that_a_dead_process_wrote_down_is_moved_before_anything_else(databases: Databases) -> None:
    desk = held_desk(databases)
    desk.watch(Fuse(2, after=False))
    with pytest.raises(Crash, match="before move_stop"):
        move(desk, 90.0)
    assert (desk.ledger.positions()[0].stop_loss, resting(desk)) != (90.0, [90.0])
    desk.restart()

    assert [type(action) for action in desk.pipeline.reconcile()] == [ResendStop]
    assert resting(desk) == [90.0]
    assert incidents(desk) == []
    moved = move(desk, 90.0)
    assert moved is not None
    assert stop_events(desk) == [90.0], "told when its candle came again"


def test_stop_that_a_dead_process_recorded_stays_while_an_incident_halts_the_symbol(databases: Databases) -> None:
    desk = held_desk(databases)
    before = resting(desk)
    strategy = desk.ledger.positions()[0].strategy
    desk.ledger.move_stop(SYMBOL, strategy, at_place(SHOWN + 1), 90.0, "test", correlation_id="test")
    desk.ledger.open_incidents([Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "x", "another hand")])
    desk.restart()
    order_manager = settlement_of(desk)
    order_manager.book(make_candles(60)[SHOWN + 2 : SHOWN + 3], None)

    assert resting(desk) == before != [90.0]


def test_stop_that_the_venue_refuses_to_move_stays_and_is_told(databases: Databases) -> None:
    desk = held_desk(databases)
    before = resting(desk)
    desk.venue.fail("move_stop", Rejected("stop_loss", "too near to the market"))
    moved = move(desk, 90.0)

    assert moved is not None
    assert moved.refusal == "the venue refused it: stop_loss: too near to the market"
    assert [desk.ledger.positions()[0].stop_loss] == before == resting(desk)
    [event] = desk.events_of(EventType.TRADE_FAILED)
    assert event.reason.endswith("too near to the market")
    assert move(desk, 90.0) == moved
    assert desk.pipeline.reconcile() == []


@pytest.mark.parametrize("by_reconcile", [True, False])
def test_stop_that_the_venue_refuses_when_it_is_sent_again_is_told_once(
    databases: Databases, *, by_reconcile: bool
) -> None:
    desk = held_desk(databases)
    before = resting(desk)
    strategy = desk.ledger.positions()[0].strategy
    desk.ledger.move_stop(SYMBOL, strategy, at_place(SHOWN + 1), 90.0, "test", correlation_id="test")
    desk.restart()  # the process that wrote it down died
    desk.venue.fail("move_stop", Rejected("stop_loss", "too near to the market"))

    if by_reconcile:
        desk.pipeline.reconcile()
    desk.play(SHOWN + 3)
    desk.pipeline.reconcile()

    assert [desk.ledger.positions()[0].stop_loss] == before == resting(desk)
    [event] = desk.events_of(EventType.TRADE_FAILED)
    assert event.reason.endswith("too near to the market")


def test_stop_that_somebody_moved_at_the_venue_is_an_incident_and_is_left_there(databases: Databases) -> None:
    desk = held_desk(databases)
    moved = move(desk, 90.0)
    assert moved is not None
    desk.paper.move_stop(moved.entry_id, 85.0, at_place(SHOWN + 1))
    desk.pipeline.reconcile()
    desk.restart()
    desk.play(SHOWN + 3)

    assert incidents(desk) == [IncidentKind.UNPROTECTED]
    assert resting(desk) == [85.0]


def test_stop_that_is_shown_late_is_waited_for_and_no_incident(databases: Databases) -> None:
    desk = held_desk(databases, faults=Faults(seed=2, visibility_s=2.0))
    assert desk.pipeline.reconcile() == []
    settlement_of(desk).is_settled = False
    moved = move(desk, 90.0)

    assert moved is not None
    assert resting(desk) == [90.0]
    assert incidents(desk) == []
    assert desk.pipeline.reconcile() == []


def test_stop_in_a_dry_run_is_not_moved(databases: Databases) -> None:
    desk = held_desk(databases)
    desk.config = system_config(
        planned(HELD, stop_distance=50.0), services={"trade_execution": {"execution_mode": "dry"}}
    )
    desk.restart()
    before = resting(desk)

    assert move(desk, 90.0) is None
    assert resting(desk) == before


def trail(databases: Databases, fuse: Fuse, faults: Faults | None, step: int) -> Desk:
    """Play a plan with a trailing stop to its end, whatever is in the way."""
    config = system_config(planned(TRAILED, stop_distance=3.0), max_signal_age_s=3_600.0, exits=TRAILING)
    desk = Desk(databases, config, make_candles(60), shown=SHOWN, fuse=fuse, faults=faults)
    while desk.cursor != TRAILED_UNTIL - 1:
        missing = TRAILED_UNTIL - desk.source.shown
        try:
            desk.advance(show=min(step, missing) if desk.cursor == desk.source.shown - 1 else 0)
        except Crash:
            desk.restart()
        except Transient:
            continue  # the next tick goes on
    return desk


def trailed(desk: Desk) -> dict[str, Any]:
    """Return the books with the moves, and the journal, which a crash must not change either."""
    with desk.ledger._engine.connect() as connection:
        rows = connection.execute(sa.select(stop_moves).order_by(stop_moves.c.open_ms)).mappings().all()
    moves = [{name: value for name, value in row.items() if name != "written_at_ms"} for row in rows]
    return comparable(desk) | {"moves": moves, "journal": desk.journal}


@pytest.mark.parametrize(("step", "after"), [(1, False), (4, True)])  # after one write is before the next one
def test_books_with_a_trailing_stop_and_a_crash_at_any_write_are_the_same(
    databases: Databases, *, step: int, after: bool
) -> None:
    whole_fuse = Fuse()
    wanted = trailed(trail(databases, whole_fuse, None, step))
    assert len(wanted["moves"]) >= 4
    assert [row["leg"] for row in wanted["fills"]].count("stop_loss") == 2
    places = [at for at, name in enumerate(whole_fuse.calls, start=1) if name != "mark_exposed"]
    assert {"move_stop"} <= set(whole_fuse.calls)

    for at in places:
        fuse = Fuse(at, after=after)
        cut = trail(databases, fuse, None, step)
        where = f"crash {'after' if after else 'before'} write {at}, {whole_fuse.calls[at - 1]}"
        assert trailed(cut) == wanted, where
        assert len(stop_events(cut)) == len(set(stop_events(cut))), where


@pytest.mark.parametrize("seed", range(3))
def test_books_with_a_trailing_stop_and_a_lying_venue_are_those_of_an_honest_one(
    databases: Databases, seed: int
) -> None:
    honest = Faults(seed=seed, split_fill_probability=0.5)
    wanted = trailed(trail(databases, Fuse(), honest, 1))
    lied = trailed(trail(databases, Fuse(), Faults(seed=seed, **LINE), 1))

    assert len(wanted["moves"]) >= 4
    assert lied == wanted
    assert lied["incidents"] == []
