"""A venue whose connection fails on demand."""

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from trading.errors import Transient
from trading.market.candles import Candles
from trading.orders.orders import Fill, OpenOrder, OrderRequest, VenueOrder, VenuePosition
from trading.ports.venue import QuotesSpread, Venue, VenueTerms

T = TypeVar("T")


class FlakyVenue:
    """A `Venue` that passes each call to another one, and fails the calls that a test names.

    Attributes:
        silent: Names of methods that raise Transient at each call.
        submitted: The `client_order_id` of each `submit` that reached the venue.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._failures: list[tuple[str, Exception, bool]] = []
        self.submitted: list[str] = []
        self.silent: set[str] = set()

    def fail(self, method: str, error: Exception, *, after: bool = False) -> None:
        """Raise `error` at the next call of `method`: before the venue has the call, or `after` it has executed it."""
        self._failures.append((method, error, after))

    def submit(self, request: OrderRequest) -> VenueOrder:
        def send() -> VenueOrder:
            self.submitted.append(request.client_order_id)
            return self._venue.submit(request)

        return self._call("submit", send)

    def quoted_spread(self, symbol: str) -> float | None:
        return cast("QuotesSpread", self._venue).quoted_spread(symbol)

    def cancel(self, client_order_id: str) -> VenueOrder:
        return self._call("cancel", lambda: self._venue.cancel(client_order_id))

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        self._call("move_stop", lambda: self._venue.move_stop(entry_id, stop_loss, open_ms))

    def find(self, client_order_id: str) -> VenueOrder | None:
        return self._call("find", lambda: self._venue.find(client_order_id))

    def sync(self, symbol: str, candles: Candles) -> int:
        return self._call("sync", lambda: self._venue.sync(symbol, candles))

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        return self._call("fills", lambda: self._venue.fills(symbol, after=after))

    def positions(self) -> Sequence[VenuePosition]:
        return self._call("positions", self._venue.positions)

    @property
    def terms(self) -> VenueTerms:
        return self._venue.terms

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        return self._call("open_orders", lambda: self._venue.open_orders(symbol))

    def clock_ms(self) -> int:
        return self._call("clock_ms", self._venue.clock_ms)

    def _call(self, method: str, method_call: Callable[[], T]) -> T:
        if method in self.silent:
            raise Transient("venue", f"no answer to {method}")
        due = next((failure for failure in self._failures if failure[0] == method), None)
        if due is None:
            return method_call()
        self._failures.remove(due)
        _, error, is_late = due
        if is_late:
            method_call()
        raise error
