"""The contract of `trading.ports.Ledger`, and the promises behind it, on SQLite and on a real PostgreSQL."""

import itertools
import multiprocessing
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.ledger import SqlLedger
from tests.fixtures.databases import patient
from trading.errors import Broken, Transient
from trading.lifecycle import DesiredState
from trading.orders import Fill, Leg, OrderRequest, OrderState, Side, client_order_id
from trading.ports import Decided, Intent, Ledger, Mark
from trading.positions import Position
from trading.risk import LedgerView, Planned, Verdict

pytest_plugins = ("tests.fixtures.databases",)

Judge = Callable[[LedgerView], Verdict]

DAY_MS = 86_400_000
T0_MS = 20_000 * DAY_MS
MINUTE_MS = 60_000
BALANCE = 10_000.0
REFUSED = Verdict("cooldown", "the last exit is 2 candles old, 5 are asked for")
FINAL = [OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED]
ENDED_EMPTY = [OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED]


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, "main", BALANCE)


def request_of(
    symbol: str = "XAUUSD",
    open_ms: int = T0_MS,
    *,
    account: str = "main",
    strategy: str = "trend",
    leg: Leg = Leg.ENTRY,
    side: Side = Side.BUY,
    units: float = 2.0,
) -> OrderRequest:
    name = client_order_id(account, symbol, strategy, open_ms, leg)
    return OrderRequest(name, symbol, strategy, leg, side, units, 100.0, open_ms + MINUTE_MS, 90.0, 120.0)


def accept(*planned: Planned) -> Judge:
    return lambda _view: Verdict("ok", "all rules agree", planned)


def enter(ledger: Ledger, request: OrderRequest, *, risk: float = 20.0) -> Intent:
    """Decide on `request` alone, and return its intent."""
    open_ms = request.decided_ms - MINUTE_MS
    decided = ledger.decide(
        request.symbol, request.strategy, open_ms, accept(Planned(request, risk)), correlation_id=f"c{open_ms}"
    )
    (intent,) = decided.intents
    return intent


def view_of(ledger: Ledger, symbol: str = "BTCUSD", *, strategy: str = "probe", open_ms: int = T0_MS) -> LedgerView:
    """Return what a decision would see, without making one."""
    seen: list[LedgerView] = []

    def look(view: LedgerView) -> Verdict:
        seen.append(view)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ledger.decide(symbol, strategy, open_ms, look, correlation_id="probe")
    return seen[0]


def fill_of(
    request: OrderRequest,
    sequence: int = 1,
    *,
    units: float | None = None,
    price: float = 100.0,
    fee: float = 0.0,
    market_ms: int = T0_MS + MINUTE_MS,
) -> Fill:
    return Fill(
        sequence,
        f"fill-{sequence}",
        request.client_order_id,
        request.symbol,
        request.strategy,
        request.leg,
        request.side,
        units or request.units,
        price,
        fee,
        market_ms,
    )


def stop_fill(symbol: str = "XAUUSD", sequence: int = 2, *, units: float = 2.0, price: float = 90.0) -> Fill:
    market_ms = T0_MS + 5 * MINUTE_MS
    leg, side = Leg.STOP_LOSS, Side.SELL
    return Fill(sequence, f"fill-{sequence}", "venue-stop", symbol, "trend", leg, side, units, price, 0.0, market_ms)


@pytest.mark.parametrize(("price", "open_risk"), [(100.0, 20.0), (108.0, 36.0), (95.0, 20.0)])
def test_entry_filled_worse_than_decided_reserves_what_the_stop_will_really_cost(
    ledger: SqlLedger, price: float, open_risk: float
) -> None:
    request = request_of()
    enter(ledger, request, risk=20.0)
    ledger.record_fills("XAUUSD", [fill_of(request, price=price)])

    assert view_of(ledger).open_risk == pytest.approx(open_risk)


# decide


