"""The ledgers in SQL and in memory, driven by the same random calls: each answer and each reading is the same."""

import uuid
from typing import Any

from hypothesis import HealthCheck, given, settings
from sqlalchemy.engine import Engine

from adapters.ledger.ledger import SqlLedger
from tests.fixtures.ledgers import MemorySubject, SqlSubject
from trading_orchestrator.testing.contracts.ledger.examples import BALANCE
from trading_orchestrator.testing.contracts.ledger.sequences import CALLS, Driver

pytest_plugins = ("tests.fixtures.servers.databases",)


@given(calls=CALLS)
@settings(max_examples=12, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ledgers_of_the_same_calls_give_the_same_answers(engine: Engine, calls: list[tuple[Any, ...]]) -> None:
    account = uuid.uuid4().hex
    sql, memory = Driver(SqlSubject(SqlLedger(engine, account, BALANCE), account)), Driver(MemorySubject(account))

    for call in calls:
        assert memory.play(call) == sql.play(call), f"they differ after {call}"
