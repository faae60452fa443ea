"""Fences that an operator sets, and the key of the messages, on SQLite and on a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.engine import Engine

from adapters.ledger.admin.fences import CURSOR, FenceChange, FenceReset
from adapters.ledger.admin.message_key import KEY_BYTES
from adapters.ledger.audit.invariants import check_rules
from adapters.ledger.audit.recompute import Difference, Findings
from adapters.ledger.ledger import SqlLedger
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading_orchestrator.testing.contracts.ledger.examples import (
    BALANCE,
    SECOND,
    STRATEGY,
    SYMBOL,
    at,
    decide,
    enter,
    request_of,
)

pytest_plugins = ("tests.fixtures.servers.databases",)

FUTURE_MS = 7_258_118_400_000
REFUSED = RiskDecision("test", "refused")


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, "main", BALANCE)


def set_back(ledger: SqlLedger, to_ms: int, cursor_ms: int | None = FUTURE_MS) -> list[FenceChange]:
    request = FenceReset(SYMBOL, to_ms, "a forged candle", "trader")
    return ledger.reset_fences(request, cursor_ms=cursor_ms)


def test_reset_sets_each_fence_and_records_what_it_was(ledger: SqlLedger) -> None:
    decide(ledger, FUTURE_MS)
    decide(ledger, at(1), strategy=SECOND)

    changes = set_back(ledger, at(1))

    assert changes == [FenceChange(CURSOR, FUTURE_MS, at(1)), FenceChange(STRATEGY, FUTURE_MS, at(1))]
    assert ledger.fences_of(SYMBOL) == {STRATEGY: at(1), SECOND: at(1)}
    newest, _ = ledger.fence_resets(SYMBOL)
    assert (newest["strategy"], newest["before_ms"], newest["after_ms"]) == (STRATEGY, FUTURE_MS, at(1))
    assert (newest["reason"], newest["by"]) == ("a forged candle", "trader")


def test_reset_to_where_everything_stands_changes_and_records_nothing(ledger: SqlLedger) -> None:
    decide(ledger, at(1))

    assert set_back(ledger, at(1), cursor_ms=at(1)) == []
    assert ledger.fence_resets(SYMBOL) == []


def test_symbol_decides_again_after_a_reset_and_never_twice_on_one_candle(ledger: SqlLedger) -> None:
    intent = enter(ledger, request_of())
    decide(ledger, FUTURE_MS)
    assert decide(ledger, at(1)).verdict is None
    set_back(ledger, at(-10))

    again = decide(ledger, at(0))
    assert (again.verdict, again.intents) == (None, ())
    assert again.earlier is not None
    assert decide(ledger, at(1)).verdict is not None
    assert ledger.fence(SYMBOL) == ledger.fences()[SYMBOL] == at(1)
    assert [one.request for one in ledger.unsettled(SYMBOL)] == [intent.request]


def test_flatten_after_a_reset_is_decided_at_the_present(ledger: SqlLedger) -> None:
    decide(ledger, FUTURE_MS)
    set_back(ledger, at(5))
    seen: list[int] = []

    def refuse(_: AccountSnapshot, decision_ms: int) -> RiskDecision:
        seen.append(decision_ms)
        return REFUSED

    ledger.flatten(SYMBOL, STRATEGY, at(5), refuse, correlation_id="c")

    assert seen == [at(5) + 1]


def test_verify_accepts_a_fence_that_an_operator_set_and_no_other(ledger: SqlLedger, engine: Engine) -> None:
    decide(ledger, FUTURE_MS)
    set_back(ledger, at(5))
    assert faults(engine) == []
    decide(ledger, at(6))
    assert faults(engine) == []

    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE fences SET open_ms = {at(1)}")
    assert len(faults(engine)) == 1


def faults(engine: Engine) -> list[Difference]:
    findings = Findings()
    with engine.connect() as connection:
        check_rules(connection, findings, lambda _: None)
    return findings.differences


def test_message_key_is_made_once_and_is_the_same_for_all(ledger: SqlLedger, engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = set(pool.map(lambda _: SqlLedger(engine, "main", BALANCE).message_key(), range(8)))

    assert keys == {ledger.message_key()}
    assert len(ledger.message_key()) == KEY_BYTES
    assert SqlLedger(engine, "other", BALANCE).message_key() not in keys