def test_decide_accepted_claims_the_first_intent_and_plans_the_others(ledger: SqlLedger) -> None:
    leave = Planned(request_of(leg=Leg.EXIT, side=Side.SELL))
    reverse = Planned(request_of(side=Side.SELL), 20.0)
    decided = ledger.decide("XAUUSD", "trend", T0_MS, accept(leave, reverse), correlation_id="c1")
    expected = (Intent(leave.request, OrderState.SUBMITTING, attempt=1), Intent(reverse.request, OrderState.PLANNED))
    assert decided == Decided(Verdict("ok", "all rules agree", (leave, reverse)), expected)
    assert tuple(ledger.unsettled("XAUUSD")) == expected
    assert ledger.unsettled("BTCUSD") == []


@pytest.mark.parametrize("late_ms", [0, MINUTE_MS])
def test_decide_candle_at_or_before_fence_writes_nothing(ledger: SqlLedger, late_ms: int) -> None:
    enter(ledger, request_of())
    asked: list[LedgerView] = []

    def judge(view: LedgerView) -> Verdict:
        asked.append(view)
        return REFUSED

    again = ledger.decide("XAUUSD", "trend", T0_MS - late_ms, judge, correlation_id="c2")
    assert (again.verdict, again.intents) == (None, ())
    assert again.earlier == (Verdict("ok", "all rules agree") if late_ms == 0 else None)
    assert asked == []
    assert len(ledger.decisions()) == len(ledger.unsettled("XAUUSD")) == 1


def test_decide_fence_is_of_symbol_and_strategy(ledger: SqlLedger) -> None:
    enter(ledger, request_of())
    for symbol, strategy in [("XAUUSD", "reversal"), ("BTCUSD", "trend")]:
        decided = ledger.decide(symbol, strategy, T0_MS - MINUTE_MS, lambda _: REFUSED, correlation_id="c")
        assert decided.verdict == REFUSED
    assert ledger.fence("XAUUSD") == T0_MS
    assert ledger.fence("BTCUSD") == T0_MS - MINUTE_MS
    assert ledger.fence("EURUSD") is None


def test_decide_refused_moves_fence_and_keeps_reason(ledger: SqlLedger) -> None:
    verdict = Verdict("max_open_positions", "3 of 3", breached=True)
    assert ledger.decide("XAUUSD", "trend", T0_MS, lambda _: verdict, correlation_id="c1") == Decided(verdict)
    (decision,) = ledger.decisions("XAUUSD")
    assert decision["written_at_ms"] > T0_MS
    kept = {name: decision[name] for name in ("outcome", "rule", "reason", "breached", "correlation_id", "open_ms")}
    assert kept == {
        "outcome": "refused",
        "rule": "max_open_positions",
        "reason": "3 of 3",
        "breached": True,
        "correlation_id": "c1",
        "open_ms": T0_MS,
    }
    assert ledger.fence("XAUUSD") == T0_MS


def test_decide_judge_raises_nothing_is_written(ledger: SqlLedger) -> None:
    view_of(ledger, "XAUUSD", strategy="trend")
    assert ledger.fence("XAUUSD") is None
    assert ledger.decisions() == []


def test_decide_second_intent_cannot_be_written_nothing_is(ledger: SqlLedger) -> None:
    enter(ledger, request_of())
    fresh = request_of(open_ms=T0_MS + MINUTE_MS, leg=Leg.EXIT)
    used = request_of()
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        ledger.decide("XAUUSD", "trend", T0_MS + MINUTE_MS, accept(Planned(fresh), Planned(used)), correlation_id="c2")
    assert ledger.fence("XAUUSD") == T0_MS
    assert len(ledger.decisions()) == len(ledger.unsettled("XAUUSD")) == 1


