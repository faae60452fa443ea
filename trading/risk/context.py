"""The context of one risk decision: the signal, the account, the settings, and the rules checked so far."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from trading.market.timeframes import Timeframe
from trading.orders.equity_size import EquitySize
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import Side
from trading.portfolio.positions import Position
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.open_book import OpenBook
from trading.risk.protections import Protection
from trading.risk.sizing import BracketPrices
from trading.risk.verdict import AccountSnapshot, Check, Field, RiskDecision
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace

T = TypeVar("T")
NO_COSTS = FillTerms()


class RiskContext(Struct):
    """A signal, the state that it is judged by, and the rules checked so far; it lives for one decision.

    Attributes:
        terms: The known costs of the venue.
    """

    view: AccountSnapshot
    signal: Signal
    symbol: str
    timeframe: str
    account: AccountLimits
    limits: RiskLimits
    protections: Sequence[Protection] = ()
    timeframes: Mapping[str, Timeframe] = {}
    terms: FillTerms = NO_COSTS
    checks: list[Check] = []

    @property
    def side(self) -> Side:
        return Side.BUY if self.signal.side is SignalSide.BUY else Side.SELL

    @property
    def position(self) -> Position:
        return self.view.position

    @property
    def costs(self) -> FillTerms:
        """The known costs, with the quoted spread where it is wider; none where a replay must not count them."""
        if not self.view.is_bounded:
            return NO_COSTS
        quoted = self.view.spread
        return replace(self.terms, spread=quoted) if quoted is not None and quoted > self.terms.spread else self.terms

    @property
    def own_book(self) -> OpenBook:
        """The book of the signal's strategy; empty if it has no position and no pending entry."""
        strategy = self.signal.strategy
        found = (one for one in self.view.books if (one.symbol, one.strategy) == (self.symbol, strategy))
        return next(found, OpenBook(self.symbol, strategy))

    def money(self, amount: float, sign: str = "") -> str:
        """Format an amount with the decimals of the account's currency; `sign` "+" shows the sign of a profit too."""
        return f"{amount:{sign}.{self.account.money_decimals}f}"

    def check(
        self, rule: str, reason: str, *, is_met: bool, breached: bool = False, fields: Mapping[str, Field] | None = None
    ) -> RiskDecision | None:
        """Record the check of a rule, and return the rejection if the rule is not met."""
        self.checks.append(Check(rule, is_met, reason, fields or {}))
        return None if is_met else RiskDecision(rule, reason, breached=breached)


class Entry(Struct):
    """An entry with its prices and size.

    Attributes:
        units: After all cuts and rounding.
        wanted: Size before it was cut to the leverage that is left; equal to `units` if it was not cut.
        risk: Loss at the stop with the known costs, in quote currency; the whole value without a stop.
        notional: Value at the decision price, in quote currency; if the fill decides the units, the value that they may
            reach.
        equity_size: The part of the equity that it invests; None if its size does not depend on the equity.
        is_sized_at_fill: The venue computes the units from `equity_size`, at the price of the fill.
    """

    levels: BracketPrices
    units: float
    wanted: float
    risk: float
    notional: float
    equity_size: EquitySize | None = None
    is_sized_at_fill: bool = False


def first_refusal(
    rules: Sequence[Callable[[RiskContext, T], RiskDecision | None]], context: RiskContext, what: T
) -> RiskDecision | None:
    """Return the rejection by the first rule that is not met; None if all are met."""
    for rule in rules:
        if refused := rule(context, what):
            return refused
    return None
