"""Risk decisions: the orders that a signal may create. The ledger evaluates them under its lock and records them."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from trading.incidents.incident import Incident
from trading.lifecycle import DesiredState
from trading.orders.orders import OrderRequest
from trading.portfolio.drawdown import HighWaterMark
from trading.portfolio.positions import Position
from trading.portfolio.trades import TradesSince, no_trades
from trading.risk.open_book import OpenBook
from trading.strategies.signal import Signal
from trading.structs import EqualIgnoringLastField
from trading.trading_state import Permissions, permissions


class AccountSnapshot(EqualIgnoringLastField, frozen=True, eq=False):
    """The account as a decision sees it, read under the account's lock.

    Attributes:
        position: Position of the signal's strategy on its symbol.
        has_unsettled: An order of this symbol is in flight or its outcome is unknown.
        has_unsettled_exit: One of those is an exit of the signal's strategy: a second exit could reverse its position.
        halted: Reason of an incident that an operator must resolve before any order of the symbol; None for none.
        open_positions: Open positions of the account, plus pending entries.
        open_risk: Total loss at all stops of the account, in quote currency, including pending entries; the whole value
            of a position whose stop is not at the venue.
        open_notional: Value of all open or pending entries, at their decision prices, in quote currency.
        day_realised: Profit realised on the account's day of the decision, in quote currency; negative is a loss.
        balance: Starting balance plus all realised profit, in quote currency.
        quarantined: Reason of the symbol's quarantine; None if it is not quarantined.
        unprotected: Reason of an incident of a position of the symbol without its stop at the venue; None for none.
        symbol_notional: Part of `open_notional` that belongs to the signal's symbol.
        peak_balance: Highest balance since a drawdown was cleared, in quote currency; 0.0 if unknown.
        drawdown: Deepest fall of the balance since then, as a fraction of the peak.
        latched: Reason why no symbol enters until an operator has reviewed the account; None for none.
        spread: Ask minus bid as the venue reported just before, in quote currency; None if not requested.
        books: Open positions and pending entries of the account, each with the latest known price.
        is_bounded: Leverage, equity, costs and the risk without a stop are checked; False only where a replay repeats a
            decision of a version that did not check them.
        trades_since: Read closed trades of the account, under the same lock; called only if a rule needs them.
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
    unprotected: str | None = None
    symbol_notional: float = 0.0
    peak_balance: float = 0.0
    drawdown: float = 0.0
    latched: str | None = None
    spread: float | None = None
    books: tuple[OpenBook, ...] = ()
    is_bounded: bool = True
    trades_since: TradesSince = no_trades

    @property
    def permissions(self) -> Permissions:
        """Actions that the symbol's state allows now."""
        return permissions(
            self.desired,
            halted=self.halted,
            quarantined=self.quarantined,
            unprotected=self.unprotected,
            latched=self.latched,
        )

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Symbols of open positions without a known price."""
        return tuple(sorted({book.symbol for book in self.books if not book.is_priced}))

    @property
    def equity(self) -> float | None:
        """Balance plus the profit of all open positions at the latest prices; None if one of the prices is unknown."""
        if self.unpriced:
            return None
        return self.balance + math.fsum(book.unrealised for book in self.books)

    @property
    def high_water(self) -> HighWaterMark:
        """Peak and deepest fall of the balance, including the present balance."""
        return HighWaterMark(self.peak_balance, self.drawdown).after(self.balance)


class PlannedOrder(Struct, frozen=True):
    """An order to record, and the amount of the account that it reserves until it is settled.

    Attributes:
        risk: Loss at the stop with the known costs, in quote currency; the whole value of an entry without a stop.
    """

    request: OrderRequest
    risk: float = 0.0

    @property
    def notional(self) -> float:
        """Value of the order at its decision price, in quote currency; see `OrderRequest.notional`."""
        return self.request.notional


WITHOUT_EFFECT = frozenset({"nothing_to_close", "position_open"})
"""Rules by which a signal asks for what is so already: summaries count them apart from refusals."""

OK = "ok"
"""The rule of a decision that all rules accepted."""


Field = float | str | None
"""A value that a rule compared."""


class Check(Struct, frozen=True):
    """The check of one rule for a signal.

    Attributes:
        rule: Name of the rule, as in `RiskDecision.rule` for a rejection.
        is_met: The rule accepts the signal.
        reason: Explanation, with the values compared.
        fields: The values compared by name, for programs; empty for the rules that only explain themselves.
    """

    rule: str
    is_met: bool
    reason: str
    fields: Mapping[str, Field] = {}


def checks_of(rows: Iterable[Mapping[str, Any]] | None) -> tuple[Check, ...]:
    """Return recorded checks from their JSON; a version before 0010 recorded none of their fields."""
    return tuple(Check(one["rule"], one["is_met"], one["reason"], one.get("fields", {})) for one in rows or ())


class RiskDecision(EqualIgnoringLastField, frozen=True, eq=False):
    """The decision of the rules about a signal.

    Attributes:
        rule: The rule that decided, `OK` if all rules accepted.
        breached: A limit of positions or losses was the reason.
        incident: Incident to open, recorded together with the decision.
        exit_rule: Id of the exit rule that requested the exit; empty for none.
        checks: Each checked rule, in order, up to the one that rejected; those of a reversal's exit first. Equality of
            decisions ignores this field.
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


SignalEvaluator = Callable[[AccountSnapshot, Signal], RiskDecision]
"""The risk rules of a symbol: decides on a signal by the state of the account."""
