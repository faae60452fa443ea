"""The ledger of one account in SQL, on SQLite or PostgreSQL.

`SqlLedger` opens one transaction for each call, and the parts work on it. Each part imports only those before it:

    transaction, rows, queries -> incidents, desired_states -> orders -> fills -> stops
                                                   incidents -> decisions
                                               orders, fills -> incident_resolution
                decisions, fills, incident_resolution -> adoption
                             transaction, queries -> admin
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Engine

from adapters.ledger import adoption, decisions, desired_states, fills, incident_resolution, incidents, orders, stops
from adapters.ledger.admin import fences, message_key
from adapters.ledger.admin.fences import FenceChange, FenceReset
from adapters.ledger.queries import reads
from adapters.ledger.queries.restrictions import permissions_of
from adapters.ledger.transaction import AccountDatabase
from configs.diff import Exposure
from trading.errors import Broken
from trading.execution.adoption import Adoption, AdoptionRequest, Holdings
from trading.execution.fill_booking import Booked
from trading.incidents import descriptions
from trading.incidents.incident import Incident
from trading.lifecycle import DesiredState, HeldBy, PositionPolicy
from trading.market.trading_days import UTC_DAY, TradingDay
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import Fill, OrderState
from trading.portfolio.positions import Position, StopMove
from trading.ports.ledger import NO_PRICES, DecisionResult
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.tolerance import total_units
from trading.trading_state import Permissions


class SqlLedger:
    """`trading.ports.ledger.Ledger` in SQL, with reads and operator actions beside it.

    Each method may raise `Transient`: the lock was not free in time, or the connection was lost. A lost answer to a
    commit is harmless: the fence, the fill ids and the final states make each call safe to repeat.

    Args:
        engine: Of this process, from `adapters.database.create_engine`; its schema must be migrated.
        account_name: Several accounts may share a database.
        starting_balance: In quote currency.
        day: Day of the account, by which the loss of a day is counted.
    """

    def __init__(self, engine: Engine, account_name: str, starting_balance: float, day: TradingDay = UTC_DAY) -> None:
        self._engine = engine
        self._database = AccountDatabase(engine, account_name, starting_balance, day)

    def close(self) -> None:
        """Close the connections; the next call opens one again."""
        self._engine.dispose()

    # decisions

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
        with self._database.transaction() as tx:
            return decisions.decide(
                tx,
                symbol,
                strategy,
                open_ms,
                evaluate,
                correlation_id=correlation_id,
                dry_run=dry_run,
                prices=prices,
                latest_ms=latest_ms,
                at_ms=at_ms,
            )

    def flatten(
        self,
        symbol: str,
        strategy: str,
        after_ms: int,
        evaluate: Callable[[AccountSnapshot, int], RiskDecision],
        *,
        correlation_id: str,
    ) -> DecisionResult:
        with self._database.transaction() as tx:
            return decisions.flatten(tx, symbol, strategy, after_ms, evaluate, correlation_id=correlation_id)

    def decisions_since(
        self, symbol: str, strategies: Collection[str], since_ms: int
    ) -> Mapping[tuple[str, int], StopMove | RiskDecision]:
        with self._database.reader() as reader:
            return stops.decisions_since(reader, symbol, strategies, since_ms)

    def fence(self, symbol: str) -> int | None:
        with self._database.reader() as reader:
            return reads.fence(reader, symbol)

    # orders

    def mark(self, *updates: OrderUpdate) -> bool:
        """Record new states of orders, all of them or none; see `trading.ports.ledger.OrderLog`.

        Raises:
            Broken: No intent has this id, or its state cannot follow the present one.
        """
        with self._database.transaction() as tx:
            are_recorded = all(orders.mark(tx, update) for update in updates)
            if not are_recorded:
                tx.rollback()
        return are_recorded

    def unsettled(self, symbol: str) -> Sequence[Intent]:
        with self._database.reader() as reader:
            return reads.unsettled(reader, symbol)

    def record_fills(self, symbol: str, fills_: Sequence[Fill]) -> Sequence[Booked]:
        """Record fills and the positions that they make; see `trading.ports.ledger.OrderLog`.

        Raises:
            Broken: A fill belongs to another symbol.
        """
        if stray := next((fill for fill in fills_ if fill.symbol != symbol), None):
            raise Broken(f"fill {stray.fill_id} is of {stray.symbol}, but was handed in for {symbol}")
        if not fills_:
            return []
        with self._database.transaction() as tx:
            return fills.record_fills(tx, symbol, fills_)

    def fills_from(self, symbol: str) -> int:
        with self._database.reader() as reader:
            return reads.fills_from(reader, symbol)

    def order_states(self, client_order_ids: Collection[str]) -> Mapping[str, OrderState]:
        return {name: OrderState(row.state) for name, row in self._decided_rows(client_order_ids).items()}

    def order_strategies(self, client_order_ids: Collection[str]) -> Mapping[str, str]:
        return {name: row.strategy for name, row in self._decided_rows(client_order_ids).items()}

    def overfilled(self, client_order_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        if not client_order_ids:
            return {}
        with self._database.reader() as reader:
            return reads.overfilled(reader, client_order_ids)

    # stops

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
        with self._database.transaction() as tx:
            return stops.move_stop(
                tx, symbol, strategy, open_ms, stop_loss, reason, correlation_id=correlation_id, rule=rule
            )

    def refuse_stop(self, move: StopMove, reason: str) -> StopMove:
        with self._database.transaction() as tx:
            return stops.refuse_stop(tx, move, reason)

    def stop_move(self, symbol: str, strategy: str, open_ms: int) -> StopMove | None:
        with self._database.reader() as reader:
            return stops.move_of_candle(reader, symbol, strategy, open_ms)

    def permissions(self, symbol: str) -> Permissions:
        with self._database.transaction() as tx:
            return permissions_of(tx, symbol)

    def opener(self, symbol: str, strategy: str) -> str | None:
        with self._database.reader() as reader:
            return stops.opener(reader, symbol, strategy)

    def stop_moves(self, symbol: str) -> Sequence[StopMove]:
        with self._database.reader() as reader:
            return stops.moves_of_open_positions(reader, symbol)

    # incidents

    def open_incidents(self, found: Sequence[Incident]) -> Sequence[Incident]:
        with self._database.reader() as reader:
            if not incidents.news(reader, found):
                return []
        with self._database.transaction() as tx:
            return incidents.open_incidents(tx, found)

    def incidents_of(self, symbol: str) -> Sequence[Incident]:
        with self._database.reader() as reader:
            return incidents.open_of(reader, symbol)

    def unpublished(self, symbol: str) -> Sequence[Incident]:
        with self._database.reader() as reader:
            return incidents.unpublished(reader, symbol)

    def mark_published(self, published: Sequence[Incident]) -> None:
        if not published:
            return
        with self._database.transaction() as tx:
            incidents.mark_published(tx, published)

    def end_incidents(self, ended: Sequence[Incident], resolution: str) -> None:
        if not ended:
            return
        with self._database.transaction() as tx:
            incidents.end_incidents(tx, ended, resolution)

    # symbol controls

    def desired(self, symbol: str) -> DesiredState:
        with self._database.reader() as reader:
            return reads.desired(reader, symbol)

    def set_desired(self, symbol: str, state: DesiredState, *, reason: str) -> None:
        with self._database.transaction() as tx:
            desired_states.set_desired(tx, symbol, state, reason)

    def quarantine(self, symbol: str) -> PositionPolicy | None:
        with self._database.reader() as reader:
            return incident_resolution.quarantine(reader, symbol)

    def set_quarantine(self, symbol: str, policy: PositionPolicy, *, cause: str, reason: str) -> bool:
        incident = descriptions.quarantined(symbol, policy, cause, reason)
        with self._database.transaction() as tx:
            return bool(incidents.open_incidents(tx, [incident]))

    def clear_quarantine(self, symbol: str, *, reason: str) -> bool:
        with self._database.transaction() as tx:
            return incident_resolution.clear_quarantine(tx, symbol, reason)

    # positions

    def positions(self) -> Sequence[Position]:
        with self._database.reader() as reader:
            return reads.all_positions(reader)

    def has_exposure(self, symbol: str) -> bool:
        with self._database.reader() as reader:
            return reads.has_exposure(reader, symbol)

    def owners(self, symbol: str) -> frozenset[str]:
        with self._database.reader() as reader:
            return reads.owners(reader, symbol)

    # operator actions

    def hold(self, symbol: str, state: DesiredState, *, held_by: HeldBy, reason: str) -> bool:
        """Keep a running symbol from opening positions, and return whether it ran.

        After the return no decision that opens a position can be recorded. A symbol that a user paused or stopped stays
        as it is.
        """
        with self._database.transaction() as tx:
            return desired_states.hold(tx, symbol, state, held_by, reason)

    def release(self, symbol: str, *, held_by: HeldBy, reason: str) -> bool:
        """Let a held symbol run again, and return whether it does; False where a user or another change holds it."""
        with self._database.transaction() as tx:
            return desired_states.release(tx, symbol, held_by, reason)

    def resolve_incident(self, identity: int, resolution: str, *, is_lost: bool = True) -> dict[str, Any] | None:
        """Resolve an incident, and return it; None when no open one has this number.

        An order that the venue lost ends with it as EXPIRED. A quarantine ends with it. After a drawdown the present
        balance is the new peak.

        Args:
            is_lost: Of a lost order: the venue still has none.
        """
        with self._database.transaction() as tx:
            return incident_resolution.resolve_by_number(tx, identity, resolution, is_lost=is_lost)

    def adopt(
        self, identity: int, adopted: Adoption, holdings: Holdings, request: AdoptionRequest
    ) -> Sequence[dict[str, Any]]:
        """Book an adoption, and resolve the incidents that it explains.

        Its rows are fills with a number in `adjustment`, of intents that were never sent, of a decision with the origin
        ADOPTION. They come after all known fills, and have the market time `holdings.market_ms`.

        Returns:
            The resolved incidents; none, and nothing is booked, when no open one has this number.

        Raises:
            Rejected: The ledger's positions differ from `holdings`.
        """
        with self._database.transaction() as tx:
            return adoption.adopt(tx, identity, adopted, holdings, request)

    def message_key(self) -> bytes:
        """Return the key that signs the messages between the steps, made at the first call."""
        with self._database.reader() as reader:
            found = message_key.read(reader)
        if found is not None:
            return found
        with self._database.transaction() as tx:
            return message_key.make(tx)

    def fences(self) -> Mapping[str, int]:
        """Return `fence` of each symbol that has one."""
        with self._database.reader() as reader:
            return reads.newest_fences(reader)

    def fences_of(self, symbol: str) -> Mapping[str, int]:
        """Return the fence of each strategy of a symbol: the open time of the newest candle it has decided on."""
        with self._database.reader() as reader:
            return fences.fences_of(reader, symbol)

    def fence_resets(self, symbol: str, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest resets of a symbol's fences first, as plain dictionaries."""
        with self._database.reader() as reader:
            return fences.resets_of(reader, symbol, limit)

    def reset_fences(
        self, request: FenceReset, *, cursor_ms: int | None, strategies: Collection[str] = ()
    ) -> list[FenceChange]:
        """Set the fences of a symbol, record that, and return the changes; see `adapters.ledger.admin.fences`.

        Args:
            cursor_ms: The cursor in Redis, which the caller sets too; None where there is none.
            strategies: Those that get a fence even if they have decided nothing yet.
        """
        with self._database.transaction() as tx:
            return fences.reset(tx, request, cursor_ms, strategies)

    # reads for reports and commands

    def balance(self) -> float:
        """Return the starting balance plus all realised profit, in quote currency."""
        with self._database.reader() as reader:
            return reads.balance(reader)

    def exposure(self, symbol: str) -> Exposure:
        """Return the open positions and orders of a symbol."""
        held = {one.strategy: one.units for one in self.positions() if one.symbol == symbol and one.is_open}
        unsettled = self.unsettled(symbol)
        pending = frozenset(intent.request.strategy for intent in unsettled) | self.owners(symbol)
        return Exposure(total_units(held.values()), len(unsettled), self.has_exposure(symbol), held, pending)

    def exposures(self) -> Mapping[str, tuple[float, int]]:
        """Return the exposure of each symbol that has any: net units, and orders that are not settled."""
        with self._database.reader() as reader:
            return reads.exposures(reader)

    def incident(self, identity: int) -> Incident | None:
        """Return an open incident by its number."""
        with self._database.reader() as reader:
            return incidents.by_number(reader, identity)

    def incidents(self, symbol: str | None = None, *, only_open: bool = True, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest incidents first, as plain dictionaries."""
        with self._database.reader() as reader:
            return incidents.newest_incidents(reader, symbol, limit, only_open=only_open)

    def orders(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest orders first, those never sent and protective ones included, as plain dictionaries.

        `units`, `reference_price` and `correlation_id` are None for a protective order: the venue made it.
        """
        with self._database.reader() as reader:
            return reads.newest_orders(reader, symbol, limit)

    def fills(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest fills first, as plain dictionaries."""
        with self._database.reader() as reader:
            return reads.newest_fills(reader, symbol, limit)

    def decisions(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest decisions first, rejections included, as plain dictionaries.

        `checks` lists the evaluated rules: {"rule", "is_met", "reason"}; empty where they were not recorded.
        """
        with self._database.reader() as reader:
            return reads.newest_decisions(reader, symbol, limit)

    def _decided_rows(self, client_order_ids: Collection[str]) -> Mapping[str, Any]:
        if not client_order_ids:
            return {}
        with self._database.reader() as reader:
            return reads.decided_rows(reader, client_order_ids)
