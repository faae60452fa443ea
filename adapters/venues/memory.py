"""The paper venue without a database: the same fill rules, with books in memory."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from operator import attrgetter

from msgspec import Struct

from adapters import clock
from adapters.venues.paper import check_request, check_stop, check_stop_owner
from trading.errors import Broken, Rejected
from trading.market.candles import VOLUME, Candles
from trading.orders.fill_terms import FillTerms
from trading.orders.matching import Bar, Book, Change, Resting, at_close, move_stop, next_change, on_bar
from trading.orders.orders import (
    Fill,
    Leg,
    OpenOrder,
    OrderRequest,
    OrderState,
    Side,
    VenueOrder,
    VenuePosition,
    protective_order_id,
)
from trading.ports.venue import VenueTerms
from trading.structs import replace

_TERMS = VenueTerms(visibility_s=0.0)


class _Order(Struct):
    """An order and its state."""

    number: int
    symbol: str
    strategy: str
    resting: Resting
    state: OrderState = OrderState.ACCEPTED
    filled_units: float = 0.0

    def told(self) -> VenueOrder:
        return VenueOrder(self.resting.client_order_id, f"paper-{self.number}", self.state, self.filled_units)


class MemoryVenue:
    """A paper venue for one thread; it implements `trading.ports.venue.Venue`."""

    def __init__(self, terms_by_symbol: Mapping[str, FillTerms]) -> None:
        """Open empty books.

        Args:
            terms_by_symbol: The symbols that can be traded, and the costs of their fills.
        """
        self._terms = terms_by_symbol
        self._books: dict[str, dict[str, Book]] = {symbol: {} for symbol in terms_by_symbol}
        self._fills: dict[str, list[Fill]] = {symbol: [] for symbol in terms_by_symbol}
        self._orders: dict[str, _Order] = {}
        self._resumed: dict[str, tuple[str, str]] = {}
        self._sequence = 0

    def resume(self, symbol: str, strategy: str, book: Book, newest_entry: str | None) -> None:
        """Initialise a book with an existing position and its waiting orders.

        Args:
            newest_entry: The entry that filled last in it, whose first stop may still be placed; None for none.
        """
        if newest_entry is not None:
            self._resumed[newest_entry] = symbol, strategy
        self._books[symbol][strategy] = replace(book, orders=())
        self._place(symbol, strategy, book.orders)

    def number_from(self, sequence: int) -> None:
        """Give the next fill the number after `sequence`."""
        self._sequence = sequence

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Accept a market order with its protective orders; see `adapters.venues.paper.PaperVenue.submit`."""
        found = self._orders.get(request.client_order_id)
        if found is None:
            terms = self._terms_of(request.symbol)
            check_request(request, terms)
            found = self._take(request, terms)
        return found.told()

    def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel an order that waits, a protective one too; one that has ended stays as it is."""
        order = self._orders.get(client_order_id)
        if order is None:
            raise Rejected("unknown_order", f"no order {client_order_id}")
        if not order.state.is_final:
            order.state = OrderState.CANCELED
            books = self._books[order.symbol]
            books[order.strategy] = _without(books[order.strategy], client_order_id)
        return order.told()

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        """Move the stop of a filled entry to another price; see
        `adapters.venues.paper.PaperVenue.move_stop`."""
        check_stop(stop_loss)
        stop = self._orders.get(protective_order_id(entry_id, Leg.STOP_LOSS))
        owner = self._owner_of(entry_id)
        check_stop_owner(entry_id, stop.state if stop else None, self._newest_entry(*owner) if owner else None)
        assert owner is not None  # else it was rejected
        symbol, strategy = owner
        books = self._books[symbol]
        moved = move_stop(books[strategy], entry_id, stop_loss, open_ms)
        if moved is None:
            return
        books[strategy] = moved.book
        if stop is None:
            self._note(symbol, strategy, moved.stop)
        else:
            stop.resting, stop.state = moved.stop, OrderState.ACCEPTED

    def find(self, client_order_id: str) -> VenueOrder | None:
        order = self._orders.get(client_order_id)
        return None if order is None else order.told()

    def sync(self, symbol: str, candles: Candles) -> int:
        """Match orders with closed candles, and return the sequence number of the symbol's newest fill, 0 for none."""
        terms, books = self._terms_of(symbol), self._books[symbol]
        place, last = -1, len(candles)
        while (place := _next_change(books, candles, place + 1)) < last:
            bar = Bar(int(candles.open_ms[place]), *candles.values[place, :VOLUME].tolist())
            for strategy, book in sorted(books.items()):
                change = on_bar(book, bar, terms)
                if change:
                    self._apply(symbol, strategy, change)
        fills = self._fills[symbol]
        return fills[-1].sequence if fills else 0

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        fills = self._fills[symbol]
        return fills[bisect_right(fills, after, key=attrgetter("sequence")) :]

    def positions(self) -> Sequence[VenuePosition]:
        return [
            VenuePosition(symbol, strategy, book.units, book.average_price)
            for symbol, books in self._books.items()
            for strategy, book in books.items()
            if book.units
        ]

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        books = self._books[symbol].items()
        orders = [(strategy, resting) for strategy, book in books for resting in book.orders]
        return [self._open_order(symbol, strategy, resting) for strategy, resting in orders]

    def orders(self, symbol: str) -> list[tuple[str, Resting, OrderState, float]]:
        """Return (strategy, order as placed, state, units filled) of each order of a symbol, in the order of
        arrival.
        """
        mine = [order for order in self._orders.values() if order.symbol == symbol]
        return [(order.strategy, order.resting, order.state, order.filled_units) for order in mine]

    def close_out(self, symbol: str, price: float, *, market_ms: int) -> Sequence[Fill]:
        """Close open positions at the market's last price, like a market order, and return the fills.

        Args:
            market_ms: Market time of the fills, milliseconds since the epoch, UTC.
        """
        terms, before = self._terms_of(symbol), len(self._fills[symbol])
        for strategy, book in list(self._books[symbol].items()):
            if book.units:
                side = Side.SELL if book.units > 0 else Side.BUY
                order = Resting(
                    f"{symbol}-end-{strategy}", Leg.EXIT, side, abs(book.units), price, decided_ms=market_ms + 1
                )
                self._place(symbol, strategy, [order])
                self._apply(symbol, strategy, at_close(self._books[symbol][strategy], order, terms))
        return self._fills[symbol][before:]

    def clock_ms(self) -> int:
        """Return the time of this machine."""
        return clock.now_ms()

    def quoted_spread(self, symbol: str) -> float:
        """Return the spread that the fills of a symbol pay, in quote currency."""
        return self._terms[symbol].spread

    @property
    def terms(self) -> VenueTerms:
        return _TERMS

    def _terms_of(self, symbol: str) -> FillTerms:
        if symbol not in self._terms:
            raise Rejected("unknown_symbol", f"found symbol {symbol}; expected one of {', '.join(sorted(self._terms))}")
        return self._terms[symbol]

    def _take(self, request: OrderRequest, terms: FillTerms) -> _Order:
        symbol, strategy, order = request.symbol, request.strategy, Resting.of(request)
        self._books[symbol].setdefault(strategy, Book())
        self._place(symbol, strategy, [order])
        if terms.fill_at == "close":
            self._apply(symbol, strategy, at_close(self._books[symbol][strategy], order, terms))
        return self._orders[request.client_order_id]

    def _place(self, symbol: str, strategy: str, orders: Sequence[Resting]) -> None:
        """Record waiting orders, in the book too."""
        books = self._books[symbol]
        book = books[strategy]
        for resting in orders:
            self._note(symbol, strategy, resting)
        books[strategy] = Book(book.units, book.average_price, book.acted_ms, (*book.orders, *orders))

    def _note(self, symbol: str, strategy: str, resting: Resting) -> None:
        self._orders[resting.client_order_id] = _Order(len(self._orders) + 1, symbol, strategy, resting)

    def _owner_of(self, entry_id: str) -> tuple[str, str] | None:
        """Return symbol and strategy of an entry; None when there is no such entry."""
        order = self._orders.get(entry_id)
        return (order.symbol, order.strategy) if order else self._resumed.get(entry_id)

    def _newest_entry(self, symbol: str, strategy: str) -> str | None:
        """Return the entry that filled last in a book; None when none did."""
        of_book = (fill for fill in reversed(self._fills[symbol]) if fill.strategy == strategy)
        resumed = next((entry for entry, book in self._resumed.items() if book == (symbol, strategy)), None)
        return next((fill.client_order_id for fill in of_book if fill.leg is Leg.ENTRY), resumed)

    def _apply(self, symbol: str, strategy: str, change: Change) -> None:
        """Apply all changes of one moment to a book."""
        for resting in change.placed:
            self._note(symbol, strategy, resting)
        for order_id, state, filled_units in change.settled:
            order = self._orders[order_id]
            order.state, order.filled_units = state, filled_units
        fills = self._fills[symbol]
        for done in change.executions:
            self._sequence += 1
            fills.append(
                Fill(
                    self._sequence,
                    f"{done.client_order_id}-1",
                    done.client_order_id,
                    symbol,
                    strategy,
                    done.leg,
                    done.side,
                    done.units,
                    done.price,
                    done.fee,
                    done.market_ms,
                )
            )
        self._books[symbol][strategy] = change.book

    def _open_order(self, symbol: str, strategy: str, resting: Resting) -> OpenOrder:
        """Convert a resting order; a protective one has the size of the open position."""
        held = abs(self._books[symbol][strategy].units)
        units, price = (resting.units, None) if resting.is_market else (held, resting.price)
        number = self._orders[resting.client_order_id].number
        return OpenOrder(resting.client_order_id, f"paper-{number}", symbol, resting.side, units, price)


def _next_change(books: Mapping[str, Book], candles: Candles, first: int) -> int:
    place = len(candles)
    for book in books.values():
        if book.orders and first < place:
            place = min(place, next_change(book, candles, first))
    return place


def _without(book: Book, client_order_id: str) -> Book:
    """Return the book without an order that waits.

    Raises:
        Broken: The book does not have it.
    """
    orders = tuple(order for order in book.orders if order.client_order_id != client_order_id)
    if len(orders) == len(book.orders):
        raise Broken(f"order {client_order_id} is missing in the books")
    return Book(book.units, book.average_price, book.acted_ms, orders)
