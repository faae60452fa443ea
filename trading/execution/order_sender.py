"""Order submission: sends one claimed order, records the venue's answer and claims the order that follows it."""

from collections.abc import Sequence

from msgspec import Struct

from trading.errors import Rejected, Transient
from trading.events.bus import LocalBus
from trading.execution import order_events
from trading.execution.incident_publisher import IncidentPublisher
from trading.execution.reconciliation import AbandonOrder, SubmitOrder, UpdateOrder
from trading.execution.symbol_venue import SymbolVenue
from trading.execution.terms import ExecutionTerms
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import ENDED_OTHERWISE, Leg, OrderRequest, OrderState, VenueOrder
from trading.ports.ledger import OrderLog

_NOT_THROUGH = "not sent, because the order before it did not go through"
_TOO_SMALL = "canceled by the venue; at the price of its fill the equity may have been too little for the smallest size"
_UNANSWERED = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN})


class SendResult(Struct, frozen=True):
    """The result of one send.

    Attributes:
        is_certain: The ledger holds the final answer of the send; False if the order must be looked up at the venue.
        may_continue: The next order of the same decision is claimed and may be sent.
    """

    is_certain: bool
    may_continue: bool


class OrderSender:
    """Sends the orders of one symbol. Each change of an order is recorded in the ledger, then published."""

    def __init__(
        self,
        terms: ExecutionTerms,
        venue: SymbolVenue,
        ledger: OrderLog,
        bus: LocalBus,
        publisher: IncidentPublisher,
    ) -> None:
        self._terms = terms
        self._venue = venue
        self._ledger = ledger
        self._bus = bus
        self._publisher = publisher

    def send_all(self, intents: Sequence[Intent]) -> bool:
        """Send the orders of one decision one after the other; the first one is claimed already.

        Returns:
            Whether the result of each send is certain.
        """
        is_certain = True
        for at, intent in enumerate(intents):
            dependents = intents[at + 1 :]
            result = self.send(intent, dependents, dependents[:1])
            is_certain = is_certain and result.is_certain
            if not result.may_continue:
                break
        return is_certain

    def send(self, intent: Intent, dependents: Sequence[Intent], following: Sequence[Intent]) -> SendResult:
        """Send one claimed order and record the venue's answer.

        Args:
            dependents: Orders that are abandoned with this one, in the same transaction, if the venue rejects it.
            following: Orders that are claimed, in the same transaction, when the venue accepts it.
        """
        request = intent.request
        try:
            order = self._venue.submit(request)
        except Rejected as rejection:
            return self._rejected(request, rejection, dependents)
        except Transient as error:
            return self._unknown(request, error)
        self._bus.publish_lazily(lambda: [order_events.order_event(request, order, self._cause(request))])
        if order.state in ENDED_OTHERWISE and not order.filled_units:
            return self._ended_unfilled(request, order, following)
        return self._accepted(order, following)

    def claim_and_send(self, action: SubmitOrder) -> None:
        """Claim an order and send it, unless another process claimed it first."""
        intent = action.intent
        claim = OrderUpdate(intent.request.client_order_id, OrderState.SUBMITTING, claims=intent.attempt + 1)
        if self._ledger.mark(claim):
            self.send(intent, action.dependents, ())

    def update(self, action: UpdateOrder) -> None:
        """Record an order's state at the venue."""
        order, request = action.order, action.intent.request
        is_too_small = request.at_fill is not None and action.state is OrderState.CANCELED and not order.filled_units
        reason = _TOO_SMALL if is_too_small else ""
        self._ledger.mark(
            OrderUpdate(order.client_order_id, action.state, order.venue_order_id, reason),
            *_given_up(action.dependents),
        )
        if is_too_small:
            self._bus.publish(order_events.cancel_event(request, reason, self._cause(request)))
        if action.intent.state in _UNANSWERED:
            self._bus.publish(order_events.order_event(request, order, self._cause(request)))
        self._publish_given_up(action.dependents)
        if action.state in ENDED_OTHERWISE:
            self._publish_failed_exit(request)

    def abandon(self, action: AbandonOrder) -> None:
        """Record that an order is abandoned because it is not at the venue."""
        request = action.intent.request
        self._ledger.mark(
            OrderUpdate(request.client_order_id, action.state, reason=action.reason), *_given_up(action.dependents)
        )
        self._bus.publish(order_events.cancel_event(request, action.reason, self._cause(request)))
        self._publish_given_up(action.dependents)
        self._publish_failed_exit(request)

    def _rejected(self, request: OrderRequest, rejection: Rejected, dependents: Sequence[Intent]) -> SendResult:
        reason = f"the venue refused it: {rejection}"
        self._ledger.mark(
            OrderUpdate(request.client_order_id, OrderState.REJECTED, reason=reason), *_given_up(dependents)
        )
        self._bus.publish(order_events.failure_event(request, reason, self._cause(request)))
        self._publish_given_up(dependents)
        self._publish_failed_exit(request)
        return SendResult(is_certain=True, may_continue=False)

    def _unknown(self, request: OrderRequest, error: Transient) -> SendResult:
        reason = f"outcome unknown: {error}"
        self._ledger.mark(OrderUpdate(request.client_order_id, OrderState.UNKNOWN, reason=reason))
        self._bus.publish(order_events.failure_event(request, reason, self._cause(request)))
        return SendResult(is_certain=False, may_continue=False)

    def _ended_unfilled(self, request: OrderRequest, order: VenueOrder, following: Sequence[Intent]) -> SendResult:
        ended = OrderUpdate(order.client_order_id, order.state, order.venue_order_id)
        self._ledger.mark(ended, *_given_up(following))
        self._publish_given_up(following)
        self._publish_failed_exit(request)
        return SendResult(is_certain=False, may_continue=False)

    def _accepted(self, order: VenueOrder, following: Sequence[Intent]) -> SendResult:
        """Record that the venue accepted an order, and claim the next one.

        The end of an order with fills is recorded with its fills, not here.
        """
        updates = [OrderUpdate(one.request.client_order_id, OrderState.SUBMITTING, claims=1) for one in following]
        if order.state is not OrderState.FILLED:
            updates.insert(0, OrderUpdate(order.client_order_id, OrderState.ACCEPTED, order.venue_order_id))
        is_recorded = not updates or self._ledger.mark(*updates)
        return SendResult(is_recorded and order.state not in ENDED_OTHERWISE, is_recorded)

    def _publish_given_up(self, intents: Sequence[Intent]) -> None:
        for one in intents:
            self._bus.publish(order_events.failure_event(one.request, _NOT_THROUGH, self._cause(one.request)))

    def _publish_failed_exit(self, request: OrderRequest) -> None:
        """Publish the incident that the ledger opened where an exit ended and left its position open."""
        if request.leg is Leg.EXIT:
            self._publisher.publish()

    def _cause(self, request: OrderRequest) -> str:
        return self._terms.order_correlation_id(request)


def _given_up(intents: Sequence[Intent]) -> list[OrderUpdate]:
    return [OrderUpdate(one.request.client_order_id, OrderState.CANCELED, reason=_NOT_THROUGH) for one in intents]
