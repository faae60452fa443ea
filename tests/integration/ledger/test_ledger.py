"""The ledger in SQL beside its port: rows, accounts, races and locks, on SQLite and on a real PostgreSQL."""

import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from tests.fixtures.servers.databases import patient
from trading.errors import Transient
from trading.lifecycle import DesiredState
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Fill, Leg, OrderState, Side
from trading.portfolio.positions import Position
from trading.ports.ledger import DecisionResult
from trading.risk.verdict import AccountSnapshot, PlannedOrder, RiskDecision
from trading_orchestrator.testing.contracts.ledger.examples import (
    BALANCE,
    FINAL,
    MINUTE_MS,
    REFUSED,
    T0_MS,
    SignalEvaluator,
    accept,
    enter,
    fill_of,
    request_of,
    view_of,
)

pytest_plugins = ("tests.fixtures.servers.databases",)


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, "main", BALANCE)


def stop_fill(symbol: str = "XAUUSD", sequence: int = 2, *, units: float = 2.0, price: float = 90.0) -> Fill:
    market_ms = T0_MS + 5 * MINUTE_MS
    leg, side = Leg.STOP_LOSS, Side.SELL
    return Fill(sequence, f"fill-{sequence}", "venue-stop", symbol, "trend", leg, side, units, price, 0.0, market_ms)


# decide


def test_decide_rejected_moves_fence_and_keeps_reason(ledger: SqlLedger) -> None:
    verdict = RiskDecision("max_open_positions", "3 of 3", breached=True)
    assert ledger.decide("XAUUSD", "trend", T0_MS, lambda _: verdict, correlation_id="c1") == DecisionResult(verdict)
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


def test_decide_dry_run_is_a_row_of_its_own_kind(ledger: SqlLedger) -> None:
    evaluate = accept(PlannedOrder(request_of(), 20.0))
    ledger.decide("XAUUSD", "trend", T0_MS, evaluate, correlation_id="c1", dry_run=True)
    assert (ledger.decisions()[0]["outcome"], ledger.orders()) == ("dry", [])


def test_accounts_in_one_database_do_not_see_each_other(engine: Engine, ledger: SqlLedger) -> None:
    enter(ledger, request_of())
    ledger.record_fills("XAUUSD", [fill_of(request_of(), fee=1.0)])
    ledger.set_desired("XAUUSD", DesiredState.PAUSED, reason="mine")
    other = SqlLedger(engine, "other", 500.0)
    assert view_of(other, "XAUUSD") == AccountSnapshot(
        DesiredState.RUNNING, Position("XAUUSD", "probe"), False, 0, 0.0, 0.0, 500.0, peak_balance=500.0
    )
    assert (other.positions(), other.fills(), other.orders(), other.decisions()) == ([], [], [], [])
    assert other.fills_from("XAUUSD") == 0


# orders


@pytest.mark.parametrize("end", FINAL)
def test_mark_after_final_state_changes_no_row(ledger: SqlLedger, end: OrderState) -> None:
    request = enter(ledger, request_of()).request
    ledger.mark(OrderUpdate(request.client_order_id, end, "v1"))
    before = ledger.orders()
    for state in OrderState:
        ledger.mark(OrderUpdate(request.client_order_id, state, "v2"))
    assert ledger.orders() == before
    assert (before[0]["state"], before[0]["venue_order_id"]) == (end, "v1")


# fills


def test_record_fills_twice_changes_nothing(ledger: SqlLedger) -> None:
    request = enter(ledger, request_of()).request
    fills = [fill_of(request, fee=1.0), stop_fill(units=0.5)]
    assert len(ledger.record_fills("XAUUSD", fills)) == 2
    before = (ledger.positions(), ledger.orders(), ledger.fills(), view_of(ledger))
    assert ledger.record_fills("XAUUSD", fills) == []
    assert ledger.record_fills("XAUUSD", [fills[1], fills[1]]) == []
    assert (ledger.positions(), ledger.orders(), ledger.fills(), view_of(ledger)) == before


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


def limit_of(count: int, planned: PlannedOrder) -> SignalEvaluator:
    """Judge by two account limits: open positions, and 10.0 of risk for each."""

    def judge(view: AccountSnapshot) -> RiskDecision:
        if view.open_positions >= count or view.open_risk + planned.risk > 10.0 * count:
            return RiskDecision("max_open_positions", f"{view.open_positions} of {count}", breached=True)
        return RiskDecision("ok", "", (planned,))

    return judge


def race(url: str, racer: int) -> int:
    """Ask for an entry on each of 10 symbols, 4 at a time, and return how many were accepted."""
    engine = create_engine(url)
    ledger = SqlLedger(engine, "main", BALANCE)

    def decide_once(symbol: str) -> bool:
        evaluate = limit_of(5, PlannedOrder(request_of(symbol), 10.0))
        return bool(ledger.decide(symbol, "trend", T0_MS, evaluate, correlation_id=symbol).intents)

    with ThreadPoolExecutor(4) as pool:
        accepted = sum(pool.map(decide_once, [f"S{racer}-{number}" for number in range(10)]))
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

    def judge_under_lock(_: AccountSnapshot) -> RiskDecision:
        with pytest.raises(Transient, match=r"ledger: .*lock"):
            impatient.decide("BTCUSD", "trend", T0_MS, lambda _: REFUSED, correlation_id="c1")
        assert impatient.fence("XAUUSD") == T0_MS - MINUTE_MS  # reads do not wait
        return REFUSED

    assert ledger.decide("XAUUSD", "trend", T0_MS, judge_under_lock, correlation_id="c2").verdict == REFUSED
    impatient_engine.dispose()


def test_decide_same_candle_racing_is_decided_once(ledger: SqlLedger) -> None:
    evaluate = accept(PlannedOrder(request_of(), 20.0))

    def decide_once(_: int) -> bool:
        return bool(ledger.decide("XAUUSD", "trend", T0_MS, evaluate, correlation_id="c").intents)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(decide_once, range(8))) == 1
    assert len(ledger.unsettled("XAUUSD")) == 1


def test_record_fills_same_fills_racing_are_booked_once(ledger: SqlLedger) -> None:
    fills = [fill_of(enter(ledger, request_of()).request), stop_fill(units=1.0)]
    with ThreadPoolExecutor(8) as pool:
        booked = list(pool.map(lambda _: ledger.record_fills("XAUUSD", fills), range(8)))
    assert sum(len(new) for new in booked) == 2
    assert [position.units for position in ledger.positions()] == [1.0]
