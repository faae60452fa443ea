"""Closing a position without a signal: one exit whatever breaks, and none that would open something."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.backup.snapshot import snapshot
from adapters.ledger.audit.invariants import check_rules
from adapters.ledger.audit.recompute import recompute
from adapters.venues.fault_injection.venue import Faults
from tests.fakes import Crash, Databases, Desk, Fuse, planned, system_config
from trading.errors import Rejected, Transient
from trading.events.event import EventType
from trading.execution.position_closer import FlattenResult
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState, PositionPolicy
from trading.orders.orders import OrderState
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles

SHOWN = 10
BUY, SELL, CLOSE = "buy", "sell", "close"
LINE = {
    "timeout_before_probability": 0.3,
    "timeout_after_probability": 0.3,
    "server_error_probability": 0.2,
    "rate_limit_probability": 0.2,
    "malformed_probability": 0.2,
    "cancel_race_probability": 0.3,
    "duplicate_fill_probability": 0.4,
    "late_fill_probability": 0.5,
    "split_fill_probability": 0.5,
}
MISMATCH = Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "position", "2 here, 3 there")


def make_desk(databases: Databases, plan: dict[int, str], *, until: int = SHOWN, **options: Any) -> Desk:
    """Make a desk whose stops and targets are far away, and let it run."""
    desk_options = {name: options.pop(name) for name in ("fuse", "faults") if name in options}
    config = system_config(planned(plan, stop_distance=50.0, target_distance=50.0), **options)
    desk = Desk(databases, config, make_candles(60), shown=SHOWN, **desk_options)
    desk.advance()
    desk.play(until)
    return desk


@pytest.fixture
def desk(databases: Databases) -> Desk:
    """A desk that holds two units, with a stop and a target at the venue."""
    return make_desk(databases, {SHOWN: BUY}, until=SHOWN + 3)


def exits(desk: Desk) -> list[tuple[str, str]]:
    return [(name, state) for name, leg, state in desk.orders() if leg == "exit"]


def held(desk: Desk) -> float:
    return sum(position.units for position in desk.ledger.positions())


def differences(desk: Desk, databases: Databases) -> list[str]:
    with snapshot(databases.ledger) as view:
        findings = recompute(view, lambda _: None)
        check_rules(view, findings, lambda _: None)
    return [f"{one.check} {one.where}: {one.found}, expected {one.expected}" for one in findings.differences]


def assert_flat(desk: Desk, databases: Databases) -> None:
    """Hold that nothing is left on either side, and that each order was sent under one id."""
    assert held(desk) == 0.0
    assert list(desk.paper.positions()) == []
    assert list(desk.paper.open_orders(SYMBOL)) == []
    assert desk.ledger.unsettled(SYMBOL) == []
    assert differences(desk, databases) == []
    assert desk.pipeline.reconcile() == []


@pytest.mark.parametrize(("policy", "is_open"), [("hold", True), ("flatten", False)])
def test_quarantined_symbol_books_its_candles_and_closes_by_policy(
    desk: Desk, policy: PositionPolicy, *, is_open: bool
) -> None:
    desk.ledger.set_quarantine(SYMBOL, policy, cause="test", reason="test")
    desk.store.set_quarantine(SYMBOL, policy)

    desk.play(SHOWN + 6)  # a close is filled at the candle that opens after it

    assert desk.journal[SHOWN + 3] == f"quarantined ({policy}): nothing is decided"
    assert (held(desk) != 0.0) is is_open


def test_flatten_closes_what_is_open_and_its_stop_and_target_go(desk: Desk, databases: Databases) -> None:
    answer = desk.pipeline.flatten("I have seen enough")
    assert (answer.outcome, answer.units, len(desk.paper.open_orders(SYMBOL))) == ("closing", 2.0, 3)
    desk.play(SHOWN + 5)

    assert_flat(desk, databases)
    [(_, state)] = exits(desk)
    assert state == "filled"
    [decision] = [row for row in desk.ledger.decisions() if row["origin"] == "flatten"]
    assert "flatten: I have seen enough" in decision["reason"]
    assert desk.pipeline.flatten("again").as_dict() == FlattenResult().as_dict()
    assert FlattenResult().outcome == "flat"


def test_flatten_at_a_venue_that_fills_at_once_is_flat_when_it_returns(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY}, until=SHOWN + 3, venue={"kind": "paper", "fill_at": "close"})
    answer = desk.pipeline.flatten("enough")

    assert answer.outcome == "flat"
    assert answer.as_dict()["positions"]["tests.fakes:PlannedStrategy"]["rule"] == "ok"
    assert_flat(desk, databases)
    fill = desk.ledger.fills(limit=1)[0]
    assert (
        fill["price"] == desk.source.candles[SHOWN + 2 : SHOWN + 3].values[0, 3]
    )  # the last close that was decided on


def test_flatten_twice_sends_one_order(desk: Desk) -> None:
    desk.pipeline.flatten("once")
    second = desk.pipeline.flatten("twice")
    desk.restart()
    third = desk.pipeline.flatten("after a restart")

    assert [one.verdicts["tests.fakes:PlannedStrategy"].rule for one in (second, third)] == ["unsettled"] * 2
    assert len(exits(desk)) == 1
    assert len(desk.venue.submitted) == 2  # the entry and the exit
    desk.play(SHOWN + 6)
    assert len(desk.paper.fills(SYMBOL, after=0)) == 2


def test_flatten_does_not_keep_the_candles_that_follow_from_being_decided(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 5: SELL}, until=SHOWN + 3)
    desk.pipeline.flatten("enough")
    fence = desk.ledger.fence(SYMBOL)
    desk.play(SHOWN + 8)

    assert fence == at_place(SHOWN)
    assert held(desk) == -2.0
    desk.pipeline.flatten("and again")
    desk.play(SHOWN + 10)
    assert_flat(desk, databases)
    assert len({name for name, _ in exits(desk)}) == 2


def test_flatten_after_an_exit_that_the_venue_rejected_sends_another_one(desk: Desk, databases: Databases) -> None:
    desk.venue.fail("submit", Rejected("margin", "closed for today"))
    refused = desk.pipeline.flatten("enough")
    assert (refused.outcome, held(desk)) == ("open", 2.0)

    desk.pipeline.flatten("enough, I said")
    desk.play(SHOWN + 5)
    assert [state for _, state in exits(desk)].count("filled") == 1
    assert_flat(desk, databases)


@pytest.mark.parametrize("after", [False, True])
def test_flatten_whose_exit_gets_no_answer_is_settled_by_a_query(desk: Desk, databases: Databases, after: bool) -> None:
    desk.venue.fail("submit", Transient("venue", "no answer"), after=after)
    desk.venue.silent = {"find"} if after else {"submit", "find"}
    first = desk.pipeline.flatten("enough")
    assert [one.state for one in first.unsettled] == [OrderState.UNKNOWN]

    desk.venue.silent = set()
    desk.pipeline.flatten("is it gone?")
    desk.play(SHOWN + 5)
    assert len(exits(desk)) == 1
    assert_flat(desk, databases)


def test_flatten_while_paused_or_quarantined_closes(databases: Databases) -> None:
    for way in ("paused", "quarantined"):
        desk = make_desk(databases, {SHOWN: BUY}, until=SHOWN + 3)
        if way == "paused":
            desk.want(DesiredState.PAUSED)
        else:
            desk.ledger.set_quarantine(SYMBOL, "flatten", cause="test", reason="no candles")
        assert desk.pipeline.flatten(way).outcome == "closing"
        desk.paper.sync(SYMBOL, desk.source.candles[: SHOWN + 6])
        desk.pipeline.reconcile()
        assert_flat(desk, databases)


def test_flatten_while_halted_is_rejected_and_nothing_is_sent(desk: Desk) -> None:
    desk.ledger.open_incidents([MISMATCH])
    answer = desk.pipeline.flatten("enough")

    assert (answer.outcome, answer.verdicts) == ("refused", {})
    assert "a person must look first: 2 here, 3 there" in answer.refused
    assert (exits(desk), len(desk.venue.submitted)) == ([], 1)


def test_flatten_while_stopped_is_rejected_with_what_to_do(desk: Desk) -> None:
    desk.want(DesiredState.STOPPED)

    assert desk.pipeline.flatten("enough").refused == "XAUUSD is stopped: pause it, then retry"
    assert exits(desk) == []


@pytest.mark.parametrize("services", [{"execution_mode": "dry"}, {"enabled": False}])
def test_flatten_where_no_order_is_sent_reports_it(desk: Desk, services: dict[str, Any]) -> None:
    desk.config = system_config(planned({SHOWN: BUY}), services={"trade_execution": services})
    desk.restart()

    assert "no order is sent" in desk.pipeline.flatten("enough").refused
    assert exits(desk) == []


def test_flatten_withdraws_an_entry_that_rests_at_the_venue(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY}, until=SHOWN + 1)
    assert [order.units for order in desk.paper.open_orders(SYMBOL)] == [2.0]
    answer = desk.pipeline.flatten("enough")

    assert answer.outcome == "flat"
    desk.play(SHOWN + 4)
    assert [state for *_, state in desk.orders()] == ["canceled"]
    assert_flat(desk, databases)


def test_flatten_lets_go_of_an_entry_that_the_venue_never_got(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    desk.venue.silent = set()
    desk.pipeline.flatten("enough")

    assert desk.venue.submitted == []
    assert [state for *_, state in desk.orders()] == ["canceled"]
    [event] = desk.events_of(EventType.ORDER_CANCELLED)
    assert "all is closed: enough" in event.reason


def test_flatten_in_the_middle_of_a_reversal_gives_up_its_entry(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: SELL}, until=SHOWN + 3)
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    assert sorted(state for *_, state in desk.orders()) == ["filled", "planned", "unknown"]
    desk.venue.silent = set()
    desk.pipeline.flatten("enough")
    desk.play(SHOWN + 6)

    assert sorted(state for *_, state in desk.orders()) == ["canceled", "filled", "filled"]
    assert_flat(desk, databases)


def test_flatten_with_nothing_known_in_the_store_takes_the_positions_own_time_and_price(desk: Desk) -> None:
    opened = desk.ledger.positions()[0]
    desk.store.forget()
    desk.pipeline.flatten("Redis is gone")

    [(name, _)] = exits(desk)
    assert name.startswith(f"XAUUSD-{opened.opened_ms // 1000}-x-")
    [order] = [row for row in desk.ledger.orders() if row["leg"] == "exit"]
    assert order["reference_price"] == opened.average_price


# crashes, and a venue that lies


def run(databases: Databases, fuse: Fuse, faults: Faults | None, fill_at: str) -> tuple[Desk, int]:
    """Open a position, turn it, and ask again and again for all of it to be closed, whatever breaks meanwhile."""
    venue = {"kind": "paper", "fill_at": fill_at}
    plan = {SHOWN: BUY, SHOWN + 3: SELL}
    config = system_config(planned(plan, stop_distance=50.0), max_signal_age_s=3_600.0, venue=venue)
    desk, crashes = Desk(databases, config, make_candles(60), shown=SHOWN, fuse=fuse, faults=faults), 0

    def advance(until: int) -> None:
        desk.advance(show=max(0, until - desk.source.shown))

    def carry_out(action: Callable[[], object]) -> None:
        nonlocal crashes
        while True:
            try:
                action()
                return
            except Crash:
                crashes += 1
                desk.restart()
            except Transient:
                continue

    for until in (SHOWN, SHOWN + 4):
        carry_out(partial(advance, until))
    for until in range(SHOWN + 6, SHOWN + 16, 2):
        for _ in range(3):
            carry_out(lambda: desk.pipeline.flatten("enough"))
        carry_out(partial(advance, until))
        if not desk.ledger.has_exposure(SYMBOL):
            break
    return desk, crashes


@pytest.mark.parametrize("fill_at", ["next_open", "close"])
def test_flatten_cut_off_at_any_write_and_requested_again_ends_flat_with_one_exit(
    databases: Databases, fill_at: str
) -> None:
    whole = Fuse()
    expected = len(exits(run(databases, whole, None, fill_at)[0]))
    first = whole.calls.index("flatten")
    assert expected >= 1

    for at in range(first - 3, len(whole.calls) + 1):
        desk, crashes = run(databases, Fuse(at), None, fill_at)
        where = f"crash before write {at}, {whole.calls[at - 1]}"
        assert crashes == 1, where
        assert len(exits(desk)) == expected, where
        assert len(desk.venue.submitted) == len(set(desk.venue.submitted)), where
        assert_flat(desk, databases)


@settings(max_examples=20, deadline=None)
@example(seed=1, at=40, after=True, fill_at="close")
@given(
    seed=st.integers(0, 5), at=st.integers(5, 90), after=st.booleans(), fill_at=st.sampled_from(["next_open", "close"])
)
def test_flatten_at_a_faulty_venue_with_a_crash_at_any_write_ends_flat(
    databases: Databases, seed: int, at: int, after: bool, fill_at: str
) -> None:
    desk, _ = run(databases, Fuse(at, after=after), Faults(seed=seed, **LINE), fill_at)
    assert held(desk) == 0.0
    assert list(desk.paper.positions()) == []
    assert len(desk.venue.submitted) == len(set(desk.venue.submitted))
    assert differences(desk, databases) == []
