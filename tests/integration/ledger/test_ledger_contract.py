"""The contract of `trading.ports.ledger.Ledger` on SQLite and on a real PostgreSQL."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import migrate
from adapters.ledger.tables import metadata
from tests.fixtures.ledgers import SqlSubject
from tests.fixtures.servers.databases import patient
from trading_orchestrator.testing.contracts.ledger import DurableLedgerContract, LedgerSubject
from trading_orchestrator.testing.contracts.ledger.examples import BALANCE

pytest_plugins = ("tests.fixtures.servers.databases",)


@pytest.fixture(scope="module")
def shared_engine(shared_database_url: str) -> Iterator[Engine]:
    engine = create_engine(patient(shared_database_url))
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def empty_engine(shared_engine: Engine) -> Engine:
    """An engine of a ledger without a row."""
    with shared_engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return shared_engine


class TestSqlLedger(DurableLedgerContract):
    @pytest.fixture
    def make_subject(self, empty_engine: Engine) -> Callable[[], LedgerSubject]:
        names = iter(["main"])

        def make() -> LedgerSubject:
            account = next(names, uuid.uuid4().hex)
            return SqlSubject(SqlLedger(empty_engine, account, BALANCE), account)

        return make
