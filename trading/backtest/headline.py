"""The headline of a candle: its outcome as a value and as one line of text."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from trading.backtest.result import Trade
from trading.events.decisions import Decisions, describe, has_no_signal
from trading.formatting import MONEY_DECIMALS, format_price, format_profit, format_units
from trading.lifecycle import DesiredState, PositionPolicy
from trading.orders.orders import Fill, Leg, OrderState


class HeadlineKind(StrEnum):
    """Outcomes of a candle."""

    TRADED = "traded"
    CLOSED = "closed"
    NOT_FILLED = "not_filled"
    REJECTED = "rejected"
    DRY_RUN = "dry_run"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    NO_DECISION = "no_decision"


class UnfilledOrder(Struct, frozen=True):
    """An order without any fill; `note` explains why."""

    leg: Leg
    state: OrderState
    note: str | None


class Headline(Struct, frozen=True):
    """The outcome of a candle.

    Attributes:
        kind: `CLOSED` is a close that an operator or a policy requested, `FAILED` a candle that is not
            decided because a strategy raised, `NO_DECISION` a candle without a signal that the risk rules could decide.
        rule: The rule that rejected the signal, or the entry of a reversal; empty for none.
        reason: Reason of the rules, for `REJECTED` and `DRY_RUN`.
        fills: Fills of its own orders, for `TRADED` and `CLOSED`.
        unfilled: Its orders, for `NOT_FILLED`.
        opened: The position that it opened; None for none.
        closed: The position that it closed; None for none.
        decisions: Decisions of the journal, for `NO_DECISION`; the error, for `FAILED`.
        desired: Desired state of the symbol.
        policy: Policy of the quarantine, for `QUARANTINED`.
        money_decimals: Decimals of money in the account's currency.
    """

    kind: HeadlineKind
    rule: str = ""
    reason: str = ""
    fills: Sequence[Fill] = ()
    unfilled: Sequence[UnfilledOrder] = ()
    opened: Trade | None = None
    closed: Trade | None = None
    decisions: Decisions = ()
    desired: DesiredState = DesiredState.RUNNING
    policy: PositionPolicy | None = None
    money_decimals: int = MONEY_DECIMALS

    def __str__(self) -> str:
        """Format the headline."""
        match self.kind:
            case HeadlineKind.TRADED:
                rejected = f"; the entry was refused by {self.rule}" if self.rule else ""
                return f"traded: {self._filled()}{rejected}{self._outcome()}"
            case HeadlineKind.CLOSED:
                return f"closed without a signal: {self._filled()}{self._outcome()}"
            case HeadlineKind.FAILED:
                return f"not decided: {describe(self.decisions)}"
        return f"no trade: {self._why_no_trade()}"

    def _filled(self) -> str:
        return ", then ".join(
            f"{fill.leg.value} {fill.side.value} {format_units(fill.units)} at {format_price(fill.price)}"
            for fill in self.fills
        )

    def _outcome(self) -> str:
        opened, closed = self.opened, self.closed
        if opened is None:
            return f"; the position it closed made {self._profit(closed)}" if closed else ""
        if opened.exit_ms is None:
            return "; the position is open"
        return f"; closed by {opened.exit_reason} at {format_price(opened.exit_price)}, {self._profit(opened)}"

    def _profit(self, trade: Trade) -> str:
        return format_profit(trade.profit, self.money_decimals)

    def _why_no_trade(self) -> str:
        match self.kind:
            case HeadlineKind.NOT_FILLED:
                return "; ".join(map(_why_unfilled, self.unfilled))
            case HeadlineKind.REJECTED:
                return f"refused by {self.rule}: {self.reason}"
            case HeadlineKind.DRY_RUN:
                return f"dry run, no order is made: {self.reason}"
            case HeadlineKind.QUARANTINED:
                return f"the symbol was quarantined ({self.policy})"
        decision = "the strategy gave no signal" if has_no_signal(self.decisions) else describe(self.decisions)
        was = "" if self.desired is DesiredState.RUNNING else f"; the symbol was {self.desired.value} besides"
        return decision + was


def _why_unfilled(order: UnfilledOrder) -> str:
    why = f": {order.note}" if order.note else ""
    return f"the {order.leg.value} order is {order.state.value}, nothing of it is filled{why}"
