"""The paper venue: accepts orders like an exchange, and fills them by the candles that it receives."""

import math
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy.engine import Engine

from adapters import clock
from adapters.venues.paper_books import BooksReader, BooksWriter, create_tables, writing
from trading.errors import Broken, Rejected
from trading.market.candles import VOLUME, Candles
from trading.orders.fill_terms import FillTerms
from trading.orders.matching import Bar, Book, Resting, at_close, move_stop, on_bar
from trading.orders.orders import (
    ENDED_OTHERWISE,
    Fill,
    Leg,
    OpenOrder,
    OrderRequest,
    OrderState,
    VenueOrder,
    VenuePosition,
    protective_order_id,
)
from trading.ports.venue import VenueTerms

_TERMS = VenueTerms(visibility_s=0.0)


class PaperVenue:
    """A venue of our own, with durable books, for any number of processes at once; it implements
    `trading.ports.venue.Venue`.

    A book stores the last candle that changed it, and only later candles may change it again. A candle without effect
    is therefore not recorded: passed again it has no effect either.
    """

    def __init__(self, engine: Engine, terms_by_symbol: Mapping[str, FillTerms], *, starting_cash: float = 0.0) -> None:
        """Open the books, and create them if they are missing.

        Args:
            engine: Of `adapters.database.create_engine(url, where="paper")`, which makes driver errors `Transient`.
            terms_by_symbol: The symbols that can be traded, and the costs of their fills.
            starting_cash: Initial cash of the account, in quote currency.

        Raises:
            Transient: The database did not answer.
        """
        create_tables(engine)
        self._engine = engine
        self._reader = BooksReader(engine)
        self._terms = terms_by_symbol
        self._starting_cash = starting_cash

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Accept a market order with its protective orders; see `trading.ports.venue.Venue`.

        Stop and target of an exit are ignored.

        Raises:
            Rejected: Unknown symbol, a leg that is not sent by itself, a number that is not positive, or an entry's
                stop or target on the wrong side of the reference price.
            Transient: It is unknown whether the order exists.
        """
        with writing(self._engine) as writer:
            return writer.find(request.client_order_id) or self._take(writer, request)

    def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel an order that waits, a protective one too; one that has ended stays as it is.

        Raises:
            Rejected: There is no such order.
        """
        with writing(self._engine) as writer:
            order = writer.find(client_order_id)
            if order is None:
                raise Rejected("unknown_order", f"no order {client_order_id}")
            if not order.state.is_final:
                writer.settle([(client_order_id, OrderState.CANCELED, 0.0)])
            return _found(writer, client_order_id)

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        """Move the stop of a filled entry to another price; see `trading.ports.venue.Venue`.

        In one transaction the stop moves and the book stores the candle, or neither happens.

        Raises:
            Rejected: An invalid price, no such entry, or no open position of it.
        """
        check_stop(stop_loss)
        with writing(self._engine) as writer:
            stop = writer.find(protective_order_id(entry_id, Leg.STOP_LOSS))
            symbol, strategy, newest_entry = writer.owner_of(entry_id)
            check_stop_owner(entry_id, None if stop is None else stop.state, newest_entry)
            books, _ = writer.open_books(symbol)
            moved = move_stop(books[strategy], entry_id, stop_loss, open_ms)
            if moved is not None:
                writer.rest(symbol, strategy, moved, is_new=stop is None)

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Return an order, None when there is none."""
        return self._reader.find(client_order_id)

    def sync(self, symbol: str, candles: Candles) -> int:
        """Match orders with closed candles, and return the sequence number of the symbol's newest fill, 0 for none.

        Candles that change nothing cost one read. The effects of a batch are one transaction.

        Raises:
            Rejected: Unknown symbol.
            Broken: A fill would have a price that is NaN or not positive.
        """
        terms = self._terms_of(symbol)
        bars = _bars(candles)
        books, newest = self._reader.open_books(symbol)
        if not any(on_bar(book, bar, terms) for book in books.values() if book.orders for bar in bars):
            return newest
        with writing(self._engine) as writer:
            books, newest = writer.open_books(symbol)
            before = writer.sequence
            _advance(writer, symbol, books, bars, terms)
            return writer.sequence if writer.sequence > before else newest

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        """Return the symbol's fills whose sequence number is above `after`, in order."""
        return self._reader.fills(symbol, after)

    def positions(self) -> Sequence[VenuePosition]:
        """Return the open positions, in the order of symbol and strategy."""
        return self._reader.positions()

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        """Return the symbol's orders that wait, protective ones too."""
        return self._reader.resting(symbol)

    def clock_ms(self) -> int:
        """Return the time of this machine: the venue runs in our own processes."""
        return clock.now_ms()

    def quoted_spread(self, symbol: str) -> float:
        """Return the spread that the fills of a symbol pay, in quote currency."""
        return self._terms[symbol].spread

    @property
    def terms(self) -> VenueTerms:
        """Each write is visible at once."""
        return _TERMS

    def cash(self) -> float:
        """Return the cash: the initial cash, less purchases, plus sales, less fees."""
        return self._starting_cash + self._reader.cash()

    def balance(self) -> float:
        """Return `cash` plus the open positions at their average prices: realised profit counts, open does not."""
        return self._starting_cash + self._reader.realised()

    def _terms_of(self, symbol: str) -> FillTerms:
        if symbol not in self._terms:
            raise Rejected("unknown_symbol", f"found symbol {symbol}; expected one of {', '.join(sorted(self._terms))}")
        return self._terms[symbol]

    def _take(self, writer: BooksWriter, request: OrderRequest) -> VenueOrder:
        terms = self._terms_of(request.symbol)
        check_request(request, terms)
        order, symbol, strategy = Resting.of(request), request.symbol, request.strategy
        writer.open_book(symbol, strategy)
        writer.place(symbol, strategy, [order])
        if terms.fill_at == "close":
            books, _ = writer.open_books(symbol)
            writer.apply(symbol, strategy, at_close(books[strategy], order, terms))
        return _found(writer, request.client_order_id)


