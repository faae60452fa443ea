"""One symbol's access to its venue: reads are retried within the message's retry budget, sends are made once."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from trading.errors import Transient
from trading.execution.retry_budget import RetryBudget
from trading.market.candles import Candles
from trading.orders.intents import Intent
from trading.orders.orders import Fill, OpenOrder, OrderRequest, OrderState, VenueOrder, VenuePosition
from trading.ports.venue import Venue
from trading.tolerance import total_units


class SymbolVenue:
    """The venue as one symbol uses it. Every method may raise Transient, unless it says otherwise."""

    def __init__(self, symbol: str, venue: Venue, budget: RetryBudget) -> None:
        self.symbol = symbol
        self._venue = venue
        self._budget = budget
        self.renew_budget()

    @property
    def visibility_s(self) -> float:
        """Seconds after a send for which `find` may not show the order."""
        return self._venue.terms.visibility_s

    def renew_budget(self) -> None:
        """Start the retry budget of a new message."""
        self._budget.renew(self.visibility_s)

    def waits(self) -> Iterator[float]:
        """Wait before each step, longer each time, and yield the seconds; end when the budget is used up."""
        return self._budget.waits()

    def is_long(self, waited_s: float) -> bool:
        """Return whether a difference has lasted too long, after `waited_s`, to be a delay of the venue."""
        return self._budget.is_long(waited_s)

    def sync(self, candles: Candles) -> int:
        """Pass closed candles to the venue, and return the sequence number of the symbol's newest fill, 0 for none."""
        return self._budget.call(lambda: self._venue.sync(self.symbol, candles))

    def fills(self, *, after: int) -> Sequence[Fill]:
        """Return the symbol's fills whose sequence number is above `after`, in order."""
        return self._budget.call(lambda: self._venue.fills(self.symbol, after=after))

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Return an order; None if the venue is certain that there is none."""
        return self._budget.call(lambda: self._venue.find(client_order_id))

    def find_all(self, intents: Sequence[Intent]) -> dict[str, VenueOrder | None]:
        """Look up once each order that may be at the venue; an order without an answer is left out. Never raises."""
        answers = {}
        for intent in intents:
            if intent.state is not OrderState.PLANNED:
                identity = intent.request.client_order_id
                with suppress(Transient):
                    answers[identity] = self._venue.find(identity)
        return answers

    def positions(self) -> list[VenuePosition]:
        """Return the open positions in the symbol."""
        return [one for one in self._budget.call(self._venue.positions) if one.symbol == self.symbol]

    def units(self) -> float | None:
        """Return the net position in the symbol; None when the venue does not answer. Never raises."""
        with suppress(Transient):
            return total_units(one.units for one in self.positions())
        return None

    def open_orders(self) -> Sequence[OpenOrder]:
        """Return the symbol's orders that rest at the venue."""
        return self._budget.call(lambda: self._venue.open_orders(self.symbol))

    def known_open_orders(self) -> Sequence[OpenOrder] | None:
        """Return the symbol's resting orders; None when the venue does not answer. Never raises."""
        with suppress(Transient):
            return self.open_orders()
        return None

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Send an order, see `trading.ports.venue.Venue.submit`."""
        return self._venue.submit(request)

    def cancel(self, client_order_id: str) -> None:
        """Cancel the unfilled rest of an order, see `trading.ports.venue.Venue.cancel`."""
        self._venue.cancel(client_order_id)

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        """Move the stop of a filled entry, see `trading.ports.venue.Venue.move_stop`."""
        self._venue.move_stop(entry_id, stop_loss, open_ms)
