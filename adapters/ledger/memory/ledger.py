"""The ledger in memory, for one thread: the same rules as the SQL ledger, without transactions."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import takewhile
from typing import Any

from adapters.ledger.decisions import check_rows
from adapters.ledger.memory.controls import MemoryControls
from adapters.ledger.memory.symbol_books import Sent, SymbolBooks, book_of, planned_order, position_of
from trading.errors import Broken
from trading.execution.fill_booking import Booked, BookedOrder, Booking, closed_positions, initial_intent
from trading.incidents.incident import Incident, IncidentKind
from trading.market.trading_days import UTC_DAY, TradingDay
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import Fill, Leg, OrderRequest, OrderState, client_order_id, decided_id, protective_order_id
from trading.portfolio.drawdown import HighWaterMark
from trading.portfolio.positions import Position, StopMove
from trading.portfolio.trades import ClosedTrade
from trading.ports.ledger import NO_PRICES, DecisionResult
from trading.risk.fence import check_fence
from trading.risk.open_book import OpenBook, merged
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.tolerance import is_overfilled


class MemoryLedger(MemoryControls):
    """`trading.ports.ledger.Ledger` of one account.

    It requires a venue that reports its fills at once and in order, such as `adapters.venues.memory.MemoryVenue`.
    """

    def __init__(self, account_name: str, starting_balance: float, day: TradingDay = UTC_DAY) -> None:
        super().__init__()
        self._day = day
        self._account = account_name
        self._starting_balance = starting_balance
        self._decisions: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._sent: dict[str, Sent] = {}
        self._protective: dict[str, BookedOrder] = {}
        self._days: dict[int, dict[str, float]] = {}
        self._booked: list[Booked] = []
        self._high = HighWaterMark(starting_balance)
        self._moment_of: Callable[[Fill], Any] | None = None
        self._moved: list[tuple[Any, float]] = []

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
        at = self._of(symbol)
        check_fence(at.fences.get(strategy), open_ms, latest_ms)
        if at.fences.get(strategy, -1) >= open_ms:
            return DecisionResult(None, earlier=self._earlier(symbol, strategy, open_ms))
        verdict = evaluate(self._view(at, symbol, strategy, open_ms if at_ms is None else at_ms, prices))
        planned = () if dry_run else verdict.planned
        self._check_new([order.request.client_order_id for order in planned])
        at.fences[strategy] = open_ms
        self._decisions[symbol, strategy, open_ms] = {
            "symbol": symbol,
            "strategy": strategy,
            "open_ms": open_ms,
            "outcome": "dry" if dry_run else "accepted" if verdict.planned else "refused",
            "rule": verdict.rule,
            "reason": verdict.reason,
            "breached": verdict.breached,
            "correlation_id": correlation_id,
            "checks": verdict.checks,
            "exit_rule": verdict.exit_rule or None,
        }
        if verdict.incident is not None and not dry_run:
            self.open_incidents([verdict.incident])
        intents = [initial_intent(order.request, place) for place, order in enumerate(planned)]
        for order, intent in zip(planned, intents, strict=True):
            booked = planned_order(intent, order.risk, order.notional, correlation_id)
            sent = Sent(order.request, booked, number=len(self._sent))
            self._sent[order.request.client_order_id] = at.live[order.request.client_order_id] = sent
        return DecisionResult(verdict, tuple(intents))

    def decisions_since(
        self, symbol: str, strategies: Collection[str], since_ms: int
    ) -> Mapping[tuple[str, int], StopMove | RiskDecision]:
        at = self._of(symbol)
        found: dict[tuple[str, int], StopMove | RiskDecision] = {}
        for strategy in strategies:
            if at.fences.get(strategy, -1) >= since_ms:
                times = [key[2] for key in self._decisions if key[:2] == (symbol, strategy) and key[2] >= since_ms]
                verdicts = ((open_ms, self._earlier(symbol, strategy, open_ms)) for open_ms in times)
                found |= {(strategy, open_ms): verdict for open_ms, verdict in verdicts if verdict is not None}
        return found | self.moves_since(symbol, strategies, since_ms)

    def mark(self, *updates: OrderUpdate) -> bool:
        taken: dict[str, BookedOrder] = {}
        ended: list[Incident | None] = []
        for update in updates:
            sent = self._sent.get(update.client_order_id)
            if sent is None:
                raise Broken(f"order {update.client_order_id} was never planned: an order may only follow its intent")
            request, at = sent.request, self._of(sent.request.symbol)
            order = taken.get(update.client_order_id, sent.order)
            if order is sent.order and len(updates) > 1:
                order = copy(order)  # a rejected update changes none of them
            was_final = order.state.is_final
            is_taken = order.apply(
                update,
                lambda at=at, request=request: position_of(at, request.symbol, request.strategy),  # type: ignore[misc]
                may_be_sent=lambda at=at, request=request: self._may_be_sent(at, request),  # type: ignore[misc]
                at_ms=0,
            )
            if not is_taken:
                return False
            if not was_final:
                ended.append(order.failed_exit(position_of(at, request.symbol, request.strategy)))
            taken[update.client_order_id] = order
        for identity, order in taken.items():
            sent = self._sent[identity]
            sent.order = order
            self._of(sent.request.symbol).keep(sent)
        self.open_incidents([failed for failed in ended if failed is not None])
        return True

    def unsettled(self, symbol: str) -> Sequence[Intent]:
        return [sent.intent() for sent in self._of(symbol).live.values() if not sent.order.state.is_final]

    def record_fills(self, symbol: str, fills: Sequence[Fill]) -> Sequence[Booked]:
        """Record fills and their effects; see `trading.ports.ledger.Ledger`.

        Raises:
            Broken: A fill belongs to another symbol, or comes after a later one of another call.
        """
        at = self._of(symbol)
        new = _unknown(at, symbol, fills)
        booking = self._booking(at, symbol, new)
        late = booking.late(new)
        booked: list[Booked] = []
        moves: list[tuple[Fill, float]] = []
        for fill in new:
            at.newest = fill.sequence
            at.known_fills.add(fill.fill_id)
            before, after = booking.add(fill)
            at.positions[fill.strategy] = after
            day = self._days.setdefault(self._day.number_of(fill.market_ms), {})
            realised = after.realised - before.realised
            day[symbol] = day.get(symbol, 0.0) + realised
            at.fold(fill, realised)
            if realised:
                moves.append((fill, realised))
            booked.append((fill, before, after))
        at.resolve_closed(closed_positions(booked))
        self.open_incidents(late)
        if self._moment_of is not None:
            self._moved += [(self._moment_of(fill), realised) for fill, realised in moves]
        elif moves:
            self._high = self._high.through(self.balance(), [realised for _, realised in moves])
        self._booked += booked
        for identity in booking.changed:
            sent = self._sent.get(identity)
            if sent is not None:
                at.keep(sent)
            else:
                self._protective[identity] = booking.orders[identity]
        return booked

    def fills_from(self, symbol: str) -> int:
        return self._of(symbol).newest

    def order_strategies(self, client_order_ids: Collection[str]) -> Mapping[str, str]:
        known = ((identity, self._sent.get(decided_id(identity))) for identity in client_order_ids)
        return {identity: sent.request.strategy for identity, sent in known if sent is not None}

    def order_states(self, client_order_ids: Collection[str]) -> Mapping[str, OrderState]:
        states = {}
        for identity in client_order_ids:
            sent = self._sent.get(decided_id(identity))
            if sent is not None:
                states[identity] = sent.order.state
        return states

    def owners(self, symbol: str) -> frozenset[str]:
        live = self._of(symbol).live.values()
        return frozenset(sent.request.strategy for sent in live if sent.order.risk_reserved is not None)

    def overfilled(self, client_order_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        found = {}
        for identity in client_order_ids:
            sent = self._sent.get(identity)
            if sent is None or sent.request.at_fill is not None:
                continue
            if is_overfilled(sent.order.filled_units, sent.request.units):
                found[identity] = (sent.request.units, sent.order.filled_units)
        return found

    @contextmanager
    def in_order(self, moment_of: Callable[[Fill], Any]) -> Iterator[None]:
        """Compute the balance from fills in the order of their moments, independent of the order of recording.

        Only the deepest drawdown depends on it. Symbols that trade at the same market time are played one after the
        other, each through a stretch of candles; no entry is decided before all have come as far.

        Args:
            moment_of: Gives what fills are sorted by; it has to be another one for each.
        """
        self._moment_of = moment_of
        try:
            yield
        finally:
            self._moment_of = None
            self._high, self._moved = self._high_now(), []

    def clear_drawdown(self) -> None:
        """Allow entries again, as an operator's resolution of the incident does; the balance is the new peak."""
        self._high = HighWaterMark(self.balance())
        for at in self._symbols.values():
            at.incidents = [one for one in at.incidents if one.kind is not IncidentKind.MAX_DRAWDOWN]

    def flatten(
        self,
        symbol: str,
        strategy: str,
        after_ms: int,
        evaluate: Callable[[AccountSnapshot, int], RiskDecision],
        *,
        correlation_id: str,
    ) -> DecisionResult:
        raise Broken(f"{strategy} on {symbol} cannot be flattened in a replay, which has no quarantine")

    def has_exposure(self, symbol: str) -> bool:
        at = self._of(symbol)
        return any(sent.is_exposed for sent in at.live.values()) or any(one.is_open for one in at.positions.values())

    def fence(self, symbol: str) -> int | None:
        return max(self._of(symbol).fences.values(), default=None)

    def positions(self) -> Sequence[Position]:
        return [position for at in self._symbols.values() for position in at.positions.values()]

    def balance(self) -> float:
        """Return the starting balance plus all realised profit, in quote currency."""
        return self._starting_balance + math.fsum([position.realised for position in self.positions()])

    def decisions(self) -> list[dict[str, Any]]:
        """Return the decisions, oldest first, as plain dictionaries; see `SqlLedger.decisions`."""
        return [row | {"checks": check_rows(row["checks"])} for row in self._decisions.values()]

    def fills(self) -> list[Booked]:
        """Return each fill with the position before and after it, as they came."""
        return self._booked

    def orders(self) -> list[tuple[OrderRequest, BookedOrder]]:
        """Return each decided order with its state, oldest first."""
        return [(sent.request, sent.order) for sent in self._sent.values()]

    def rules_behind_exits(self) -> dict[str, str]:
        """Return the exit rule that requested an exit, or had moved a stop, by the id of the order."""
        moves = (move for at in self._symbols.values() for of in at.moves.values() for move in of.values())
        rules = {
            protective_order_id(move.entry_id, Leg.STOP_LOSS): move.rule
            for move in moves
            if move.rule and not move.refusal
        }
        for (symbol, strategy, open_ms), row in self._decisions.items():
            if row["exit_rule"] is not None:
                rules[client_order_id(self._account, symbol, strategy, open_ms, Leg.EXIT)] = row["exit_rule"]
        return rules

    def _view(
        self, at: SymbolBooks, symbol: str, strategy: str, at_ms: int, prices: Mapping[str, float]
    ) -> AccountSnapshot:
        has_unsettled = has_unsettled_exit = False
        places, risks, notionals, own = 0, [], [], []
        parts: list[OpenBook] = []
        for one in self._symbols.values():
            held = [position for position in one.positions.values() if position.units]
            owners = {position.strategy for position in held}
            unprotected = one.unprotected_strategies
            parts += (book_of(position, is_protected=position.strategy not in unprotected) for position in held)
            risks += one.uncovered_risks()
            for sent in one.live.values():
                order = sent.order
                if order.risk_reserved is not None:
                    risks.append(order.risk_reserved)
                    notionals.append(order.notional_reserved or 0.0)
                    parts.append(sent.part)
                    if one is at:
                        own.append(order.notional_reserved or 0.0)
                    owners.add(order.strategy)
                if one is at and sent.is_unsettled:
                    has_unsettled = True
                    has_unsettled_exit |= order.leg is Leg.EXIT and order.strategy == strategy
            places += len(owners)
        high = self._high_now()
        return AccountSnapshot(
            desired=at.desired,
            position=position_of(at, symbol, strategy),
            has_unsettled=has_unsettled,
            has_unsettled_exit=has_unsettled_exit,
            halted=at.halted,
            unprotected=at.unprotected,
            open_positions=places,
            open_risk=math.fsum(risks),
            open_notional=math.fsum(notionals),
            day_realised=math.fsum(self._days.get(self._day.number_of(at_ms), {}).values()),
            balance=self.balance(),
            symbol_notional=math.fsum(own),
            peak_balance=high.peak,
            drawdown=high.drawdown,
            latched=self._latched(),
            books=merged(parts, prices),
            trades_since=self._trades_since,
        )

    def _high_now(self) -> HighWaterMark:
        if not self._moved:
            return self._high
        return self._high.through(self.balance(), [realised for _, realised in sorted(self._moved)])

    def _trades_since(self, since_ms: int, symbol: str | None) -> Sequence[ClosedTrade]:
        chosen = self._symbols.values() if symbol is None else [self._of(symbol)]
        newest = (takewhile(lambda one: one.closed_ms > since_ms, reversed(at.trades)) for at in chosen)
        return [one for trades in newest for one in reversed(list(trades))]

    def _check_new(self, identities: Sequence[str]) -> None:
        if taken := next((one for one in identities if one in self._sent), None):
            raise Broken(f"order {taken} was planned before, a duplicate id: no decision and no order is recorded")

    def _earlier(self, symbol: str, strategy: str, open_ms: int) -> RiskDecision | None:
        row = self._decisions.get((symbol, strategy, open_ms))
        if row is None:
            return None
        return RiskDecision(row["rule"], row["reason"], breached=row["breached"], exit_rule=row["exit_rule"] or "")

    def _booking(self, at: SymbolBooks, symbol: str, fills: Sequence[Fill]) -> Booking:
        """Return the orders that the fills may change: their own, and every entry that holds a place in the account."""
        orders = {identity: sent.order for identity, sent in at.live.items()}
        for fill in fills:
            for identity in (fill.client_order_id, decided_id(fill.client_order_id)):
                if identity not in orders and identity in self._sent:
                    orders[identity] = self._sent[identity].order
                elif identity in self._protective:
                    orders[identity] = self._protective[identity]
        return Booking(symbol, dict(at.positions), orders)


def _unknown(at: SymbolBooks, symbol: str, fills: Sequence[Fill]) -> Sequence[Fill]:
    """Return the fills that are not known yet, each once, by sequence."""
    if stray := next((fill for fill in fills if fill.symbol != symbol), None):
        raise Broken(f"fill {stray.fill_id} is of {stray.symbol}, but was handed in for {symbol}")
    by_id = {fill.fill_id: fill for fill in fills if fill.fill_id not in at.known_fills}
    new = sorted(by_id.values(), key=lambda fill: fill.sequence)
    if new and new[0].sequence <= at.newest:
        raise Broken(
            f"fill {new[0].fill_id} of {symbol} comes after a later one (sequence {new[0].sequence}, the newest is "
            f"{at.newest}): this ledger works with a venue that shows its fills in order"
        )
    return new