def _advance(
    writer: BooksWriter, symbol: str, books: Mapping[str, Book], bars: Sequence[Bar], terms: FillTerms
) -> None:
    """Match the books of one symbol with candles, one by one, so that fills are numbered in order.

    Fills of one candle are numbered in the order of their strategies' names, sorted here and not by the database.
    """
    now = dict(sorted(books.items()))
    for bar in bars:
        for strategy, book in now.items():
            change = on_bar(book, bar, terms)
            if change:
                writer.apply(symbol, strategy, change)
                now[strategy] = change.book


def _bars(candles: Candles) -> list[Bar]:
    rows = zip(candles.open_ms.tolist(), candles.values[:, :VOLUME].tolist(), strict=True)
    return [Bar(open_ms, *prices) for open_ms, prices in rows]


def check_request(request: OrderRequest, terms: FillTerms) -> None:
    """Reject an order that the paper venue does not accept.

    Raises:
        Rejected: A leg that is not sent by itself, a number that is not positive, or an entry's stop or target on the
            wrong side of the reference price.
    """
    if request.leg not in {Leg.ENTRY, Leg.EXIT}:
        raise Rejected("leg", f"{request.leg} orders come with an entry, not by themselves")
    _check_positive((("units", request.units),))
    if not terms.is_possible(request.reference_price):
        _check_positive((("reference_price", request.reference_price),))
    if request.leg is Leg.ENTRY:
        _check_protection(request)


def check_stop(stop_loss: float) -> None:
    """Reject a stop that is not a price.

    Raises:
        Rejected: It is not a positive number.
    """
    _check_positive((("stop_loss", stop_loss),))


def check_stop_owner(entry_id: str, stop: OrderState | None, newest_entry: str | None) -> None:
    """Reject a move of a stop whose entry has no open position.

    A stop that ended without a fill, while the position of its entry is open, may be placed again.

    Args:
        stop: State of its stop; None if it never had one.
        newest_entry: The entry that filled last in its book; None if there is no such book.

    Raises:
        Rejected: The stop does not rest, or the open position belongs to another entry.
    """
    if stop is None and newest_entry is None:
        raise Rejected("unknown_order", f"found no filled entry {entry_id}")
    is_gone = stop is None or stop in ENDED_OTHERWISE
    if (is_gone and newest_entry != entry_id) or stop is OrderState.FILLED:
        raise Rejected("stop_loss", f"entry {entry_id} has no open position whose stop could be moved")


def _check_positive(numbers: Iterable[tuple[str, float | None]]) -> None:
    for name, number in numbers:
        if number is not None and not 0 < number < math.inf:
            raise Rejected(name, f"{name} must be a positive number, not {number}")


def _check_protection(request: OrderRequest) -> None:
    _check_positive((("stop_loss", request.stop_loss), ("take_profit", request.take_profit)))
    sign, reference = request.side.sign, request.reference_price
    if request.stop_loss is not None and sign * request.stop_loss >= sign * reference:
        where = f"stop {request.stop_loss} of a {request.side} is not on the losing side of {reference}"
        raise Rejected("stop_loss", where)
    if request.take_profit is not None and sign * request.take_profit <= sign * reference:
        where = f"target {request.take_profit} of a {request.side} is not on the winning side of {reference}"
        raise Rejected("take_profit", where)


def _found(writer: BooksWriter, client_order_id: str) -> VenueOrder:
    order = writer.find(client_order_id)
    if order is None:
        raise Broken(f"order {client_order_id} is missing in the paper books")
    return order
