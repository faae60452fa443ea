"""The ledger: every decision, order, fill, stop move and incident of one account.

The port is cut by subject, and a consumer names only the parts that it uses:

| part | subject | consumers in trading/ |
|---|---|---|
| `DecisionLog` | decisions, their fence | SignalExecutor, ExitEvaluator, PositionCloser, DataFetchingService |
| `OrderLog` | order states, fills | OrderSender, FillRecorder, OrderManager, StopSender, the closers below |
| `StopLog` | moves of stops | OrderManager, StopSender |
| `IncidentLog` | incidents | IncidentPublisher, OrderManager, the closers: PositionCloser, StandingExits |
| `SymbolControls` | desired state, quarantine | DataFetchingService, OrderManager, PositionCloser |
| `Positions` | positions, exposure | SymbolExposure, FillRecorder, OrderManager, StopSender, PositionCloser |

A consumer of several parts declares a protocol in its own module that inherits from them. `Ledger` is all of them:
`adapters.ledger.ledger.SqlLedger` and `adapters.ledger.memory.MemoryLedger` implement it.

Each method is one transaction. An implementation on a database raises `Transient` where the database does not answer or
its lock is not free in time; each call is safe to repeat.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct

from trading.incidents.incident import Incident
from trading.lifecycle import DesiredState, PositionPolicy
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import Fill, OrderState
from trading.portfolio.positions import Position, StopMove
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.trading_state import Permissions


class DecisionResult(Struct, frozen=True):
    """The ledger's answer to a decision.

    Attributes:
        verdict: None when this candle, or a later one, was decided before: nothing is recorded.
        intents: The orders that were recorded with it, in the order in which they are to be sent.
        earlier: The earlier decision on this same candle, without its orders; None when a later candle was decided.
    """

    verdict: RiskDecision | None
    intents: tuple[Intent, ...] = ()
    earlier: RiskDecision | None = None


NO_PRICES: Mapping[str, float] = MappingProxyType({})


class DecisionLog(Protocol):
    """Decisions on candles, each made once under the account's lock."""

    def decide(
        self,
        symbol: str,
        strategy: str,
        open_ms: int,
        evaluate: Callable[[AccountSnapshot], RiskDecision],
        *,
        correlation_id: str,
        dry_run: bool = False,
        prices: Mapping[str, float] = NO_PRICES,
        latest_ms: int | None = None,
        at_ms: int | None = None,
    ) -> DecisionResult:
        """Decide on one candle's signal, once.

        Under the account's lock: reject when the fence of (symbol, strategy) is at or past `open_ms`; else read the
        account, call `evaluate`, record the decision and its intents with the risk that they reserve, and move the
        fence, all of it or nothing. The first intent is claimed at once (SUBMITTING), those that wait for it are
        PLANNED. With `dry_run` the decision is recorded without intents.

        Args:
            prices: Latest known price by symbol, read before the lock is taken; those of open positions are recorded
                with the decision, so that a replay judges by the same equity.
            latest_ms: The latest market time possible now, milliseconds since the epoch, UTC; None for no limit. A
                fence beyond it would keep the symbol from deciding until the market has come as far.
            at_ms: Market time of the decision, milliseconds since the epoch, UTC: the loss of its day counts. None for
                `open_ms`.

        Raises:
            InvalidMessage: The candle opens at or after `latest_ms`; nothing is recorded.
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
        """Decide to close a strategy's position without a signal: as `decide`, but the fence stays where it is.

        The decision is named by a time at which no candle opens, some milliseconds after `after_ms` and after the
        newest decision; `evaluate` receives it. A rejection is not recorded, so that the call can be repeated.

        Args:
            after_ms: Open time of the last known candle, milliseconds since the epoch, UTC.
        """
        ...

    def decisions_since(
        self, symbol: str, strategies: Collection[str], since_ms: int
    ) -> Mapping[tuple[str, int], StopMove | RiskDecision]:
        """Return the records of candles that opened at `since_ms` or later, by strategy and open time.

        A record is the move of a stop, else the decision on a signal, without its orders.
        """
        ...

    def fence(self, symbol: str) -> int | None:
        """Return the open time of the newest candle decided on, None before the first."""
        ...


class OrderLog(Protocol):
    """States of orders, and the fills that make positions."""

    def mark(self, *updates: OrderUpdate) -> bool:
        """Record new states of orders, all of them or none.

        A final state releases the risk that the order reserved; an update of an order that has ended changes nothing.
        An exit that ends otherwise than filled and leaves its position open opens an incident EXIT_FAILED with it.

        Returns:
            False, and nothing is recorded, when another process has claimed an order that an update claims, or when an
            update accepts an order that was abandoned meanwhile.
        """
        ...

    def unsettled(self, symbol: str) -> Sequence[Intent]:
        """Return the symbol's intents in a state that is not final, oldest first."""
        ...

    def record_fills(self, symbol: str, fills: Sequence[Fill]) -> Sequence[tuple[Fill, Position, Position]]:
        """Record fills and the positions that they make; known fills are skipped.

        A fill that closes or reverses a position resolves the incidents of that position
        (`trading.incidents.incident.OF_POSITION`).

        Positions result from the fills in the order of their sequence numbers, in whichever order they arrive.

        Returns:
            (fill, position before, position after) for each new fill.
        """
        ...

    def fills_from(self, symbol: str) -> int:
        """Return the sequence number after which fills of the symbol may be missing, 0 for none.

        It is some fills before the newest one: a venue may report a fill after its successor.
        """
        ...

    def order_states(self, client_order_ids: Collection[str]) -> Mapping[str, OrderState]:
        """Return the states of our orders among these; a protective order has the state of its entry."""
        ...

    def order_strategies(self, client_order_ids: Collection[str]) -> Mapping[str, str]:
        """Return the strategies of our orders, and of the protective orders of our entries; others are left out."""
        ...

    def overfilled(self, client_order_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        """Return our orders that were filled beyond their size: (units ordered, units filled)."""
        ...


class StopLog(Protocol):
    """Moves of stops, each recorded before the venue receives it."""

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
        """Record a new stop price of a position with its reason, once for each candle.

        Under the account's lock: a candle that has its move returns that move unchanged; else the position's stop is
        changed and the move recorded. Where the rules of `trading.risk.stop_rules` forbid it (the symbol is stopped or
        halted, the stop is beyond that of the entry), the move is recorded as rejected, and the stop stays.

        Args:
            rule: Id of the exit rule that requests it; empty where none does.

        Returns:
            The move; None, and nothing is recorded, where no position is open, where the stop has that price already,
            and where a later candle was decided on or moved the stop.
        """
        ...

    def refuse_stop(self, move: StopMove, reason: str) -> StopMove:
        """Record that the venue rejected a move, and return it as rejected: the stop has its earlier price again.

        A move that is no longer current is returned unchanged: another process has sent it meanwhile, or its position
        is closed.
        """
        ...

    def stop_move(self, symbol: str, strategy: str, open_ms: int) -> StopMove | None:
        """Return the recorded move of a candle; None when there is none."""
        ...

    def permissions(self, symbol: str) -> Permissions:
        """Return the actions that the symbol's state permits now, read under the account's lock.

        A recorded move is sent only after this check: while its chain ran, the symbol may have been stopped.
        """
        ...

    def opener(self, symbol: str, strategy: str) -> str | None:
        """Return the `client_order_id` of the newest entry of a strategy's open position.

        None where nothing is open, and where no order of ours opened it.
        """
        ...

    def stop_moves(self, symbol: str) -> Sequence[StopMove]:
        """Return the moves of the symbol's open positions that were not rejected, oldest first."""
        ...


class IncidentLog(Protocol):
    """Conditions that need an operator, each published at least once."""

    def open_incidents(self, incidents: Sequence[Incident]) -> Sequence[Incident]:
        """Record incidents, and return the new ones: those that are not open already."""
        ...

    def incidents_of(self, symbol: str) -> Sequence[Incident]:
        """Return the symbol's open incidents."""
        ...

    def unpublished(self, symbol: str) -> Sequence[Incident]:
        """Return the symbol's open incidents whose event is not known to have left the worker."""
        ...

    def mark_published(self, incidents: Sequence[Incident]) -> None:
        """Record that the events of incidents have left the worker."""
        ...

    def end_incidents(self, incidents: Sequence[Incident], resolution: str) -> None:
        """Resolve open incidents whose condition has passed; those that are not open are skipped."""
        ...


class SymbolControls(Protocol):
    """The state in which a user, or a policy, wants a symbol."""

    def desired(self, symbol: str) -> DesiredState:
        """Return the desired state of the symbol; RUNNING where none was set."""
        ...

    def set_desired(self, symbol: str, state: DesiredState, *, reason: str) -> None:
        """Record the desired state. After the return no decision that it forbids can be recorded."""
        ...

    def quarantine(self, symbol: str) -> PositionPolicy | None:
        """Return the position policy of a quarantined symbol; None for one that is not quarantined."""
        ...

    def set_quarantine(self, symbol: str, policy: PositionPolicy, *, cause: str, reason: str) -> bool:
        """Quarantine a symbol: after the return none of its entries can be decided or claimed. Exits continue.

        Args:
            cause: A short name, for programs.
            reason: The findings, for a person.

        Returns:
            False, and nothing is recorded, when it is quarantined already.

        Raises:
            Rejected: There is no such policy.
        """
        ...

    def clear_quarantine(self, symbol: str, *, reason: str) -> bool:
        """End the quarantine of a symbol; False when it was not quarantined."""
        ...


class Positions(Protocol):
    """Positions, and the places that strategies hold in the account."""

    def positions(self) -> Sequence[Position]:
        """Return the position of each (symbol, strategy) that ever had a fill, flat ones too."""
        ...

    def has_exposure(self, symbol: str) -> bool:
        """Return whether the symbol has an open position or an order that is not final."""
        ...

    def owners(self, symbol: str) -> frozenset[str]:
        """Return the strategies with an entry of the symbol that holds a place in the account."""
        ...


class Ledger(DecisionLog, OrderLog, StopLog, IncidentLog, SymbolControls, Positions, Protocol):
    """All parts, of one account. The wiring passes it on; a service declares the parts that it uses."""
