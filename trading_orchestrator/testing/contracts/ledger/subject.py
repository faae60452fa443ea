"""A ledger under test, and the fixtures that each part of the contract shares."""

from collections.abc import Callable
from typing import Protocol

import pytest

from trading.incidents.incident import Incident
from trading.ports.ledger import Ledger


class LedgerSubject(Protocol):
    """An empty ledger with a starting balance of `examples.BALANCE`, and the operator actions outside the port."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def account(self) -> str:
        """Name of the account: order ids are derived from it."""
        ...

    def resolve(self, incident: Incident) -> None:
        """Resolve an open incident as an operator does.

        A ledger without `IncidentHistoryContract` resolves incidents of the kind MAX_DRAWDOWN only.
        """
        ...


class LedgerPart:
    """Fixtures of the contract: a test class gives `make_subject`, whose first ledger has the account `main`."""

    @pytest.fixture
    def make_subject(self) -> Callable[[], LedgerSubject]:
        raise NotImplementedError("define the fixture make_subject in the test class")

    @pytest.fixture
    def subject(self, make_subject: Callable[[], LedgerSubject]) -> LedgerSubject:
        return make_subject()

    @pytest.fixture
    def ledger(self, subject: LedgerSubject) -> Ledger:
        return subject.ledger
