"""Risk: what a decision may do to the account. The ledger calls `judge` under its lock and writes what it says."""

from dataclasses import dataclass

from trading.incidents import Incident
from trading.lifecycle import DesiredState
from trading.orders import OrderRequest
from trading.positions import Position


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What a decision may depend on, read under the account's lock.

    Attributes:
        position: Of the signal's strategy on its symbol.
        has_unsettled: An order of this symbol is on its way or its outcome is not known.
        has_unsettled_exit: One of those is an exit: a second one could turn the position.
        halted: Why a person must look before any order of the symbol; None for nothing.
        open_positions: Open positions of the account, plus entries that are on their way.
        open_risk: What all stops of the account would lose together, in quote currency, pending entries counted.
        open_notional: Value of all entries that are open or on their way, at the prices decided on, in quote currency.
        day_realised: Profit realised on the signal's UTC market day, in quote currency; negative is a loss.
        balance: Starting balance plus all realised profit, in quote currency.
        quarantined: Why the symbol was set aside; None where it was not.
    """

    desired: DesiredState
    position: Position
    has_unsettled: bool
    open_positions: int
    open_risk: float
    day_realised: float
    balance: float
    has_unsettled_exit: bool = False
    halted: str | None = None
    open_notional: float = 0.0
    quarantined: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """An order to write down, and what it reserves of the account until it is settled.

    Attributes:
        risk: Loss at the stop, in quote currency; 0.0 without a stop.
    """

    request: OrderRequest
    risk: float = 0.0

    @property
    def notional(self) -> float:
        """Value of the order at the price decided on, in quote currency."""
        return self.request.units * self.request.reference_price


OK = "ok"
"""The rule of a verdict to which all rules agreed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of a signal.

    Attributes:
        rule: The rule that decided, `OK` when all of them agreed.
        breached: An account limit stood in the way.
        incident: What a person must hear of with it; written down together with the decision.
    """

    rule: str
    reason: str
    planned: tuple[Planned, ...] = ()
    breached: bool = False
    incident: Incident | None = None

    @property
    def is_accepted(self) -> bool:
        return bool(self.planned)
