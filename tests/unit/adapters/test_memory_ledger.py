"""The contract of `trading.ports.Ledger` in memory, as far as a backtest needs it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from adapters.memory import MemoryLedger
from tests.contracts.ledger import BacktestLedgerContract, LedgerSubject
from tests.contracts.ledger.examples import BALANCE
from trading.incidents import Incident, IncidentKind


@dataclass
class MemorySubject:
    account: str = "main"
    ledger: MemoryLedger = field(default_factory=lambda: MemoryLedger("main", BALANCE))

    def resolve(self, incident: Incident) -> None:
        assert incident.kind is IncidentKind.MAX_DRAWDOWN, "a backtest resolves a drawdown only"
        assert incident in self.ledger.incidents_of(incident.symbol)
        self.ledger.clear_drawdown()


class TestMemoryLedger(BacktestLedgerContract):
    @pytest.fixture
    def make_subject(self) -> Callable[[], LedgerSubject]:
        return MemorySubject
