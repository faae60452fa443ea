"""Where the orders of a symbol go."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from trading.market.candles import Candles
from trading.orders.orders import Fill, OpenOrder, OrderRequest, VenueOrder, VenuePosition


class VenueTerms(Struct, frozen=True):
    """The guarantees of a venue.

    Attributes:
        visibility_s: Longest time, in seconds of real time, from the beginning of a send to the moment at which `find`
            shows the order. That it finds none any sooner proves nothing. A venue that takes an id again once its order
            has ended needs the time limit of a send (15 s here) in it; where ids are unique a late one does nothing.
    """

    visibility_s: float = 0.0


class Venue(Protocol):
    """Where orders go. Every method may raise Transient, after which the outcome is not known.

    An entry's stop and target rest at the venue from the moment it fills, sized by what was filled; the fill of one
    cancels the other. An exit never opens or turns a position.
    """

    @property
    def terms(self) -> VenueTerms: ...

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Send an order; the same `client_order_id` sent again returns the first order and places nothing.

        Raises:
            Rejected: The venue refuses it; there is no such order.
            Transient: Not known whether there is one now.
        """
        ...

    def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel what is not yet filled of an order, and return how it stands."""
        ...

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        """Let the stop of an entry that filled rest at another price; one that came without gets its first one.

        The stop that rests is modified where it is: there is no moment without one, and what is left of the position
        is covered as before. It keeps the id `trading.orders.orders.protective_order_id(entry_id, Leg.STOP_LOSS)`, and
        the fill of stop or target still cancels the other. The same price again changes nothing, so a call whose answer
        was lost is made again.

        An adapter of an exchange that cannot modify a stop in place sends the new one first, reduce-only and under an
        id that says which move it is, cancels the old one once it was taken, and tells the new one under the id above.
        Where the exchange refuses two stops at once, it raises `Rejected` rather than remove the only one.

        Args:
            entry_id: `client_order_id` of the entry that opened the position.
            stop_loss: Price, in quote currency.
            open_ms: Open time of the candle that was decided on. A venue that fills by candles lets only later ones
                reach the stop there: that candle may be shown again, and had not moved the stop when it closed.

        Raises:
            Rejected: No such entry, no position of it, or no price that the venue takes; the stop rests where it did.
            Transient: Not known whether it was moved.
        """
        ...

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Return an order, None when the venue is sure that there is none."""
        ...

    def sync(self, symbol: str, candles: Candles) -> int:
        """Let the venue see closed candles, and return the sequence number of the symbol's newest fill, 0 for none.

        Only a venue that fills by candles uses them, each once however often it is shown. `candles` may be empty.
        """
        ...

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        """Return the symbol's fills whose sequence number is above `after`, in order."""
        ...

    def positions(self) -> Sequence[VenuePosition]:
        """Return the open positions."""
        ...

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        """Return the symbol's orders that rest at the venue, protective ones too, whoever sent them."""
        ...

    def clock_ms(self) -> int:
        """Return the venue's own clock, milliseconds since the epoch, UTC: real time, not market time."""
        ...


@runtime_checkable
class QuotesSpread(Protocol):
    """A venue that quotes a spread; optional. Without one an entry under `max_spread` is rejected."""

    def quoted_spread(self, symbol: str) -> float | None:
        """Return ask minus bid now, in quote currency; None where the venue quotes none.

        Raises:
            Transient: The venue did not answer.
        """
        ...
