"""Operator actions on positions: flatten a symbol, and list its positions in ledger and at the venue."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from trading.errors import Transient
from trading.execution.adoption import Holdings
from trading.execution.order_manager import OrderManager
from trading.execution.terms import ExecutionTerms
from trading.incidents.descriptions import describe_order
from trading.incidents.incident import IncidentKind
from trading.market.candles import CLOSE, Candles
from trading.market.timeframes import Timeframe
from trading.orders.intents import Intent
from trading.portfolio.positions import Position
from trading.ports.ledger import DecisionLog, IncidentLog, OrderLog, Positions, SymbolControls
from trading.ports.symbol_store import SymbolStore
from trading.risk.verdict import AccountSnapshot, RiskDecision, SignalEvaluator
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace
from trading.tolerance import total_units
from trading.trading_state import Cause, describe, permissions


class FlattenResult(Struct, frozen=True):
    """The result of a request to flatten.

    Attributes:
        refused: Reason why nothing was closed; empty if the request was executed.
        verdicts: The risk decision on the exit of each open position, by its strategy.
        units: Net position in the ledger afterwards. An exit that rests at the venue has not filled yet.
        unsettled: Orders whose final state is not recorded yet; exits at the venue are among them.
        failed: Why an exit left its position open, by its strategy; each candle sends another one.
    """

    refused: str = ""
    verdicts: Mapping[str, RiskDecision] = field(default_factory=dict)
    units: float = 0.0
    unsettled: Sequence[Intent] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """One of `refused`, `flat`, `closing` (an order is at the venue) and `open` (no exit is at the venue)."""
        if self.refused:
            return "refused"
        if self.unsettled:
            return "closing"
        return "open" if self.units else "flat"

    def as_dict(self) -> dict[str, Any]:
        """Return the result as a JSON-safe dictionary."""
        positions = {name: {"rule": one.rule, "reason": one.reason} for name, one in self.verdicts.items()}
        return {
            "outcome": self.outcome,
            "refused": self.refused,
            "positions": positions,
            "units": self.units,
            "failed": dict(self.failed),
            "unsettled": [f"{describe_order(one.request)}: {one.state.value}" for one in self.unsettled],
        }


class FlattenRequest(Struct, frozen=True):
    """A request to close the position of one strategy.

    Attributes:
        price: The last known price, in quote currency.
        now_ms: Market time from which an exit may fill, milliseconds since the epoch, UTC.
        only_at_ms: The only time by which the decision may be named: with any other one an exit of this candle, or of a
            later one, was decided before. None for any.
    """

    strategy: str
    reason: str
    price: float
    now_ms: int
    only_at_ms: int | None = None

    def evaluated(self, evaluate: SignalEvaluator, view: AccountSnapshot, decision_ms: int) -> RiskDecision:
        """Apply the risk rules as to a close signal of the strategy.

        Args:
            decision_ms: Time that identifies the decision and its order; no candle opens at it.
        """
        if self.only_at_ms not in (None, decision_ms):
            return RiskDecision("tried", "an exit was decided at this candle, or at a later one, before")
        signal = Signal(
            strategy=self.strategy,
            open_ms=decision_ms,
            side=SignalSide.CLOSE,
            price=self.price,
            reason=self.reason,
        )
        verdict = evaluate(view, signal)
        planned = tuple(replace(one, request=replace(one.request, decided_ms=self.now_ms)) for one in verdict.planned)
        return replace(verdict, planned=planned)


class ClosingLedger(DecisionLog, OrderLog, IncidentLog, SymbolControls, Positions, Protocol):
    """The parts of the ledger that closing positions needs."""


class PositionCloser:
    """Closes the positions of one symbol without a signal."""

    def __init__(
        self,
        terms: ExecutionTerms,
        order_manager: OrderManager,
        ledger: ClosingLedger,
        store: SymbolStore,
        evaluate: SignalEvaluator,
    ) -> None:
        self.symbol = terms.symbol
        self._terms = terms
        self._order_manager = order_manager
        self._ledger = ledger
        self._store = store
        self._evaluate = evaluate

    def holdings(self, as_of_ms: int | None) -> Holdings:
        """Record the fills, and return the symbol's positions in the ledger and at the venue.

        Args:
            as_of_ms: Market time; None when the source does not tell it.

        Raises:
            Transient: The venue does not answer, or its position may come from an order whose outcome is not recorded.
        """
        self._store.mark_exposed(self.symbol)
        self._order_manager.reset()
        theirs = self._order_manager.held_at_venue()
        ours = self._positions()
        last = self._last_candle()
        open_ms = last[0] if last else max((position.opened_ms for position in ours), default=0)
        if not (open_ms or as_of_ms):
            raise Transient(f"source of {self.symbol}", "found neither the market time nor a candle")
        return Holdings(self.symbol, ours, theirs, open_ms, as_of_ms or self._closed_ms(open_ms))

    def flatten(self, reason: str, as_of_ms: int | None) -> FlattenResult:
        """Close all open positions of the symbol without a signal, and cancel its entries.

        An exit that is at the venue already is not sent again, so the call may be repeated. It works while the symbol
        is paused or quarantined.

        Args:
            as_of_ms: Market time; None when the source does not tell it.

        Raises:
            Transient: Ledger or venue do not answer; a repeated call continues from there.
        """
        self._order_manager.renew_budget()
        self._order_manager.withdraw_entries(as_of_ms, f"all is closed: {reason}")
        if refused := self._refusal():
            return FlattenResult(refused)
        verdicts = {held.strategy: self._flatten(held, reason, as_of_ms) for held in self._open_positions()}
        units = total_units(position.units for position in self._open_positions())
        failed = {
            one.key: one.reason
            for one in self._ledger.incidents_of(self.symbol)
            if one.kind is IncidentKind.EXIT_FAILED and one.key in verdicts
        }
        return FlattenResult("", verdicts, units, self._ledger.unsettled(self.symbol), failed)

    def close_at(
        self,
        strategy: str,
        reason: str,
        candle: Candles | None,
        as_of_ms: int | None,
        *,
        closed_ms: int | None = None,
    ) -> None:
        """Close the position of a strategy at a candle without a signal, at most once for each candle.

        Args:
            candle: Candles whose fills are recorded; the last one gives time and price. None for the last one decided.
            as_of_ms: Market time; None when the source does not tell it.
            closed_ms: End of the last candle, milliseconds since the epoch, UTC; None for the one of its timeframe.
        """
        at = self._last_candle() if candle is None else (candle.last_open_ms, float(candle.values[-1, CLOSE]))
        if at is not None:
            open_ms, price = at
            request = FlattenRequest(strategy, reason, price, closed_ms or self._closed_ms(open_ms), open_ms + 1)
            self._close(request, open_ms, as_of_ms)

    def _refusal(self) -> str:
        """Return the reason why no position may be closed, with the action to take; empty if positions may be
        closed.
        """
        halting = [incident.reason for incident in self._ledger.incidents_of(self.symbol) if incident.kind.halts]
        permitted = permissions(self._ledger.desired(self.symbol), halted="; ".join(halting) if halting else None)
        why = permitted.why_no_exits
        if why is None:
            return ""
        words = describe(why, self.symbol)
        if why.cause is Cause.STOPPED:
            return f"{words}: pause it, then retry"
        return f"the position is unknown: {words}"

    def _positions(self) -> list[Position]:
        return [one for one in self._ledger.positions() if one.symbol == self.symbol]

    def _open_positions(self) -> list[Position]:
        return [one for one in self._positions() if one.is_open]

    def _flatten(self, held: Position, reason: str, as_of_ms: int | None) -> RiskDecision:
        open_ms, price = self._last_candle() or (held.opened_ms, held.average_price)
        now_ms = as_of_ms or self._closed_ms(open_ms)
        return self._close(FlattenRequest(held.strategy, f"flatten: {reason}", price, now_ms), open_ms, as_of_ms)

    def _close(self, request: FlattenRequest, open_ms: int, as_of_ms: int | None) -> RiskDecision:
        """Record the decision to exit a position, and send the order."""
        self._store.mark_exposed(self.symbol)
        decided = self._ledger.flatten(
            self.symbol,
            request.strategy,
            open_ms,
            lambda view, decision_ms: request.evaluated(self._evaluate, view, decision_ms),
            correlation_id=self._terms.correlation_id(open_ms),
        )
        if decided.intents:
            self._order_manager.send(decided.intents, as_of_ms)
            self._order_manager.book(Candles.empty(), as_of_ms)
        assert decided.verdict is not None  # `flatten` of the ledger checks no fence
        return decided.verdict

    def _closed_ms(self, open_ms: int) -> int:
        return Timeframe.parse(self._terms.timeframe).close_of(open_ms)

    def _last_candle(self) -> tuple[int, float] | None:
        """Return open time and close of the last candle decided; None if the store has lost it."""
        cursor_ms = self._store.load(self.symbol).cursor_ms or 0
        rows = self._store.window(self.symbol, 1, until_ms=cursor_ms).rows()
        return (int(rows[0][0]), rows[0][4]) if rows else None