def test_decide_dry_run_writes_decision_and_no_intent(ledger: SqlLedger) -> None:
    judge = accept(Planned(request_of(), 20.0))
    decided = ledger.decide("XAUUSD", "trend", T0_MS, judge, correlation_id="c1", dry_run=True)
    assert decided.verdict is not None
    assert decided.verdict.is_accepted
    assert decided.intents == ()
    assert ledger.decisions()[0]["outcome"] == "dry"
    assert ledger.fence("XAUUSD") == T0_MS
    assert not ledger.has_exposure("XAUUSD")
    assert view_of(ledger).open_risk == 0.0


def test_set_desired_paused_is_seen_by_next_decision(ledger: SqlLedger) -> None:
    assert ledger.desired("XAUUSD") is DesiredState.RUNNING
    assert view_of(ledger, "XAUUSD").desired is DesiredState.RUNNING
    for state in (DesiredState.STOPPED, DesiredState.PAUSED):
        ledger.set_desired("XAUUSD", state, reason="news at 14:30")
    assert view_of(ledger, "XAUUSD").desired is ledger.desired("XAUUSD") is DesiredState.PAUSED
    assert view_of(ledger, "BTCUSD").desired is DesiredState.RUNNING


def test_accounts_in_one_database_do_not_see_each_other(engine: Engine, ledger: SqlLedger) -> None:
    enter(ledger, request_of())
    ledger.record_fills("XAUUSD", [fill_of(request_of(), fee=1.0)])
    ledger.set_desired("XAUUSD", DesiredState.PAUSED, reason="mine")
    other = SqlLedger(engine, "other", 500.0)
    assert view_of(other, "XAUUSD") == LedgerView(
        DesiredState.RUNNING, Position("XAUUSD", "probe"), False, 0, 0.0, 0.0, 500.0, peak_balance=500.0
    )
    assert (other.positions(), other.fills(), other.orders(), other.decisions()) == ([], [], [], [])
    assert other.fills_from("XAUUSD") == 0


# the view


def test_view_pending_entry_and_open_position_count_once_each(ledger: SqlLedger) -> None:
    enter(ledger, request_of("XAUUSD"), risk=20.0)
    enter(ledger, request_of("BTCUSD"), risk=0.0)
    pending = view_of(ledger, "EURUSD")
    ledger.record_fills("XAUUSD", [fill_of(request_of("XAUUSD"))])
    filled = view_of(ledger, "EURUSD")
    assert (pending.open_positions, pending.open_risk) == (filled.open_positions, filled.open_risk) == (2, 20.0)


def test_view_unsettled_order_is_of_its_symbol_only(ledger: SqlLedger) -> None:
    intent = enter(ledger, request_of())
    assert view_of(ledger, "XAUUSD", strategy="reversal").has_unsettled
    assert not view_of(ledger, "BTCUSD").has_unsettled
    ledger.mark(Mark(intent.request.client_order_id, OrderState.UNKNOWN))
    assert view_of(ledger, "XAUUSD").has_unsettled
    ledger.mark(Mark(intent.request.client_order_id, OrderState.CANCELED))
    assert not view_of(ledger, "XAUUSD").has_unsettled


def test_view_filled_by_word_but_without_fills_still_holds_its_place(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of()).request
    ledger.mark(Mark(request.client_order_id, OrderState.FILLED, "v1"))
    between = view_of(ledger, "XAUUSD")
    assert (between.has_unsettled, between.open_positions, between.open_risk) == (True, 1, 20.0)
    assert ledger.has_exposure("XAUUSD")
    ledger.record_fills("XAUUSD", [fill_of(request)])
    after = view_of(ledger, "XAUUSD")
    assert (after.has_unsettled, after.open_positions, after.open_risk) == (False, 1, 20.0)


def test_view_realised_is_of_the_fills_market_day(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of()).request
    late = T0_MS + DAY_MS - 1
    ledger.record_fills("XAUUSD", [fill_of(request, fee=1.5, market_ms=late), stop_fill(price=90.0)])
    assert view_of(ledger, open_ms=T0_MS).day_realised == pytest.approx(-21.5)
    assert view_of(ledger, open_ms=late).day_realised == pytest.approx(-21.5)
    assert view_of(ledger, open_ms=late + 1).day_realised == 0.0
    assert view_of(ledger, open_ms=late + 1).balance == ledger.balance() == pytest.approx(BALANCE - 21.5)


