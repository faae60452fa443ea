"""What every ledger must do, wherever it keeps things: subclass the contracts, and give them `make_subject`.

`LedgerContract` is what each implementation of `trading.ports.ledger.Ledger` does. A capability that a ledger may lack
has a contract of its own, and a counterpart that says what such a ledger does instead; each implementation runs one of
them:

- `LateFillContract`, `LateFillAbsentContract`: the venue of a backtest is in its process and shows fills in order.
- `FlattenContract`, `FlattenAbsentContract`: closing without a signal needs an operator, a backtest has none.
- `QuarantineContract`, `QuarantineAbsentContract`: likewise.
- `IncidentPublishingContract`, `IncidentPublishingAbsentContract`: no event leaves a backtest.
- `IncidentHistoryContract`: likewise needs an operator; without it `LedgerSubject.resolve` clears a drawdown only.
"""

from tests.contracts.ledger.decision_log import DecisionLogContract, FlattenAbsentContract, FlattenContract
from tests.contracts.ledger.fills import FillContract, LateFillAbsentContract, LateFillContract
from tests.contracts.ledger.incident_log import (
    IncidentHistoryContract,
    IncidentLogContract,
    IncidentPublishingAbsentContract,
    IncidentPublishingContract,
)
from tests.contracts.ledger.order_log import ClaimContract, OrderReadContract, OrderStateContract
from tests.contracts.ledger.positions import AccountViewContract, DrawdownContract, PositionContract
from tests.contracts.ledger.stop_log import StopMoveContract, StopReadContract, StopRefusalContract
from tests.contracts.ledger.subject import LedgerSubject
from tests.contracts.ledger.symbol_controls import DesiredStateContract, QuarantineAbsentContract, QuarantineContract

__all__ = ["BacktestLedgerContract", "DurableLedgerContract", "LedgerContract", "LedgerSubject"]


class LedgerContract(
    DecisionLogContract,
    ClaimContract,
    OrderStateContract,
    OrderReadContract,
    FillContract,
    StopMoveContract,
    StopRefusalContract,
    StopReadContract,
    IncidentLogContract,
    DesiredStateContract,
    PositionContract,
    AccountViewContract,
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
    """For a ledger of a backtest: it says loudly where it cannot do something, or has nothing to do."""
