"""The contract of a ledger: subclass one of the contracts below, and define the fixture `make_subject`.

`LedgerContract` is what each implementation of `trading.ports.ledger.Ledger` does. A capability that a ledger may lack
has a contract of its own, and a counterpart that says what such a ledger does instead; each implementation runs one of
them:

- `LateFillContract`, `LateFillAbsentContract`: the venue of a backtest is in its process and shows fills in order.
- `FlattenContract`, `FlattenAbsentContract`: closing without a signal needs an operator, a backtest has none.
- `QuarantineContract`, `QuarantineAbsentContract`: likewise.
- `IncidentPublishingContract`, `IncidentPublishingAbsentContract`: no event leaves a backtest.
- `IncidentHistoryContract`: likewise needs an operator; without it `LedgerSubject.resolve` clears a drawdown only.
"""

from trading_orchestrator.testing.contracts.ledger.decision_log import (
    DecisionLogContract,
    FlattenAbsentContract,
    FlattenContract,
)
from trading_orchestrator.testing.contracts.ledger.equity_sizes import EquitySizeContract
from trading_orchestrator.testing.contracts.ledger.fills import FillContract, LateFillAbsentContract, LateFillContract
from trading_orchestrator.testing.contracts.ledger.incident_log import (
    IncidentHistoryContract,
    IncidentLogContract,
    IncidentPublishingAbsentContract,
    IncidentPublishingContract,
)
from trading_orchestrator.testing.contracts.ledger.open_books import OpenBookContract
from trading_orchestrator.testing.contracts.ledger.order_log import ClaimContract, OrderReadContract, OrderStateContract
from trading_orchestrator.testing.contracts.ledger.positions import (
    AccountViewContract,
    DrawdownContract,
    PositionContract,
)
from trading_orchestrator.testing.contracts.ledger.stop_log import (
    StopMoveContract,
    StopReadContract,
    StopRefusalContract,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerSubject
from trading_orchestrator.testing.contracts.ledger.symbol_controls import (
    DesiredStateContract,
    QuarantineAbsentContract,
    QuarantineContract,
)

__all__ = ["BacktestLedgerContract", "DurableLedgerContract", "LedgerContract", "LedgerSubject"]


class LedgerContract(
    DecisionLogContract,
    ClaimContract,
    OrderStateContract,
    OrderReadContract,
    EquitySizeContract,
    FillContract,
    StopMoveContract,
    StopRefusalContract,
    StopReadContract,
    IncidentLogContract,
    DesiredStateContract,
    PositionContract,
    AccountViewContract,
    OpenBookContract,
    DrawdownContract,
):
    """The promises of `trading.ports.ledger.Ledger` that no implementation may leave out."""


class DurableLedgerContract(
    LedgerContract,
    LateFillContract,
    FlattenContract,
    QuarantineContract,
    IncidentPublishingContract,
    IncidentHistoryContract,
):
    """For a ledger of a live account: it has every capability."""


class BacktestLedgerContract(
    LedgerContract,
    LateFillAbsentContract,
    FlattenAbsentContract,
    QuarantineAbsentContract,
    IncidentPublishingAbsentContract,
):
    """For a ledger of a backtest: a call that it does not support raises, or does nothing."""