# orders


@pytest.mark.parametrize("end", ENDED_EMPTY)
def test_mark_ended_without_fill_releases_reservation(ledger: SqlLedger, end: OrderState) -> None:
    request = enter(ledger, request_of()).request
    ledger.mark(Mark(request.client_order_id, OrderState.UNKNOWN))
    assert view_of(ledger).open_risk == 20.0
    ledger.mark(Mark(request.client_order_id, end))
    view = view_of(ledger)
    assert (view.open_positions, view.open_risk) == (0, 0.0)
    assert not ledger.has_exposure("XAUUSD")


@pytest.mark.parametrize("end", FINAL)
def test_mark_after_final_state_changes_nothing(ledger: SqlLedger, end: OrderState) -> None:
    request = enter(ledger, request_of()).request
    ledger.mark(Mark(request.client_order_id, end, "v1"))
    before = (ledger.orders(), view_of(ledger, "XAUUSD"))
    for state in OrderState:
        ledger.mark(Mark(request.client_order_id, state, "v2"))
    assert (ledger.orders(), view_of(ledger, "XAUUSD")) == before
    assert ledger.orders()[0]["state"] == end
    assert ledger.orders()[0]["venue_order_id"] == "v1"


def test_mark_accepted_after_first_fill_stays_partially_filled(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of()).request
    ledger.record_fills("XAUUSD", [fill_of(request, units=0.5)])
    ledger.mark(Mark(request.client_order_id, OrderState.ACCEPTED, "v1"))
    (intent,) = ledger.unsettled("XAUUSD")
    assert intent == Intent(request, OrderState.PARTIALLY_FILLED, "v1", attempt=1, filled_units=0.5)


def test_mark_order_without_intent_is_broken(ledger: SqlLedger) -> None:
    with pytest.raises(Broken, match="never planned"):
        ledger.mark(Mark("nobody-knows", OrderState.ACCEPTED))


def test_unsettled_orders_come_oldest_first_until_final(ledger: SqlLedger) -> None:
    times = [T0_MS, T0_MS + MINUTE_MS, T0_MS + 2 * MINUTE_MS]
    first, second, third = (enter(ledger, request_of(open_ms=open_ms)).request for open_ms in times)
    ledger.mark(Mark(second.client_order_id, OrderState.REJECTED))
    ledger.mark(Mark(third.client_order_id, OrderState.UNKNOWN))
    assert ledger.unsettled("XAUUSD") == [
        Intent(first, OrderState.SUBMITTING, attempt=1),
        Intent(third, OrderState.UNKNOWN, attempt=1),
    ]


# fills


def test_record_fills_entry_opens_protected_position(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of()).request
    fill = fill_of(request, fee=0.25)
    opened = Position("XAUUSD", "trend", 2.0, 100.0, fill.market_ms, -0.25, 90.0, 120.0)
    assert ledger.record_fills("XAUUSD", [fill]) == [(fill, Position("XAUUSD", "trend"), opened)]
    assert ledger.positions() == [opened]
    assert view_of(ledger, "XAUUSD", strategy="trend", open_ms=T0_MS + MINUTE_MS).position == opened
    assert ledger.unsettled("XAUUSD") == []
    assert ledger.fills()[0]["correlation_id"] == f"c{T0_MS}"


def test_record_fills_twice_changes_nothing(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of()).request
    fills = [fill_of(request, fee=1.0), stop_fill(units=0.5)]
    assert len(ledger.record_fills("XAUUSD", fills)) == 2
    before = (ledger.positions(), ledger.orders(), ledger.fills(), view_of(ledger))
    assert ledger.record_fills("XAUUSD", fills) == []
    assert ledger.record_fills("XAUUSD", [fills[1], fills[1]]) == []
    assert (ledger.positions(), ledger.orders(), ledger.fills(), view_of(ledger)) == before


