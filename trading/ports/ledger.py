"""The ledger: every decision, order, fill and incident."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from trading.incidents.incident import Incident
from trading.lifecycle import DesiredState, PositionPolicy
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import Fill, OrderState
from trading.portfolio.positions import Position, StopMove
from trading.risk.verdict import AccountSnapshot, RiskDecision


class DecisionResult(Struct, frozen=True):
    """What the ledger answers to a decision.

    Attributes:
        verdict: None when this candle, or a later one, was decided before: nothing was written.
        intents: The orders that were written down with it, in the order in which they are to be sent.
        earlier: What was decided before on this very candle, without its orders; None when a later one was.
    """

    verdict: RiskDecision | None
    intents: tuple[Intent, ...] = ()
    earlier: RiskDecision | None = None


class Ledger(Protocol):
    """What must never be lost. Each method is one transaction."""

    def decide(
        self,
        symbol: str,
        strategy: str,
        open_ms: int,
        evaluate: Callable[[AccountSnapshot], RiskDecision],
        *,
        correlation_id: str,
        dry_run: bool = False,
    ) -> DecisionResult:
        """Decide on one candle's signal, once.

        Under the account's lock: refuse when the fence of (symbol, strategy) is at or past `open_ms`; else read the
        view, let `evaluate` decide, write the decision, its intents with what they reserve, and move the fence, or
        nothing at all. The first intent is claimed with it (SUBMITTING), those that wait for it are PLANNED. With
        `dry_run` the decision is written and no intent.
        """
        ...

    def decisions_since(
        self, symbol: str, strategies: Collection[str], since_ms: int
    ) -> Mapping[tuple[str, int], StopMove | RiskDecision]:
        """Return what is written down of candles that opened at `since_ms` or later, by strategy and open time.

        That is the move of a stop, else what was decided on a signal, without its orders.
        """
        ...

    def flatten(
        self,
        symbol: str,
        strategy: str,
        after_ms: int,
        evaluate: Callable[[AccountSnapshot, int], RiskDecision],
        *,
        correlation_id: str,
    ) -> DecisionResult:
        """Decide to close what a strategy holds, without a signal: as `decide`, and the fence stays where it is.

        The decision is named by a time that no candle opens at, some milliseconds after `after_ms` and after the newest
        decision; `evaluate` is given it. A refusal is not written down: it may be asked for again and again.

        Args:
            after_ms: Open time of the last candle that is known, milliseconds since the epoch, UTC.
        """
        ...

    def move_stop(
        self,
        symbol: str,
        strategy: str,
        open_ms: int,
        stop_loss: float,
        reason: str,
        *,
        correlation_id: str,
        rule: str = "",
    ) -> StopMove | None:
        """Write down that the stop of a position is to rest elsewhere, and why, once for each candle.

        Under the account's lock: a candle that has its move gets that one again, as it was; else the stop of the
        position is changed, with the move beside it. Where our rules forbid it (`trading.risk.stop_rules`: a symbol
        that is stopped or halted, a stop beyond the one that the entry came with), the move is written down as
        refused, and the stop stays.

        Args:
            rule: Id of the exit rule that asks for it; empty where none does.

        Returns:
            The move; None, and nothing is written, where nothing is open, where the stop is to rest there already, and
            where a later candle was decided on or moved it.
        """
        ...

    def refuse_stop(self, move: StopMove, reason: str) -> StopMove:
        """Write down that the venue refused a move, and return it so: the stop is to rest where it did before.

        One that is not current any more stays as it is, and comes back so: others have carried it out meanwhile, or
        it ended with its position.
        """
        ...

    def stop_move(self, symbol: str, strategy: str, open_ms: int) -> StopMove | None:
        """Return what was written down of a candle; None when nothing was."""
        ...

    def stop_moves(self, symbol: str) -> Sequence[StopMove]:
        """Return the moves of the symbol's open positions that were not refused, oldest first."""
        ...

    def mark(self, *updates: OrderUpdate) -> bool:
        """Write down how orders stand, all of them or none.

        A final state releases what the order reserved; a mark of one that has ended changes nothing.

        Returns:
            False, and nothing is written, when somebody else has claimed an order that a mark claims, or when an order
            that a mark says was taken has been given up meanwhile.
        """
        ...

    def unsettled(self, symbol: str) -> Sequence[Intent]:
        """Return the symbol's intents in a state that is not final, oldest first."""
        ...

    def record_fills(self, symbol: str, fills: Sequence[Fill]) -> Sequence[tuple[Fill, Position, Position]]:
        """Write down fills and what they do; those known already are passed over.

        Positions are what the fills make of them in the order of their sequence numbers, whenever they arrive.

        Returns:
            (fill, position before, position after) for each fill that was new.
        """
        ...

    def fills_from(self, symbol: str) -> int:
        """Return the sequence number after which fills of the symbol may be missing, 0 for none.

        It lies some fills before the newest one: a venue may show a fill later than the one that followed it.
        """
        ...

    def order_states(self, client_order_ids: Collection[str]) -> Mapping[str, OrderState]:
        """Return how the orders stand that are ours; a protective order stands as its entry does."""
        ...

    def order_strategies(self, client_order_ids: Collection[str]) -> Mapping[str, str]:
        """Return whose each order is that we decided on, or protects what such an order opened; others are left out."""
        ...

    def owners(self, symbol: str) -> frozenset[str]:
        """Return the strategies with an entry of the symbol that holds a place in the account."""
        ...

    def overfilled(self, client_order_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        """Return those of our orders that were filled beyond their size: (units ordered, units filled)."""
        ...

    def open_incidents(self, incidents: Sequence[Incident]) -> Sequence[Incident]:
        """Write down what a person must hear of, and return those that were not told before."""
        ...

    def incidents_of(self, symbol: str) -> Sequence[Incident]:
        """Return the symbol's incidents that nobody has resolved."""
        ...

    def unpublished(self, symbol: str) -> Sequence[Incident]:
        """Return those of them whose event has not left the worker, as far as is known."""
        ...

    def mark_published(self, incidents: Sequence[Incident]) -> None:
        """Write down that the events of incidents have left the worker."""
        ...

    def quarantine(self, symbol: str) -> PositionPolicy | None:
        """Return what becomes of the position of a symbol that is quarantined; None for one that is not."""
        ...

    def set_quarantine(self, symbol: str, policy: PositionPolicy, *, cause: str, reason: str) -> bool:
        """Set a symbol aside: after the return no entry of it can be decided or claimed. Exits go on.

        Args:
            cause: A short name, for programs.
            reason: What was found, for a person.

        Returns:
            False, and nothing is written, when it is quarantined already.

        Raises:
            Rejected: There is no such policy.
        """
        ...

    def clear_quarantine(self, symbol: str, *, reason: str) -> bool:
        """Let a symbol that was quarantined work again; False when it was not."""
        ...

    def has_exposure(self, symbol: str) -> bool:
        """Return whether the symbol has an open position or an order that is not final."""
        ...

    def fence(self, symbol: str) -> int | None:
        """Return the open time of the newest candle decided on, None before the first."""
        ...

    def desired(self, symbol: str) -> DesiredState:
        """Return what the user wants of the symbol; RUNNING where nothing was said."""
        ...

    def set_desired(self, symbol: str, state: DesiredState, *, reason: str) -> None:
        """Write down what the user wants. After the return no decision that it forbids can be written."""
        ...

    def positions(self) -> Sequence[Position]:
        """Return the position of each (symbol, strategy) that ever had a fill, flat ones too."""
        ...
