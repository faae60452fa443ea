"""A symbol that is quarantined, in the ledger, on SQLite and on a real PostgreSQL: it opens nothing, and closes."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from sqlalchemy.engine import Engine

from adapters.ledger.ledger import SqlLedger
from trading.incidents.incident import IncidentKind
from trading.lifecycle import DesiredState, PositionPolicy
from trading.orders.intents import OrderUpdate
from trading.orders.orders import OrderState
from trading.risk.rules import AccountLimits, RiskLimits, evaluate_signal
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.strategies.signal import Signal, SignalSide
from trading_orchestrator.testing.contracts.ledger.examples import BALANCE, MINUTE_MS, T0_MS

pytest_plugins = ("tests.fixtures.servers.databases",)

ACCOUNT = AccountLimits(name="main", starting_balance=BALANCE)
LIMIT_S = 60.0


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, "main", BALANCE)


def set_aside(ledger: SqlLedger, policy: PositionPolicy = "hold") -> bool:
    return ledger.set_quarantine("XAUUSD", policy, cause="no-progress", reason="no candle for an hour")


def decide(
    ledger: SqlLedger, open_ms: int, side: SignalSide = SignalSide.BUY, *, strategy: str = "trend"
) -> RiskDecision:
    """Have the real rules judge a signal."""
    signal = Signal(strategy=strategy, open_ms=open_ms, side=side, price=100.0, reason="asked for by a test")

    def say(view: AccountSnapshot) -> RiskDecision:
        return evaluate_signal(
            view, signal, symbol="XAUUSD", timeframe="1m", account=ACCOUNT, limits=RiskLimits(units=1.0)
        )

    decided = ledger.decide("XAUUSD", strategy, open_ms, say, correlation_id="c")
    assert decided.verdict is not None
    return decided.verdict


def test_set_quarantine_racing_is_set_once(ledger: SqlLedger) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: set_aside(ledger), range(16))).count(True) == 1


def test_clear_quarantine_keeps_the_row_with_the_reason(ledger: SqlLedger) -> None:
    set_aside(ledger)
    assert ledger.clear_quarantine("XAUUSD", reason="the feed is back")

    (row,) = ledger.incidents("XAUUSD", only_open=False)
    assert (row["kind"], row["resolution"]) == (IncidentKind.QUARANTINED, "the feed is back")


def test_resolve_incident_of_a_quarantine_ends_it(ledger: SqlLedger) -> None:
    set_aside(ledger)
    (row,) = ledger.incidents("XAUUSD")
    resolved = ledger.resolve_incident(row["id"], "looked at it")

    assert resolved is not None
    assert resolved["resolution"] == "looked at it"
    assert ledger.quarantine("XAUUSD") is None
    assert set_aside(ledger, "alert")


def test_after_set_quarantine_has_returned_no_new_entry_appears_whoever_decides(ledger: SqlLedger) -> None:
    """Four threads ask for entries, each for a strategy of its own, while the symbol is quarantined."""
    tries, is_over = [0, 0, 0, 0], threading.Event()

    def decide_entry(number: int) -> None:
        for at in count():
            if is_over.is_set():
                return
            verdict = decide(ledger, T0_MS + at * MINUTE_MS, strategy=f"s{number}")
            for order in verdict.planned:
                ledger.mark(OrderUpdate(order.request.client_order_id, OrderState.CANCELED))
            tries[number] += 1

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(decide_entry, number) for number in range(4)]
        try:
            _until(lambda: all(number >= 3 for number in tries))
            set_aside(ledger)
            frozen = entries(ledger)
            seen = list(tries)
            _until(lambda: all(now >= before + 3 for now, before in zip(tries, seen, strict=True)))
        finally:
            is_over.set()
        for one in asking:
            one.result()

    assert entries(ledger) == frozen
    assert len(frozen) >= 3  # others were on their way meanwhile
    assert {row["rule"] for row in ledger.decisions(limit=8)} == {"quarantined"}


def test_decision_stands_with_the_state_that_it_was_made_in(ledger: SqlLedger) -> None:
    decide(ledger, 1)
    set_aside(ledger)
    why = ledger.incidents("XAUUSD")[0]["reason"]
    decide(ledger, 2)
    ledger.set_desired("XAUUSD", DesiredState.PAUSED, reason="by the test")
    decide(ledger, 3)

    found = [(row["desired"], row["halted"], row["quarantined"]) for row in ledger.decisions("XAUUSD")[::-1]]
    assert found == [("running", None, None), ("running", None, why), ("paused", None, why)]


def entries(ledger: SqlLedger) -> set[str]:
    return {row["client_order_id"] for row in ledger.orders(limit=100_000) if row["leg"] == "entry"}


def _until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "it does not come"
        time.sleep(0.005)