def test_record_fills_in_parts_fills_order_with_the_last(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of(units=0.3)).request
    states = []
    for sequence in (1, 2, 3):
        ledger.record_fills("XAUUSD", [fill_of(request, sequence, units=0.1, price=100.0 + sequence)])
        states.append(ledger.orders()[0]["state"])
    assert states == ["partially_filled", "partially_filled", "filled"]
    (position,) = ledger.positions()
    assert position.units == pytest.approx(0.3)
    assert position.average_price == pytest.approx(102.0)


def test_record_fills_stop_closes_position_and_frees_its_place(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of()).request
    ledger.record_fills("XAUUSD", [fill_of(request)])
    assert ledger.has_exposure("XAUUSD")
    ((_, _, after),) = ledger.record_fills("XAUUSD", [stop_fill()])
    assert after == Position("XAUUSD", "trend", realised=-20.0)
    view = view_of(ledger)
    assert (view.open_positions, view.open_risk) == (0, 0.0)
    assert not ledger.has_exposure("XAUUSD")
    stop, entry = ledger.orders("XAUUSD")
    assert (stop["client_order_id"], stop["leg"], stop["state"], stop["filled_units"]) == (
        "venue-stop",
        "stop_loss",
        "filled",
        2.0,
    )
    assert entry["client_order_id"] == request.client_order_id


def test_record_fills_reverse_moves_reservation_to_new_side(ledger: SqlLedger) -> None:
    ledger.record_fills("XAUUSD", [fill_of(enter(ledger, request_of()).request)])
    open_ms = T0_MS + 5 * MINUTE_MS
    leave = request_of(open_ms=open_ms, leg=Leg.EXIT, side=Side.SELL)
    turn = request_of(open_ms=open_ms, side=Side.SELL, units=1.0)
    judge = accept(Planned(leave), Planned(turn, 7.0))
    ledger.decide("XAUUSD", "trend", open_ms, judge, correlation_id="c2")
    planned = view_of(ledger)
    assert (planned.open_positions, planned.open_risk) == (1, 27.0)
    ledger.mark(
        Mark(leave.client_order_id, OrderState.FILLED), Mark(turn.client_order_id, OrderState.SUBMITTING, claims=1)
    )
    ledger.mark(Mark(turn.client_order_id, OrderState.FILLED))
    booked = ledger.record_fills("XAUUSD", [fill_of(leave, 2, price=110.0), fill_of(turn, 3, price=110.0)])
    assert [after.units for _, _, after in booked] == [0.0, -1.0]
    assert [after.stop_loss for _, _, after in booked] == [None, 90.0]
    turned = view_of(ledger)
    assert (turned.open_positions, turned.open_risk) == (1, 7.0)
    assert ledger.balance() == BALANCE + 20.0


def test_record_fills_single_order_through_flat_releases_old_side(ledger: SqlLedger) -> None:
    ledger.record_fills("XAUUSD", [fill_of(enter(ledger, request_of()).request)])
    turn = enter(ledger, request_of(open_ms=T0_MS + MINUTE_MS, side=Side.SELL, units=3.0), risk=7.0).request
    ledger.record_fills("XAUUSD", [fill_of(turn, 2)])
    view = view_of(ledger)
    assert (view.open_positions, view.open_risk) == (1, 7.0)


def test_mark_canceled_after_part_filled_keeps_that_parts_risk(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of()).request
    ledger.record_fills("XAUUSD", [fill_of(request, units=0.5)])
    assert view_of(ledger).open_risk == 20.0
    ledger.mark(Mark(request.client_order_id, OrderState.CANCELED))
    assert (view_of(ledger).open_positions, view_of(ledger).open_risk) == (1, 5.0)
    ledger.record_fills("XAUUSD", [stop_fill(units=0.5)])
    assert (view_of(ledger).open_positions, view_of(ledger).open_risk) == (0, 0.0)


