"""Closing all that is open of a symbol without a signal: what a person, or the policy of a quarantine, asked for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from trading.incidents.descriptions import describe_order
from trading.orders.intents import Intent
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace


class FlattenResult(Struct, frozen=True):
    """What came of the wish.

    Attributes:
        refused: Why nothing was closed; empty when nothing stood in the way.
        verdicts: What the ledger's rules said of each position that was open, by its strategy.
        units: What the ledger holds of the symbol afterwards, net. An exit that rests at the venue has not filled yet.
        unsettled: Orders whose end is not written down yet, exits on their way among them.
    """

    refused: str = ""
    verdicts: Mapping[str, RiskDecision] = field(default_factory=dict)
    units: float = 0.0
    unsettled: Sequence[Intent] = ()

    @property
    def outcome(self) -> str:
        """One of `refused`, `flat`, `closing` (an order is on its way) and `open` (no exit went out: ask again)."""
        if self.refused:
            return "refused"
        if self.unsettled:
            return "closing"
        return "open" if self.units else "flat"

    def as_dict(self) -> dict[str, Any]:
        """Return what there is to tell, JSON-safe."""
        said = {name: {"rule": one.rule, "reason": one.reason} for name, one in self.verdicts.items()}
        return {
            "outcome": self.outcome,
            "refused": self.refused,
            "positions": said,
            "units": self.units,
            "unsettled": [f"{describe_order(one.request)}: {one.state.value}" for one in self.unsettled],
        }


class FlattenRequest(Struct, frozen=True):
    """The wish to close what one strategy holds.

    Attributes:
        price: The last that is known, in quote currency.
        now_ms: Market time from which on an exit may fill, milliseconds since the epoch, UTC.
    """

    strategy: str
    reason: str
    price: float
    now_ms: int

    def evaluated(
        self, evaluate: Callable[[AccountSnapshot, Signal], RiskDecision], view: AccountSnapshot, decision_ms: int
    ) -> RiskDecision:
        """Have the rules judge it as a strategy's own wish to close.

        Args:
            decision_ms: Names the decision, and so the order; no candle opens at it.
        """
        signal = Signal(
            strategy=self.strategy,
            open_ms=decision_ms,
            side=SignalSide.CLOSE,
            price=self.price,
            reason=f"flatten: {self.reason}",
        )
        verdict = evaluate(view, signal)
        planned = tuple(replace(one, request=replace(one.request, decided_ms=self.now_ms)) for one in verdict.planned)
        return replace(verdict, planned=planned)
