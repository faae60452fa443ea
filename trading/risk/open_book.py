"""Open books: the position and the pending entries of each strategy, and what they are worth at the latest price."""

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct

from trading.structs import replace


class OpenBook(Struct, frozen=True):
    """The position of one strategy on one symbol, with its pending entries.

    Attributes:
        units: Of the position; positive when long, negative when short.
        average_price: Average entry price of these units, in quote currency.
        stop_loss: Price of the position's stop; None without one.
        price: Latest known price of the symbol; None if unknown. Only an open position needs it.
        risk: Loss at the stops that its entries reserve, in quote currency.
        buying: Value of its pending buy entries at their decision prices, in quote currency.
        selling: Value of its pending sell entries, likewise.
    """

    symbol: str
    strategy: str
    units: float = 0.0
    average_price: float = 0.0
    stop_loss: float | None = None
    price: float | None = None
    risk: float = 0.0
    buying: float = 0.0
    selling: float = 0.0

    @property
    def is_priced(self) -> bool:
        """Whether its value can be computed."""
        return not self.units or (self.price is not None and math.isfinite(self.price))

    @property
    def unrealised(self) -> float:
        """Profit of closing the position at the latest price, before costs; it must be priced."""
        return self.units * (self._price - self.average_price)

    @property
    def worth(self) -> float:
        """Value of the position at the latest price; it must be priced."""
        return abs(self.units * self._price)

    @property
    def exposure(self) -> float:
        """Largest value that the book can reach: a pending entry in the other direction replaces the position."""
        return max(self.value_in(1), self.value_in(-1))

    def value_in(self, sign: int) -> float:
        """Return the value of the position and the pending entries in one direction: 1 is long, -1 is short."""
        held = self.worth if self.units * sign > 0 else 0.0
        return held + (self.buying if sign > 0 else self.selling)

    @property
    def at_risk(self) -> float:
        """Loss to count until the book is closed: its reserved risk, the present loss, or all of it without a stop."""
        if not self.units:
            return self.risk
        stopless = self.worth if self.stop_loss is None else 0.0
        return max(self.risk, -self.unrealised, stopless)

    @property
    def _price(self) -> float:
        return 0.0 if self.price is None else self.price


def part_of_entry(
    symbol: str,
    strategy: str,
    sign: int,
    *,
    risk: float,
    notional: float,
    units: float,
    filled_units: float,
    ended: bool,
) -> OpenBook:
    """Return the part of a book that an entry with a place in the account makes, beside the position.

    Args:
        sign: 1 for a buy, -1 for a sell.
        risk: The loss that it reserves, in quote currency.
        notional: Value of all its units at the decision price, in quote currency.
        ended: No fill of it will come any more.
    """
    left = 0.0 if ended else notional * max(0.0, 1 - filled_units / units)
    buying, selling = (left, 0.0) if sign > 0 else (0.0, left)
    return OpenBook(symbol, strategy, risk=risk, buying=buying, selling=selling)


def merged(parts: Iterable[OpenBook], prices: Mapping[str, float]) -> tuple[OpenBook, ...]:
    """Return one book for each symbol and strategy, ordered by both, from parts that have a position or an entry each.

    Args:
        prices: Latest known price by symbol.
    """
    books: dict[tuple[str, str], OpenBook] = {}
    for part in parts:
        key = part.symbol, part.strategy
        books[key] = _joined(books[key], part) if key in books else part
    return tuple(_priced(books[key], prices) for key in sorted(books))


def prices_of(books: Iterable[OpenBook]) -> dict[str, float]:
    """Return the latest known prices of open positions by symbol, as a decision records them."""
    return {book.symbol: book.price for book in books if book.units and book.price is not None}


def _joined(one: OpenBook, other: OpenBook) -> OpenBook:
    held = one if one.units else other
    return replace(
        held,
        risk=one.risk + other.risk,
        buying=one.buying + other.buying,
        selling=one.selling + other.selling,
    )


def _priced(book: OpenBook, prices: Mapping[str, float]) -> OpenBook:
    return replace(book, price=prices.get(book.symbol)) if book.units else book