def test_record_fills_after_cancel_is_booked_and_reserves_again(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of()).request
    ledger.mark(Mark(request.client_order_id, OrderState.CANCELED))
    ledger.record_fills("XAUUSD", [fill_of(request, units=1.0)])
    assert (view_of(ledger).open_positions, view_of(ledger).open_risk) == (1, 10.0)
    assert ledger.orders()[0]["state"] == "canceled"


def test_record_fills_of_another_symbol_is_broken(ledger: SqlLedger) -> None:
    with pytest.raises(Broken, match="is of BTCUSD"):
        ledger.record_fills("XAUUSD", [stop_fill("BTCUSD")])
    assert ledger.fills() == []


def test_reads_are_newest_first_and_limited(ledger: SqlLedger) -> None:
    requests = [enter(ledger, request_of(open_ms=T0_MS + n * MINUTE_MS)).request for n in range(4)]
    ledger.record_fills("XAUUSD", [fill_of(request, n) for n, request in enumerate(requests, 1)])
    newest = [requests[3].client_order_id, requests[2].client_order_id]
    assert [row["client_order_id"] for row in ledger.orders("XAUUSD", limit=2)] == newest
    assert [row["client_order_id"] for row in ledger.fills("XAUUSD", limit=2)] == newest
    assert [row["open_ms"] for row in ledger.decisions(limit=2)] == [T0_MS + 3 * MINUTE_MS, T0_MS + 2 * MINUTE_MS]
    assert (ledger.orders("BTCUSD"), ledger.fills("BTCUSD"), ledger.decisions("BTCUSD")) == ([], [], [])


def test_ledger_reopened_knows_everything(ledger_url: str, engine: Engine, ledger: SqlLedger) -> None:
    ledger.record_fills("XAUUSD", [fill_of(enter(ledger, request_of()).request, fee=0.1)])
    enter(ledger, request_of("BTCUSD"))
    ledger.set_desired("BTCUSD", DesiredState.STOPPED, reason="weekend")
    before = (ledger.positions(), ledger.unsettled("BTCUSD"), ledger.orders(), view_of(ledger))
    engine.dispose()
    reopened_engine = create_engine(ledger_url)
    reopened = SqlLedger(reopened_engine, "main", BALANCE)
    assert (reopened.positions(), reopened.unsettled("BTCUSD"), reopened.orders(), view_of(reopened)) == before
    reopened_engine.dispose()


# races


def limit_of(count: int, planned: Planned) -> Judge:
    """Judge by two account limits: open positions, and 10.0 of risk for each."""

    def judge(view: LedgerView) -> Verdict:
        if view.open_positions >= count or view.open_risk + planned.risk > 10.0 * count:
            return Verdict("max_open_positions", f"{view.open_positions} of {count}", breached=True)
        return Verdict("ok", "", (planned,))

    return judge


def race(url: str, racer: int) -> int:
    """Ask for an entry on each of 10 symbols, 4 at a time, and return how many were accepted."""
    engine = create_engine(url)
    ledger = SqlLedger(engine, "main", BALANCE)

    def ask(symbol: str) -> bool:
        judge = limit_of(5, Planned(request_of(symbol), 10.0))
        return bool(ledger.decide(symbol, "trend", T0_MS, judge, correlation_id=symbol).intents)

    with ThreadPoolExecutor(4) as pool:
        accepted = sum(pool.map(ask, [f"S{racer}-{number}" for number in range(10)]))
    engine.dispose()
    return accepted


def test_decide_processes_racing_never_exceed_account_limits(ledger_url: str, ledger: SqlLedger) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        accepted = list(pool.map(race, itertools.repeat(patient(ledger_url)), range(2)))
    assert sum(accepted) == 5
    view = view_of(ledger)
    assert (view.open_positions, view.open_risk) == (5, 50.0)
    assert [row["breached"] for row in ledger.decisions(limit=50)].count(True) == 15


