"""A venue under test and its market, and the orders and queries that each part of the contract uses."""

from typing import Protocol

import pytest

from trading.orders.orders import (
    Fill,
    Leg,
    OpenOrder,
    OrderRequest,
    OrderState,
    Side,
    client_order_id,
)
from trading.ports.venue import Venue
from trading_orchestrator.testing.candles import SYMBOL

both_sides = pytest.mark.parametrize("side", list(Side))


class Market(Protocol):
    """A venue under test, and the market that it sees.

    Attributes:
        price: Last price, in quote currency; begins at 100.
        now_ms: Market time, milliseconds since the epoch, UTC: the open time of the next candle.
    """

    venue: Venue
    price: float
    now_ms: int

    def move(self, price: float, *, symbol: str = SYMBOL) -> int:
        """Move straight to `price` within one minute, show the venue that candle, and return what `sync` did."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait `seconds` of real time, on the clock that the venue uses; 0 is a valid wait."""
        ...


class VenuePart:
    """Orders and queries that each part of the contract uses; a test class defines the fixture `market`."""

    @pytest.fixture
    def market(self) -> Market:
        raise NotImplementedError("define the fixture market in the test class")

    @staticmethod
    def order(
        market: Market,
        side: Side,
        *,
        leg: Leg = Leg.ENTRY,
        symbol: str = SYMBOL,
        strategy: str = "cross",
        units: float = 2.0,
        protected: bool = False,
    ) -> OrderRequest:
        """Make an order decided now; its stop is 5 below the price of a buy, its target 10 above."""
        return OrderRequest(
            client_order_id("paper", symbol, strategy, market.now_ms, leg),
            symbol,
            strategy,
            leg,
            side,
            units,
            reference_price=market.price,
            decided_ms=market.now_ms,
            stop_loss=market.price - side.sign * 5 if protected else None,
            take_profit=market.price + side.sign * 10 if protected else None,
        )

    @staticmethod
    def fills(market: Market, symbol: str = SYMBOL) -> list[Fill]:
        """Return all fills of a symbol."""
        return list(market.venue.fills(symbol, after=0))

    @staticmethod
    def resting(market: Market, symbol: str = SYMBOL) -> list[OpenOrder]:
        """Return the open orders of a symbol, sorted by price; a market order comes first."""
        return sorted(market.venue.open_orders(symbol), key=lambda order: order.price or 0.0)

    def held_and_resting(self, market: Market) -> tuple[list[float], list[float]]:
        """Return the units of each position, and those of each order that rests."""
        return [at.units for at in market.venue.positions()], [order.units for order in self.resting(market)]

    @staticmethod
    def state(market: Market, order_id: str) -> OrderState:
        """Return the state of an order that the venue has."""
        order = market.venue.find(order_id)
        assert order is not None
        return order.state
