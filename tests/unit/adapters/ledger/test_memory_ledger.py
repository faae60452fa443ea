"""The contract of `trading.ports.ledger.Ledger` in memory, as far as a backtest needs it."""

from collections.abc import Callable

import pytest

from tests.fixtures.ledgers import MemorySubject
from trading_orchestrator.testing.contracts.ledger import BacktestLedgerContract, LedgerSubject


class TestMemoryLedger(BacktestLedgerContract):
    @pytest.fixture
    def make_subject(self) -> Callable[[], LedgerSubject]:
        return MemorySubject
