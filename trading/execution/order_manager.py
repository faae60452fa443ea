"""From intents to orders and from fills to positions: it alone calls a venue, moved stops (`stop_sender`) included."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from msgspec import Struct, field

from trading.errors import Rejected, Transient
from trading.events.bus import LocalBus
from trading.events.event import Event, correlation_id
from trading.execution import order_events
from trading.execution.incident_publisher import IncidentPublisher
from trading.execution.reconciliation import (
    AbandonOrder,
    Action,
    CancelOrder,
    LedgerSnapshot,
    RaiseIncident,
    ResendStop,
    SignalAgeLimit,
    SubmitOrder,
    UpdateOrder,
    VenueSnapshot,
    WaitForStop,
    WaitForVenue,
    is_booked,
    reconcile,
)
from trading.execution.retry_budget import PatienceTerms, RetryBudget
from trading.execution.stop_orders import StopLedger, StopSender
from trading.incidents import descriptions
from trading.incidents.descriptions import describe_order
from trading.incidents.incident import Incident
from trading.market.candles import Candles
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import (
    ENDED_OTHERWISE,
    Fill,
    Leg,
    OpenOrder,
    OrderRequest,
    OrderState,
    VenueOrder,
    VenuePosition,
    decided_open_ms,
)
from trading.portfolio.positions import Position, StopMove
from trading.ports.ledger import SymbolControls
from trading.ports.venue import Venue
from trading.tolerance import is_close

_UNHEARD = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN})
_NOT_THROUGH = "not sent, because the order before it did not go through"


class SettlementTerms(Struct, frozen=True):
    """How long to try.

    Attributes:
        max_signal_age_ms: An entry that was decided longer ago than this, in market time, is not sent any more.
        patience: How long it waits for the venue.
        most_looks: How often ledger and venue are compared in one go.
    """

    max_signal_age_ms: int
    patience: PatienceTerms = field(default_factory=PatienceTerms)
    most_looks: int = 30


class OrderLedger(StopLedger, SymbolControls, Protocol):
    """The parts of the ledger that settling orders needs; all but its decisions."""


class OrderManager:
    """The orders of one symbol, between the ledger and the venue.

    Attributes:
        is_settled: Ledger and venue agreed when they were last compared, and nothing has gone wrong since.
    """

    def __init__(
        self,
        symbol: str,
        timeframe: str,
        venue: Venue,
        ledger: OrderLedger,
        bus: LocalBus,
        terms: SettlementTerms,
        publisher: IncidentPublisher,
        *,
        sleep_s: Callable[[float], None],
        now_s: Callable[[], float],
        is_dry_run: bool = False,
    ) -> None:
        """Make it.

        Args:
            sleep_s: Waits between looks.
            now_s: A clock in seconds that never goes back.
            is_dry_run: Send and cancel nothing, also of what was decided before.
        """
        self.symbol = symbol
        self.timeframe = timeframe
        self._venue = venue
        self._ledger = ledger
        self._bus = bus
        self._terms = terms
        self._publisher = publisher
        self._retry_budget = RetryBudget(terms.patience, sleep_s=sleep_s, now_s=now_s)
        self._is_dry_run = is_dry_run
        self._stops = StopSender(symbol, venue, ledger, self._retry_budget)
        self.reset()

    def reset(self) -> None:
        """Ask ledger and venue again for all that is remembered."""
        self.is_settled = self._is_compared = False
        self._booked_sequence: int | None = None
        self._stops.are_all_sent = False
        self.renew_patience()

    def renew_patience(self) -> None:
        """Begin a message: what waiting for the venue may cost is counted anew."""
        self._retry_budget.renew(self._venue.terms.visibility_s)

    def book(self, candles: Candles, as_of_ms: int | None) -> bool:
        """Let the venue see `candles`, write down what it filled since we last asked, and return whether it did.

        Stops that a process before this one wrote down and may not have sent go first.
        """
        if not (self._stops.are_all_sent or self._is_dry_run) and len(candles):
            with self._unsettled_without_answer():
                sent = self._stops.send_all()
            for move in sent:
                self._tell_if_refused(move)
        newest = self._retry_budget.ask(lambda: self._venue.sync(self.symbol, candles))
        if newest == self._booked_sequence:
            return False
        self._book_fills(newest)
        if self._ledger.unsettled(self.symbol) or not (self._venue.terms.is_exact or self._holds_alike()):
            self.settle(as_of_ms)
        return True

    def send(self, intents: Sequence[Intent], as_of_ms: int | None) -> None:
        """Send what was just decided, one order after the other; the first one is claimed already."""
        for at, intent in enumerate(intents):
            following = intents[at + 1 :]
            order = self._submit(intent, following)
            if order is None or not self._accepted(order, following[:1]):
                break
        if not self.is_settled:
            self.settle(as_of_ms)

    def move_stop(
        self, strategy: str, open_ms: int, stop_loss: float, reason: str, as_of_ms: int | None, *, rule: str = ""
    ) -> StopMove | None:
        """Write down that a position's stop is to rest elsewhere, and have the venue move it.

        When it returns, the stop rests there, or it is said why it does not (`StopMove.refusal`). A candle that comes
        again moves nothing again.

        Args:
            open_ms: Open time of the candle that was decided on, milliseconds since the epoch, UTC.
            as_of_ms: Market time; None when the source did not tell.
            rule: Id of the exit rule that asks for it; empty where none does.

        Returns:
            The move as it is written down, an earlier one of the same candle as it was; None when there is no open
            position, its stop is to rest there already, or a later candle was decided on.

        Raises:
            Transient: Not known whether the venue moved it. No candle may be shown to it before that is known: handle
                the candle again.
        """
        if self._is_dry_run:
            return None
        cause = correlation_id(self.symbol, self.timeframe, open_ms)
        move = self._ledger.move_stop(
            self.symbol, strategy, open_ms, stop_loss, reason, rule=rule, correlation_id=cause
        )
        if move is None or not move.is_current or self._stops.is_sent(move):
            return move
        with self._unsettled_without_answer():
            move = self._stops.send(move)
        self._bus.publish(order_events.stop_move_event(move, cause))
        if not self.is_settled or self._stops.is_overtaken(move):
            self.settle(as_of_ms)
        return move

    def withdraw_entries(self, as_of_ms: int | None, reason: str) -> None:
        """Settle, let go each entry that was not sent, and have the venue cancel what is not filled of the others."""
        self.settle(as_of_ms, no_entries=reason)
        resting = [one for one in self._ledger.unsettled(self.symbol) if one.request.leg is Leg.ENTRY]
        for one in resting:
            with suppress(Transient, Rejected):  # the next look tells
                self._venue.cancel(one.request.client_order_id)
        if resting:
            self.settle(as_of_ms, no_entries=reason)

    def settle(self, as_of_ms: int | None, *, no_entries: str = "") -> list[Action]:
        """Find out how the orders stand, send or let go what was never sent, and compare ledger and venue.

        Args:
            as_of_ms: Market time; None when the source did not tell.
            no_entries: Why no entry is wanted any more; empty when they are.

        Returns:
            What was done, and at the end what could not be settled.
        """
        freshness = SignalAgeLimit(as_of_ms, self._terms.max_signal_age_ms)
        done: list[Action] = []
        sent: set[str] = set()
        waits, waited_s = self._retry_budget.waits(), 0.0
        for _ in range(self._terms.most_looks):
            actions = self._look(freshness, no_entries)
            actions = [self._held_back(action, sent) for action in actions if not self._is_untouched(action)]
            pressing = [
                action for action in actions if not isinstance(action, WaitForVenue | WaitForStop | RaiseIncident)
            ]
            for action in pressing:
                self._act(action)
            done += pressing
            if pressing:
                continue
            if not actions:
                self.is_settled = self._is_compared
                return done
            wait_s = next(waits, None)
            if wait_s is None:
                break
            waited_s += wait_s
            sent.clear()
        is_sure = self._retry_budget.is_long(waited_s)
        self.is_settled = is_sure and all(isinstance(action, RaiseIncident) for action in actions)
        self._give_up(actions, is_sure=is_sure)
        return [
            *done,
            *(action for action in actions if isinstance(action, WaitForVenue | WaitForStop | RaiseIncident)),
        ]

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Ask the venue for an order, None when it is sure that there is none."""
        return self._retry_budget.ask(lambda: self._venue.find(client_order_id))

    def held_at_venue(self) -> Sequence[VenuePosition]:
        """Write down what was filled, and return the venue's positions in the symbol.

        Raises:
            Transient: The venue did not answer, or what it holds may be of an order whose outcome is not written down.
        """
        self._book_fills(self._retry_budget.ask(lambda: self._venue.sync(self.symbol, Candles.empty())))
        for intent in self._ledger.unsettled(self.symbol):
            self._check_known(intent)
        return [one for one in self._retry_budget.ask(self._venue.positions) if one.symbol == self.symbol]

    def _check_known(self, intent: Intent) -> None:
        if intent.state is OrderState.PLANNED:
            return
        order = self.find(intent.request.client_order_id)
        is_too_soon = order is None and intent.claimed_ago_s < self._venue.terms.visibility_s
        if is_too_soon or (order is not None and not is_booked(intent, order)):
            what = describe_order(intent.request)
            raise Transient(f"venue of {self.symbol}", f"what became of {what} is not shown yet: ask again")

    def _is_untouched(self, action: Action) -> bool:
        return self._is_dry_run and isinstance(action, CancelOrder | ResendStop | WaitForStop)

    def _held_back(self, action: Action, sent: set[str]) -> Action:
        """Leave what was sent in this round already for later, and an order that a dry run must not send."""
        if isinstance(action, ResendStop):
            identity = f"{action.move.entry_id} {action.move.after}"
            if identity in sent:
                return WaitForStop(action.move, "sent a moment ago, and not shown yet", action.naked)
            sent.add(identity)
        if isinstance(action, SubmitOrder):
            identity = action.intent.request.client_order_id
            if self._is_dry_run:
                return WaitForVenue(action.intent, "this is a dry run")
            if identity in sent:
                return WaitForVenue(action.intent, "sent a moment ago without an answer")
            sent.add(identity)
        return action

    def _holds_alike(self) -> bool:
        """Return whether ledger and venue hold the same: else there are fills that the venue has not shown yet."""
        held = sum(one.units for one in self._ledger.positions() if one.symbol == self.symbol)
        at_venue = self._units_at_venue()
        return at_venue is not None and is_close(held, at_venue)

    def _look(self, freshness: SignalAgeLimit, no_entries: str) -> list[Action]:
        self._book_fills(self._retry_budget.ask(lambda: self._venue.sync(self.symbol, Candles.empty())))
        units, open_orders = self._units_at_venue(), self._open_orders()
        self._is_compared = units is not None and open_orders is not None
        intents = self._ledger.unsettled(self.symbol)
        positions = [position for position in self._ledger.positions() if position.symbol == self.symbol]
        whose = self._stops.whose(positions, open_orders)
        ours = LedgerSnapshot(
            self.symbol,
            intents,
            positions,
            self._ledger.desired(self.symbol),
            self._ledger.incidents_of(self.symbol),
            self._ledger.owners(self.symbol),
            self._ledger.order_states([order.client_order_id for order in open_orders or ()]),
            no_entries,
            self._stops.unsent(positions, open_orders, whose),
            whose,
        )
        theirs = VenueSnapshot(self._answers(intents), units, open_orders, self._venue.terms.visibility_s)
        return reconcile(ours, theirs, freshness)

    @contextmanager
    def _unsettled_without_answer(self) -> Iterator[None]:
        try:
            yield
        except Transient:
            self.is_settled = False
            raise

    def _units_at_venue(self) -> float | None:
        """Return the venue's net position in the symbol; None when it does not say."""
        with suppress(Transient):
            return sum(one.units for one in self._retry_budget.ask(self._venue.positions) if one.symbol == self.symbol)
        return None

    def _open_orders(self) -> Sequence[OpenOrder] | None:
        with suppress(Transient):
            return self._retry_budget.ask(lambda: self._venue.open_orders(self.symbol))
        return None

    def _answers(self, intents: Sequence[Intent]) -> dict[str, VenueOrder | None]:
        """Ask for each order that the venue may have; one about which it does not answer is left out."""
        answers = {}
        for intent in intents:
            if intent.state is not OrderState.PLANNED:
                identity = intent.request.client_order_id
                with suppress(Transient):
                    answers[identity] = self._venue.find(identity)
        return answers

    def _act(self, action: Action) -> None:
        match action:
            case UpdateOrder(intent, order, state, dependents):
                self._ledger.mark(
                    OrderUpdate(order.client_order_id, state, order.venue_order_id), *_given_up(dependents)
                )
                if intent.state in _UNHEARD:
                    self._bus.publish(order_events.order_event(intent.request, order, self._cause(intent.request)))
                self._tell_given_up(dependents)
            case SubmitOrder(intent, dependents):
                claim = OrderUpdate(intent.request.client_order_id, OrderState.SUBMITTING, claims=intent.attempt + 1)
                if self._ledger.mark(claim) and (sent := self._submit(intent, dependents)) is not None:
                    self._accepted(sent, ())
            case AbandonOrder(intent, state, reason, dependents):
                self._ledger.mark(
                    OrderUpdate(intent.request.client_order_id, state, reason=reason), *_given_up(dependents)
                )
                self._bus.publish(order_events.cancel_event(intent.request, reason, self._cause(intent.request)))
                self._tell_given_up(dependents)
            case ResendStop(move, _):
                with suppress(Transient):  # the next look tells
                    self._tell_if_refused(self._stops.try_send(move))
            case CancelOrder(order, _):
                with suppress(Transient, Rejected):  # the next look tells
                    self._venue.cancel(order.client_order_id)

    def _give_up(self, actions: Sequence[Action], *, is_sure: bool) -> None:
        """Write down what could not be settled, and tell a person what is wrong if it was looked at for long enough."""
        for action in actions:
            if isinstance(action, WaitForVenue) and action.intent.state is OrderState.SUBMITTING:
                self._ledger.mark(
                    OrderUpdate(action.intent.request.client_order_id, OrderState.UNKNOWN, reason=action.reason)
                )
        if is_sure:
            found = [action.incident for action in actions if isinstance(action, RaiseIncident)]
            self._tell([*found, *(one.naked for one in actions if isinstance(one, WaitForStop) and one.naked)])

    def publish_incidents(self) -> None:
        """Tell a person what is written down and was not told yet."""
        self._publisher.publish()

    def _tell(self, incidents: Sequence[Incident]) -> None:
        if incidents and self._ledger.open_incidents(incidents):
            self._publisher.publish()

    def _submit(self, intent: Intent, dependents: Sequence[Intent]) -> VenueOrder | None:
        """Send one claimed order, and return the venue's answer; None when it refused, or did not say.

        With its refusal the orders that counted on it are given up, in the same transaction.
        """
        request = intent.request
        cause = self._cause(request)
        try:
            order = self._venue.submit(request)
        except Rejected as refusal:
            reason = f"the venue refused it: {refusal}"
            self._ledger.mark(
                OrderUpdate(request.client_order_id, OrderState.REJECTED, reason=reason), *_given_up(dependents)
            )
            self._bus.publish(order_events.failure_event(request, reason, cause))
            self._tell_given_up(dependents)
            return None
        except Transient as trouble:
            self.is_settled = False
            reason = f"outcome unknown: {trouble}"
            self._ledger.mark(OrderUpdate(request.client_order_id, OrderState.UNKNOWN, reason=reason))
            self._bus.publish(order_events.failure_event(request, reason, cause))
            return None
        self._bus.publish_lazily(lambda: [order_events.order_event(request, order, cause)])
        return order

    def _accepted(self, order: VenueOrder, following: Sequence[Intent]) -> bool:
        """Write down that the venue took an order, claim the one that follows, and return whether that may be sent.

        An end is written down only here when nothing was filled; else the fills say so, once they are booked.
        """
        has_ended_unfilled = order.state in ENDED_OTHERWISE and not order.filled_units
        state = order.state if has_ended_unfilled else OrderState.ACCEPTED
        updates = (
            [OrderUpdate(order.client_order_id, state, order.venue_order_id)]
            if order.state is not OrderState.FILLED
            else []
        )
        if has_ended_unfilled:
            updates += _given_up(following)
        else:
            updates += [OrderUpdate(one.request.client_order_id, OrderState.SUBMITTING, claims=1) for one in following]
        is_written = not updates or self._ledger.mark(*updates)
        if not is_written or order.state in ENDED_OTHERWISE:
            self.is_settled = False
        if has_ended_unfilled:
            self._tell_given_up(following)
        return is_written and not has_ended_unfilled

    def _tell_if_refused(self, move: StopMove) -> None:
        """Tell of a move that was sent again; that it was made is told, or was, with its candle."""
        if move.refusal:
            self._bus.publish(
                order_events.stop_move_event(move, correlation_id(self.symbol, self.timeframe, move.open_ms))
            )

    def _tell_given_up(self, intents: Sequence[Intent]) -> None:
        for one in intents:
            self._bus.publish(order_events.failure_event(one.request, _NOT_THROUGH, self._cause(one.request)))

    def _book_fills(self, newest: int) -> None:
        """Write down the fills up to the venue's newest one, page by page; what it shows late is asked for again."""
        after = self._ledger.fills_from(self.symbol)
        waits = self._retry_budget.waits()
        while True:
            fills = self._retry_budget.ask(lambda after=after: self._venue.fills(self.symbol, after=after))  # type: ignore[misc]
            self._record(fills)
            seen = max((fill.sequence for fill in fills), default=0)
            if seen >= newest:
                self._booked_sequence = newest
                return
            if seen > after:
                after = seen
                continue
            if next(waits, None) is None:
                self._booked_sequence = None
                return
            after = self._ledger.fills_from(self.symbol)

    def _record(self, fills: Sequence[Fill]) -> None:
        """Write down fills of our orders, and tell a person of late ones and of those that we did not decide on."""
        if self._venue.terms.is_exact:
            exact = self._ledger.record_fills(self.symbol, fills)
            self._bus.publish_lazily(lambda: self._fill_events(exact))
            return
        states = self._ledger.order_states({fill.client_order_id for fill in fills}) if fills else {}
        ours = [fill for fill in fills if fill.client_order_id in states]
        incidents = [descriptions.foreign_fill(fill) for fill in fills if fill.client_order_id not in states]
        booked = self._ledger.record_fills(self.symbol, ours)
        incidents += [
            descriptions.overfilled(self.symbol, identity, *units)
            for identity, units in self._ledger.overfilled({fill.client_order_id for fill in ours}).items()
        ]
        self._bus.publish_lazily(lambda: self._fill_events(booked))
        self._tell(incidents)
        if any(states[fill.client_order_id] in ENDED_OTHERWISE for fill, _, _ in booked):
            self._publisher.publish()  # the ledger has written down that they came late

    def _fill_events(self, booked: Sequence[tuple[Fill, Position, Position]]) -> Iterator[Event]:
        for fill, before, after in booked:
            cause = correlation_id(self.symbol, self.timeframe, decided_open_ms(fill.client_order_id))
            yield from order_events.fill_events(fill, before, after, cause)

    def _cause(self, request: OrderRequest) -> str:
        return correlation_id(self.symbol, self.timeframe, decided_open_ms(request.client_order_id))


def _given_up(intents: Sequence[Intent]) -> list[OrderUpdate]:
    return [OrderUpdate(one.request.client_order_id, OrderState.CANCELED, reason=_NOT_THROUGH) for one in intents]