def test_decide_lock_not_given_in_time_is_transient(ledger_url: str, ledger: SqlLedger) -> None:
    impatience = {"timeout": "0.05"} if ledger_url.startswith("sqlite") else {"options": "-c lock_timeout=50"}
    url = sa.make_url(ledger_url).update_query_dict(impatience).render_as_string(hide_password=False)
    impatient_engine = create_engine(url)
    impatient = SqlLedger(impatient_engine, "main", BALANCE)
    ledger.decide("XAUUSD", "trend", T0_MS - MINUTE_MS, lambda _: REFUSED, correlation_id="c0")

    def judge_under_lock(_: LedgerView) -> Verdict:
        with pytest.raises(Transient, match=r"ledger: .*lock"):
            impatient.decide("BTCUSD", "trend", T0_MS, lambda _: REFUSED, correlation_id="c1")
        assert impatient.fence("XAUUSD") == T0_MS - MINUTE_MS  # reads do not wait
        return REFUSED

    assert ledger.decide("XAUUSD", "trend", T0_MS, judge_under_lock, correlation_id="c2").verdict == REFUSED
    impatient_engine.dispose()


def test_decide_same_candle_racing_is_decided_once(ledger: SqlLedger) -> None:
    judge = accept(Planned(request_of(), 20.0))

    def ask(_: int) -> bool:
        return bool(ledger.decide("XAUUSD", "trend", T0_MS, judge, correlation_id="c").intents)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1
    assert len(ledger.unsettled("XAUUSD")) == 1


def test_record_fills_same_fills_racing_are_booked_once(ledger: SqlLedger) -> None:
    fills = [fill_of(enter(ledger, request_of()).request), stop_fill(units=1.0)]
    with ThreadPoolExecutor(8) as pool:
        booked = list(pool.map(lambda _: ledger.record_fills("XAUUSD", fills), range(8)))
    assert sum(len(new) for new in booked) == 2
    assert [position.units for position in ledger.positions()] == [1.0]


# money

_deals = st.lists(
    st.tuples(
        st.sampled_from(["trend", "reversal"]),
        st.sampled_from(Leg),
        st.sampled_from(Side),
        st.integers(1, 50),
        st.integers(5_000, 15_000),
        st.integers(0, 100),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=12,
)


@given(deals=_deals, cut=st.integers(0, 12))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_record_fills_any_history_conserves_cash_and_position(
    engine: Engine, deals: list[tuple[str, Leg, Side, int, int, int, int]], cut: int
) -> None:
    ledger = SqlLedger(engine, uuid.uuid4().hex, BALANCE)
    fills = [
        Fill(
            n, f"f{n}", f"o{n}", "XAUUSD", strategy, leg, side, units / 10, price / 100, fee / 100, T0_MS + day * DAY_MS
        )
        for n, (strategy, leg, side, units, price, fee, day) in enumerate(deals, 1)
    ]
    ledger.record_fills("XAUUSD", fills[:cut])
    ledger.record_fills("XAUUSD", fills)
    held = {position.strategy: position for position in ledger.positions()}
    for strategy in {fill.strategy for fill in fills}:
        own = [fill for fill in fills if fill.strategy == strategy]
        cash = -sum(fill.side.sign * fill.units * fill.price + fill.fee for fill in own)
        position = held[strategy]
        assert position.units == pytest.approx(sum(fill.side.sign * fill.units for fill in own), abs=1e-6)
        assert cash == pytest.approx(position.realised - position.units * position.average_price, abs=1e-6)
    realised = sum(position.realised for position in held.values())
    days = sum(view_of(ledger, open_ms=T0_MS + day * DAY_MS).day_realised for day in range(4))
    assert realised == pytest.approx(days, abs=1e-6)
    assert ledger.balance() == pytest.approx(BALANCE + realised, abs=1e-6)
    assert realised == pytest.approx(sum(row["realised"] for row in ledger.fills()), abs=1e-6)
