"""Order management of one symbol: compares ledger and venue and acts until both agree.

Every call to the venue starts here: `order_sender` submits orders, `fill_recorder` records fills, `stop_orders` moves
stops, and `reconciliation` decides, as a pure function, which action comes next.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from msgspec import Struct

from trading.errors import Rejected, Transient
from trading.events.bus import LocalBus
from trading.execution import order_events
from trading.execution.fill_recorder import FillLedger, FillRecorder
from trading.execution.incident_publisher import IncidentPublisher
from trading.execution.order_sender import OrderSender
from trading.execution.reconciliation import (
    AbandonOrder,
    Action,
    CancelOrder,
    EndIncident,
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
from trading.execution.reconciliation.settle_progress import SettleProgress
from trading.execution.stop_orders import StopLedger, StopSender
from trading.execution.symbol_venue import SymbolVenue
from trading.execution.terms import ExecutionTerms
from trading.incidents.descriptions import describe_order
from trading.incidents.incident import IncidentKind
from trading.market.candles import Candles
from trading.market.timeframes import Timeframe
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import Leg, OpenOrder, OrderState, VenueOrder, VenuePosition
from trading.portfolio.positions import StopMove
from trading.ports.ledger import IncidentLog, SymbolControls


class Comparison(Struct, frozen=True):
    """The result of one comparison of ledger and venue.

    Attributes:
        is_complete: The venue reported its position and its open orders.
    """

    actions: Sequence[Action]
    is_complete: bool


class OrderLedger(StopLedger, FillLedger, IncidentLog, SymbolControls, Protocol):
    """The parts of the ledger that orders need, from the intent to the position."""


class OrderManager:
    """The orders of one symbol, between the ledger and the venue.

    Attributes:
        is_settled: Ledger and venue agreed in the last comparison, and no call has failed since.
    """

    def __init__(
        self,
        terms: ExecutionTerms,
        venue: SymbolVenue,
        ledger: OrderLedger,
        bus: LocalBus,
        fills: FillRecorder,
        publisher: IncidentPublisher,
    ) -> None:
        self.symbol = terms.symbol
        self._terms = terms
        self._venue = venue
        self._ledger = ledger
        self._bus = bus
        self._fills = fills
        self._publisher = publisher
        self._sender = OrderSender(terms, venue, ledger, bus, publisher)
        self._stops = StopSender(venue, ledger, unit_step=terms.unit_step)
        self.reset()

    def reset(self) -> None:
        """Drop all cached state; ledger and venue are read again."""
        self.is_settled = False
        self._awaits_size = False
        self._fills.reset()
        self._stops.are_all_sent = False
        self.renew_budget()

    def renew_budget(self) -> None:
        """Start the retry budget of a new message."""
        self._venue.renew_budget()

    def book(self, candles: Candles, as_of_ms: int | None) -> bool:
        """Pass `candles` to the venue, record the fills since the last call, and return whether there were any.

        Stops that an earlier process recorded and may not have sent are sent first.
        """
        if len(candles) and not (self._stops.are_all_sent or self._terms.is_dry_run):
            self._send_recorded_stops()
        newest = self._venue.sync(candles)
        if self._fills.is_recorded(newest):
            if self._awaits_size:  # the venue may have ended such an entry without a fill
                self.settle(as_of_ms)
            return False
        self._fills.record(newest)
        if self._ledger.unsettled(self.symbol) or not self._fills.is_complete():
            self.settle(as_of_ms)
        return True

    def send(self, intents: Sequence[Intent], as_of_ms: int | None) -> None:
        """Send the orders of a new decision, one after the other; the first one is claimed already."""
        was_settled, self.is_settled = self.is_settled, False  # as long as an answer may be missing
        self._note_sizes(intents)
        self.is_settled = self._sender.send_all(intents) and was_settled
        if not self.is_settled:
            self.settle(as_of_ms)

    def move_stop(
        self, strategy: str, open_ms: int, stop_loss: float, reason: str, as_of_ms: int | None, *, rule: str = ""
    ) -> StopMove | None:
        """Record a new stop price for a position, and move the stop at the venue.

        Afterwards the stop rests at that price, or `StopMove.refusal` has the reason against it. A repeated candle
        moves nothing again.

        Args:
            open_ms: Open time of the candle decided on, milliseconds since the epoch, UTC.
            as_of_ms: Market time; None if unknown.
            rule: Id of the exit rule that moves the stop; empty for none.

        Returns:
            The recorded move, an earlier one of the same candle unchanged; None when no position is open, its stop
            rests at that price already, or a later candle was decided on.

        Raises:
            Transient: The outcome at the venue is unknown. No candle may be shown to the venue before it is known:
                process the candle again.
        """
        if self._terms.is_dry_run:
            return None
        cause = self._terms.correlation_id(open_ms)
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
        """Settle, abandon each entry that was not sent, and cancel the unfilled rest of the others at the venue."""
        self.settle(as_of_ms, no_entries=reason)
        resting = [one for one in self._ledger.unsettled(self.symbol) if one.request.leg is Leg.ENTRY]
        for one in resting:
            self._cancel(one.request.client_order_id)
        if resting:
            self.settle(as_of_ms, no_entries=reason)

    def settle(self, as_of_ms: int | None, *, no_entries: str = "") -> list[Action]:
        """Compare ledger and venue and act on the differences, until both agree or the retry budget is used up.

        Args:
            as_of_ms: Market time; None if unknown.
            no_entries: Reason why no entry may be sent; empty when entries are allowed.

        Returns:
            The actions carried out, then those that still wait.
        """
        self.is_settled = False  # until a comparison shows it, also where this call fails
        age_limit = SignalAgeLimit(as_of_ms, self._terms.max_signal_age_ms)
        progress = SettleProgress(self._venue.waits(), is_dry_run=self._terms.is_dry_run)
        for _ in range(self._terms.most_comparisons):
            found = self._compare(age_limit, no_entries)
            if due := progress.take(found.actions):
                for action in due:
                    self._carry_out(action)
            elif not progress.waiting:
                self.is_settled = found.is_complete
                return progress.done
            elif not progress.wait():
                break
        missing = self._record_unsettled(progress)
        again = self._place_again(missing, as_of_ms, no_entries) if missing else []
        return [*progress.done, *progress.waiting, *again]

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Return an order at the venue; None if the venue is certain that there is none."""
        return self._venue.find(client_order_id)

    def held_at_venue(self) -> Sequence[VenuePosition]:
        """Record the fills, and return the venue's positions in the symbol.

        Raises:
            Transient: The venue does not answer, or its position may come from an order whose outcome is not recorded.
        """
        self._fills.record(self._venue.sync(Candles.empty()))
        for intent in self._ledger.unsettled(self.symbol):
            self._check_known(intent)
        return self._venue.positions()

    def publish_incidents(self) -> None:
        """Publish the recorded incidents that are not published yet."""
        self._publisher.publish()

    def _note_sizes(self, intents: Sequence[Intent]) -> None:
        """Note whether an entry waits for the venue to size it at its fill."""
        self._awaits_size = any(one.request.at_fill is not None for one in intents)

    def _check_known(self, intent: Intent) -> None:
        if intent.state is OrderState.PLANNED:
            return
        order = self.find(intent.request.client_order_id)
        is_too_soon = order is None and intent.claimed_ago_s < self._venue.visibility_s
        if is_too_soon or (order is not None and not is_booked(intent, order)):
            what = describe_order(intent.request)
            raise Transient(f"venue of {self.symbol}", f"the outcome of {what} is not visible yet: try again")

    def _send_recorded_stops(self) -> None:
        with self._unsettled_without_answer():
            sent = self._stops.send_all()
        for move in sent:
            self._publish_refusal(move)

    def _compare(self, age_limit: SignalAgeLimit, no_entries: str) -> Comparison:
        self._fills.record(self._venue.sync(Candles.empty()))
        units, open_orders = self._venue.units(), self._venue.known_open_orders()
        ours = self._ledger_snapshot(open_orders, no_entries)
        answers = self._venue.find_all(ours.intents)
        theirs = VenueSnapshot(answers, units, open_orders, self._venue.visibility_s)
        is_complete = units is not None and open_orders is not None
        return Comparison(reconcile(ours, theirs, age_limit), is_complete)

    def _ledger_snapshot(self, open_orders: Sequence[OpenOrder] | None, no_entries: str) -> LedgerSnapshot:
        intents = self._ledger.unsettled(self.symbol)
        self._note_sizes(intents)
        positions = [one for one in self._ledger.positions() if one.symbol == self.symbol]
        whose = self._stops.whose(positions, open_orders)
        return LedgerSnapshot(
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
            self._terms.unit_step,
        )

    def _carry_out(self, action: Action) -> None:
        match action:
            case UpdateOrder():
                self._sender.update(action)
            case SubmitOrder():
                self._sender.claim_and_send(action)
            case AbandonOrder():
                self._sender.abandon(action)
            case ResendStop(move, _):
                with suppress(Transient):  # the next comparison shows where the stop rests
                    self._publish_refusal(self._stops.try_send(move))
            case EndIncident(incident, reason):
                self._ledger.end_incidents([incident], reason)
            case CancelOrder(order, _):
                self._cancel(order.client_order_id)

    def _cancel(self, client_order_id: str) -> None:
        with suppress(Transient, Rejected):  # the next comparison shows whether it was cancelled
            self._venue.cancel(client_order_id)

    def _record_unsettled(self, progress: SettleProgress) -> list[str]:
        """Record orders without an answer as unknown, and open incidents for differences that lasted long enough.

        Returns:
            The strategies whose position was found without its stop for the first time.
        """
        is_sure = self._venue.is_long(progress.waited_s)
        self.is_settled = is_sure and progress.has_only_incidents
        for action in progress.waiting:
            if isinstance(action, WaitForVenue) and action.intent.state is OrderState.SUBMITTING:
                self._ledger.mark(
                    OrderUpdate(action.intent.request.client_order_id, OrderState.UNKNOWN, reason=action.reason)
                )
        if not is_sure:
            return []
        found = [action.incident for action in progress.waiting if isinstance(action, RaiseIncident)]
        naked = [one.naked for one in progress.waiting if isinstance(one, WaitForStop) and one.naked]
        new = self._publisher.open([*found, *naked])
        moving = {one.key for one in naked}  # their stop was sent already
        return [one.key for one in new if one.kind is IncidentKind.UNPROTECTED and one.key not in moving]

    def _place_again(self, strategies: Sequence[str], as_of_ms: int | None, no_entries: str) -> list[Action]:
        """Place the stops that the venue has lost, once each, and compare again: a stop that rests ends its incident.

        A repeated call finds the incidents open and does nothing: the policy for unprotected positions follows.
        """
        if self._terms.is_dry_run or not self._ledger.permissions(self.symbol).stop_moves:
            return []
        for strategy in strategies:
            with suppress(Transient):  # the comparison below shows where the stop rests
                placed = self._stops.place_again(strategy, self._last_closed_ms(strategy, as_of_ms))
                if placed is not None:
                    cause = self._terms.correlation_id(placed.open_ms)
                    self._bus.publish(order_events.stop_move_event(placed, cause))
        return self.settle(as_of_ms, no_entries=no_entries)

    def _last_closed_ms(self, strategy: str, as_of_ms: int | None) -> int:
        """Return the latest open time at which a candle has closed; that of the position where the time is unknown."""
        if as_of_ms is not None:
            return Timeframe.parse(self._terms.timeframe).shifted(as_of_ms, -1)
        return max(one.opened_ms for one in self._ledger.positions() if one.strategy == strategy)

    @contextmanager
    def _unsettled_without_answer(self) -> Iterator[None]:
        try:
            yield
        except Transient:
            self.is_settled = False
            raise

    def _publish_refusal(self, move: StopMove) -> None:
        """Publish that a resent stop move was rejected; its success was published with its candle."""
        if move.refusal:
            cause = self._terms.correlation_id(move.open_ms)
            self._bus.publish(order_events.stop_move_event(move, cause))
