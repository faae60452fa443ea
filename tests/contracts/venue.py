"""What every venue must do, whatever it is: subclass `VenueContract` and give it the fixture `market`."""

import time
from typing import Any, Protocol

import pytest

from trading.errors import Rejected
from trading.market.candles import Candles
from trading.orders.orders import (
    Fill,
    Leg,
    OpenOrder,
    OrderRequest,
    OrderState,
    Side,
    VenuePosition,
    client_order_id,
    protective_order_id,
)
from trading.ports.venue import Venue
from trading.structs import replace

SYMBOL, OTHER = "XAUUSD", "BTCUSD"
MINUTE_MS = 60_000
both_sides = pytest.mark.parametrize("side", list(Side))


class Market(Protocol):
    """A venue under test, and the market that it sees.

    Attributes:
        price: Where the market stands, in quote currency; begins at 100.
        now_ms: Market time, milliseconds since the epoch, UTC: the open of the next candle.
    """

    venue: Venue
    price: float
    now_ms: int

    def move(self, price: float, *, symbol: str = SYMBOL) -> int:
        """Let a minute pass in which the market goes straight to `price`, and return the venue's newest sequence."""
        ...

    def wait(self, seconds: float) -> None:
        """Let real time pass for the venue."""
        ...


class VenueContract:
    """The promises of `trading.ports.venue.Venue`, on venues that know the symbols `SYMBOL` and `OTHER`."""

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
        return list(market.venue.fills(symbol, after=0))

    @staticmethod
    def resting(market: Market, symbol: str = SYMBOL) -> list[OpenOrder]:
        return sorted(market.venue.open_orders(symbol), key=lambda order: order.price or 0.0)

    def held_and_resting(self, market: Market) -> tuple[list[float], list[float]]:
        """Return the units of each position, and those of each order that rests."""
        return [at.units for at in market.venue.positions()], [order.units for order in self.resting(market)]

    @staticmethod
    def state(market: Market, order_id: str) -> OrderState:
        order = market.venue.find(order_id)
        assert order is not None
        return order.state

    def test_find_unknown_order_returns_none(self, market: Market) -> None:
        assert market.venue.find("XAUUSD-1774360800-e-3f9a61c04b") is None

    def test_venue_without_orders_has_no_fills_and_no_positions(self, market: Market) -> None:
        assert market.move(101) == 0
        assert self.fills(market) == []
        assert list(market.venue.positions()) == []

    def test_submit_then_find_tells_the_same_order(self, market: Market) -> None:
        order = self.order(market, Side.BUY)

        told = market.venue.submit(order)

        assert told.client_order_id == order.client_order_id
        assert told.venue_order_id
        assert market.venue.find(order.client_order_id) == told

    @both_sides
    def test_entry_when_market_moves_fills_whole(self, market: Market, side: Side) -> None:
        order = self.order(market, side)
        market.venue.submit(order)
        market.move(101)

        [fill] = self.fills(market)
        told = market.venue.find(order.client_order_id)
        assert (fill.client_order_id, fill.symbol, fill.strategy) == (order.client_order_id, SYMBOL, "cross")
        assert (fill.leg, fill.side, fill.units) == (Leg.ENTRY, side, 2.0)
        assert fill.price == pytest.approx(100, rel=0.01)
        assert fill.fee >= 0
        assert told is not None
        assert (told.state, told.filled_units) == (OrderState.FILLED, 2.0)
        assert market.venue.positions() == [VenuePosition(SYMBOL, "cross", side.sign * 2.0, fill.price)]

    def test_submit_same_id_twice_places_one_order(self, market: Market) -> None:
        order = self.order(market, Side.BUY)

        first, second = market.venue.submit(order), market.venue.submit(order)
        market.move(101)
        third = market.venue.submit(order)
        market.move(102)

        assert first.venue_order_id == second.venue_order_id == third.venue_order_id
        assert third.state is OrderState.FILLED
        assert len(self.fills(market)) == 1

    @pytest.mark.parametrize("units", [0.0, -1.0, float("nan"), float("inf")])
    def test_submit_units_that_cannot_be_raises_rejected_and_leaves_no_order(
        self, market: Market, units: float
    ) -> None:
        order = self.order(market, Side.BUY, units=units)

        with pytest.raises(Rejected):
            market.venue.submit(order)
        assert market.venue.find(order.client_order_id) is None

    def test_submit_unknown_symbol_raises_rejected_and_leaves_no_order(self, market: Market) -> None:
        order = self.order(market, Side.BUY, symbol="NOSUCH")

        with pytest.raises(Rejected):
            market.venue.submit(order)
        assert market.venue.find(order.client_order_id) is None

    @both_sides
    def test_exit_of_all_leaves_no_position(self, market: Market, side: Side) -> None:
        market.venue.submit(self.order(market, side, protected=True))
        market.move(101)
        market.venue.submit(self.order(market, side.opposite, leg=Leg.EXIT))
        market.move(102)

        assert [fill.leg for fill in self.fills(market)] == [Leg.ENTRY, Leg.EXIT]
        assert list(market.venue.positions()) == []

    @both_sides
    @pytest.mark.parametrize(("away", "leg"), [(-6, Leg.STOP_LOSS), (11, Leg.TAKE_PROFIT)])
    def test_protection_hit_closes_once_under_an_id_of_its_own(
        self, market: Market, side: Side, away: float, leg: Leg
    ) -> None:
        entry = self.order(market, side, protected=True)
        market.venue.submit(entry)
        market.move(100)
        market.move(100 + side.sign * away)
        market.move(100 - side.sign * away)  # the other one of the two would be hit now

        opened, closed = self.fills(market)
        assert (opened.leg, closed.leg) == (Leg.ENTRY, leg)
        assert (closed.side, closed.units) == (side.opposite, 2.0)
        assert closed.client_order_id != entry.client_order_id
        assert self.state(market, closed.client_order_id) is OrderState.FILLED
        assert list(market.venue.positions()) == []

    def test_fills_after_a_sequence_are_the_later_ones_in_order(self, market: Market) -> None:
        newest = []
        for side in (Side.BUY, Side.BUY, Side.SELL):
            market.venue.submit(self.order(market, side))
            newest.append(market.move(100))

        every = self.fills(market)
        assert [fill.sequence for fill in every] == newest
        assert newest == sorted(set(newest))
        assert list(market.venue.fills(SYMBOL, after=newest[0])) == every[1:]
        assert list(market.venue.fills(SYMBOL, after=newest[-1])) == []
        assert len({fill.fill_id for fill in every}) == 3

    def test_sync_without_candles_returns_newest_sequence(self, market: Market) -> None:
        market.venue.submit(self.order(market, Side.BUY))
        newest = market.move(101)

        assert newest > 0
        assert market.venue.sync(SYMBOL, Candles.empty()) == newest
        assert market.venue.sync(OTHER, Candles.empty()) == 0

    def test_cancel_before_the_fill_means_it_never_fills(self, market: Market) -> None:
        order = self.order(market, Side.BUY)
        market.venue.submit(order)
        told = market.venue.cancel(order.client_order_id)
        market.move(101)

        filled = [fill.client_order_id for fill in self.fills(market)]
        assert told.state.is_final
        assert self.state(market, order.client_order_id) is told.state
        assert filled == ([order.client_order_id] if told.state is OrderState.FILLED else [])

    def test_cancel_after_the_fill_leaves_it_filled(self, market: Market) -> None:
        order = self.order(market, Side.BUY)
        market.venue.submit(order)
        market.move(101)

        assert market.venue.cancel(order.client_order_id).state is OrderState.FILLED
        assert len(market.venue.positions()) == 1

    def test_cancel_unknown_order_raises_rejected(self, market: Market) -> None:
        with pytest.raises(Rejected):
            market.venue.cancel("XAUUSD-1774360800-e-3f9a61c04b")

    def test_symbols_and_strategies_hold_positions_of_their_own(self, market: Market) -> None:
        market.venue.submit(self.order(market, Side.BUY, units=1.0))
        market.venue.submit(self.order(market, Side.SELL, units=3.0, strategy="fade"))
        market.venue.submit(self.order(market, Side.BUY, units=5.0, symbol=OTHER))
        market.move(101)
        market.move(101, symbol=OTHER)

        held = {(at.symbol, at.strategy): at.units for at in market.venue.positions()}
        assert held == {(SYMBOL, "cross"): 1.0, (SYMBOL, "fade"): -3.0, (OTHER, "cross"): 5.0}
        assert [fill.units for fill in self.fills(market, OTHER)] == [5.0]

    # --- what rests at the venue

    def test_open_orders_before_any_order_are_none(self, market: Market) -> None:
        assert self.resting(market) == []

    def test_open_orders_of_an_entry_that_waits_are_that_entry(self, market: Market) -> None:
        order = self.order(market, Side.BUY)
        told = market.venue.submit(order)

        waiting = [(one.client_order_id, one.venue_order_id, one.side, one.units) for one in self.resting(market)]
        expected = (order.client_order_id, told.venue_order_id, Side.BUY, 2.0)
        assert waiting == ([] if told.state is OrderState.FILLED else [expected])
        market.move(101)
        assert self.resting(market) == []

    @both_sides
    def test_protective_orders_rest_once_the_entry_filled(self, market: Market, side: Side) -> None:
        entry = self.order(market, side, protected=True)
        market.venue.submit(entry)
        market.move(101)

        resting = self.resting(market)
        assert [order.price for order in resting] == sorted([entry.stop_loss or 0.0, entry.take_profit or 0.0])
        assert {(order.symbol, order.side, order.units) for order in resting} == {(SYMBOL, side.opposite, 2.0)}
        assert len({entry.client_order_id, *(order.client_order_id for order in resting)}) == 3
        assert len({order.venue_order_id for order in resting}) == 2
        assert {self.state(market, order.client_order_id) for order in resting} == {OrderState.ACCEPTED}
        assert self.resting(market, OTHER) == []

    @both_sides
    def test_protective_orders_after_a_partial_exit_cover_what_is_left(self, market: Market, side: Side) -> None:
        market.venue.submit(self.order(market, side, protected=True))
        market.move(101)
        market.venue.submit(self.order(market, side.opposite, leg=Leg.EXIT, units=0.5))
        market.move(102)

        assert self.held_and_resting(market) == ([side.sign * 1.5], [1.5, 1.5])
        market.move(100 - side.sign * 6)
        assert self.fills(market)[-1].units == 1.5
        assert self.held_and_resting(market) == ([], [])

    @both_sides
    def test_protective_orders_rest_no_more_after_an_exit(self, market: Market, side: Side) -> None:
        market.venue.submit(self.order(market, side, protected=True))
        market.move(101)
        protective = [order.client_order_id for order in self.resting(market)]
        market.venue.submit(self.order(market, side.opposite, leg=Leg.EXIT))
        market.move(102)

        assert self.held_and_resting(market) == ([], [])
        assert [self.state(market, order_id) for order_id in protective] == [OrderState.CANCELED] * 2

    @both_sides
    def test_protective_order_that_filled_cancels_the_other(self, market: Market, side: Side) -> None:
        market.venue.submit(self.order(market, side, protected=True))
        market.move(101)
        protective = [order.client_order_id for order in self.resting(market)]
        market.move(100 - side.sign * 6)

        states = [self.state(market, order_id) for order_id in protective]
        assert sorted(states) == [OrderState.CANCELED, OrderState.FILLED]
        assert self.held_and_resting(market) == ([], [])

    def test_exit_without_a_position_opens_none(self, market: Market) -> None:
        market.venue.submit(self.order(market, Side.SELL, leg=Leg.EXIT))
        market.move(101)

        assert self.fills(market) == []
        assert self.held_and_resting(market) == ([], [])

    # --- stops that are moved

    def protected_entry(self, market: Market, side: Side, **fields: Any) -> OrderRequest:
        """Enter at 100 with a stop and a target, and return the order."""
        entry = replace(self.order(market, side, protected=True), **fields)
        market.venue.submit(entry)
        market.move(100)
        return entry

    @staticmethod
    def move_stop(market: Market, entry: OrderRequest, price: float) -> None:
        """Move a stop at the close of the candle that was shown last."""
        market.venue.move_stop(entry.client_order_id, price, market.now_ms - MINUTE_MS)

    def stops(self, market: Market, entry: OrderRequest) -> list[tuple[float | None, float]]:
        """Return (price, units) of the stop of an entry, as it rests."""
        identity = protective_order_id(entry.client_order_id, Leg.STOP_LOSS)
        return [(one.price, one.units) for one in self.resting(market) if one.client_order_id == identity]

    @both_sides
    def test_moved_stop_rests_there_in_place_of_the_old_one_and_the_target_stays(
        self, market: Market, side: Side
    ) -> None:
        entry = self.protected_entry(market, side)
        before = {order.venue_order_id for order in self.resting(market)}

        self.move_stop(market, entry, 100 - side.sign * 2)
        self.move_stop(market, entry, 100 - side.sign * 2)

        assert self.stops(market, entry) == [(100 - side.sign * 2, 2.0)]
        assert {order.venue_order_id for order in self.resting(market)} == before
        assert entry.take_profit in [order.price for order in self.resting(market)]

    @both_sides
    def test_moved_stop_is_hit_where_it_rests_and_cancels_the_target(self, market: Market, side: Side) -> None:
        entry = self.protected_entry(market, side)
        self.move_stop(market, entry, 100 - side.sign * 2)
        market.move(100 - side.sign * 3)

        closed = self.fills(market)[-1]
        assert closed.client_order_id == protective_order_id(entry.client_order_id, Leg.STOP_LOSS)
        assert closed.price == pytest.approx(100 - side.sign * 2, rel=0.01)
        assert self.held_and_resting(market) == ([], [])

    @both_sides
    def test_moved_stop_is_not_hit_by_the_candle_that_moved_it_shown_again(self, market: Market, side: Side) -> None:
        entry = self.protected_entry(market, side)
        market.move(100 - side.sign * 3)
        market.move(100)
        again = Candles.from_rows(
            [[market.now_ms - MINUTE_MS, 100 - side.sign * 3, *sorted((100, 100 - side.sign * 3))[::-1], 100, 1.0]]
        )
        self.move_stop(market, entry, 100 - side.sign * 1)
        market.venue.sync(SYMBOL, again)

        assert len(self.fills(market)) == 1
        assert self.stops(market, entry) == [(100 - side.sign * 1, 2.0)]

    @both_sides
    def test_first_stop_of_an_entry_without_one_is_placed_and_is_hit(self, market: Market, side: Side) -> None:
        entry = self.protected_entry(market, side, stop_loss=None)

        self.move_stop(market, entry, 100 - side.sign * 2)
        self.move_stop(market, entry, 100 - side.sign * 1)

        assert self.stops(market, entry) == [(100 - side.sign * 1, 2.0)]
        market.move(100 - side.sign * 3)
        assert self.fills(market)[-1].leg is Leg.STOP_LOSS
        assert self.held_and_resting(market) == ([], [])

    @both_sides
    def test_moved_stop_covers_what_a_partial_exit_leaves(self, market: Market, side: Side) -> None:
        entry = self.protected_entry(market, side)
        market.venue.submit(self.order(market, side.opposite, leg=Leg.EXIT, units=0.5))
        market.move(100)
        self.move_stop(market, entry, 100 - side.sign * 2)

        assert self.stops(market, entry) == [(100 - side.sign * 2, 1.5)]
        market.move(100 - side.sign * 3)
        assert self.fills(market)[-1].units == 1.5

    @pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
    def test_move_stop_to_what_is_no_price_raises_rejected_and_leaves_it(self, market: Market, price: float) -> None:
        entry = self.protected_entry(market, Side.BUY)

        with pytest.raises(Rejected):
            self.move_stop(market, entry, price)
        assert self.stops(market, entry) == [(entry.stop_loss, 2.0)]

    def test_move_stop_of_an_entry_that_nobody_sent_raises_rejected(self, market: Market) -> None:
        self.protected_entry(market, Side.BUY)

        with pytest.raises(Rejected):
            self.move_stop(market, self.order(market, Side.BUY, strategy="other"), 99.0)

    def test_move_stop_of_a_position_that_is_closed_raises_rejected_and_places_nothing(self, market: Market) -> None:
        entry = self.protected_entry(market, Side.BUY)
        market.venue.submit(self.order(market, Side.SELL, leg=Leg.EXIT))
        market.move(100)

        with pytest.raises(Rejected):
            self.move_stop(market, entry, 99.0)
        later = self.protected_entry(market, Side.BUY, stop_loss=None, take_profit=None)
        with pytest.raises(Rejected):
            self.move_stop(market, entry, 99.0)
        assert self.resting(market) == []
        self.move_stop(market, later, 99.0)
        assert self.stops(market, later) == [(99.0, 2.0)]

    # --- terms and clock

    def test_order_is_found_once_the_visibility_time_has_passed(self, market: Market) -> None:
        order = self.order(market, Side.BUY)
        visibility_s = market.venue.terms.visibility_s
        assert 0 <= visibility_s < 60
        told = market.venue.submit(order)

        market.wait(visibility_s)

        assert market.venue.find(order.client_order_id) == told

    def test_clock_tells_real_time_and_goes_on(self, market: Market) -> None:
        before_ms = time.time() * 1000
        first = market.venue.clock_ms()
        second = market.venue.clock_ms()

        assert first <= second
        assert abs(first - before_ms) < 60_000
