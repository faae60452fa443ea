"""Risk: what a decision may do to the account. The ledger calls `judge` under its lock and writes what it says."""

from msgspec import Struct

from trading.incidents.incident import Incident
from trading.lifecycle import DesiredState
from trading.orders.orders import OrderRequest
from trading.portfolio.drawdown import HighWaterMark
from trading.portfolio.positions import Position
from trading.portfolio.trades import TradesSince, no_trades
from trading.structs import EqualIgnoringLastField
from trading.trading_state import Permissions, permissions


class AccountSnapshot(EqualIgnoringLastField, frozen=True, eq=False):
    """What a decision may depend on, read under the account's lock.

    Attributes:
        position: Of the signal's strategy on its symbol.
        has_unsettled: An order of this symbol is on its way or its outcome is not known.
        has_unsettled_exit: One of those is an exit of the signal's strategy: a second one could turn its position.
        halted: Why a person must look before any order of the symbol; None for nothing.
        open_positions: Open positions of the account, plus entries that are on their way.
        open_risk: What all stops of the account would lose together, in quote currency, pending entries counted.
        open_notional: Value of all entries that are open or on their way, at the prices decided on, in quote currency.
        day_realised: Profit realised on the signal's UTC market day, in quote currency; negative is a loss.
        balance: Starting balance plus all realised profit, in quote currency.
        quarantined: Why the symbol was quarantined; None where it was not.
        symbol_notional: That part of `open_notional` which is of the signal's symbol.
        peak_balance: Highest balance since a drawdown was cleared, in quote currency; 0.0 where none is known.
        drawdown: Deepest fall of the balance since then, as a fraction of the peak that it fell from.
        latched: Why no symbol enters until a person has looked at the account; None for nothing.
        spread: Ask minus bid as the venue told just before, in quote currency; None where nobody asked.
        trades_since: Reads closed trades of the account, under the same lock; asked only where a rule needs them.
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
    symbol_notional: float = 0.0
    peak_balance: float = 0.0
    drawdown: float = 0.0
    latched: str | None = None
    spread: float | None = None
    trades_since: TradesSince = no_trades

    @property
    def permissions(self) -> Permissions:
        """What the symbol may do now."""
        return permissions(self.desired, halted=self.halted, quarantined=self.quarantined, latched=self.latched)

    @property
    def high_water(self) -> HighWaterMark:
        """How far the balance has fallen, this moment included."""
        return HighWaterMark(self.peak_balance, self.drawdown).after(self.balance)


class PlannedOrder(Struct, frozen=True):
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


class Check(Struct, frozen=True):
    """One rule that was asked about a signal.

    Attributes:
        rule: Name of the rule, as in `RiskDecision.rule` where it refused.
        is_met: The rule had nothing against it.
        reason: Why, in words with the numbers.
    """

    rule: str
    is_met: bool
    reason: str


class RiskDecision(EqualIgnoringLastField, frozen=True, eq=False):
    """What the rules say of a signal.

    Attributes:
        rule: The rule that decided, `OK` when all of them agreed.
        breached: A limit of what may be held or lost stood in the way.
        incident: What a person must hear of with it; written down together with the decision.
        exit_rule: Id of the exit rule that asked for the exit; empty where none did.
        checks: Each rule that was asked, in order, up to the one that refused; those of a reversal's exit first. They
            are the way to the verdict: two that came to the same are equal.
    """

    rule: str
    reason: str
    planned: tuple[PlannedOrder, ...] = ()
    breached: bool = False
    incident: Incident | None = None
    exit_rule: str = ""
    checks: tuple[Check, ...] = ()

    @property
    def is_accepted(self) -> bool:
        return bool(self.planned)
