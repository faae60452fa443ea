"""Orders that rest at the venue: entries that wait, stops and targets."""

from trading.orders.orders import (
    Leg,
    OrderState,
    Side,
)
from trading_orchestrator.testing.candles import OTHER, SYMBOL
from trading_orchestrator.testing.contracts.venue.subject import Market, VenuePart, both_sides


class RestingOrderContract(VenuePart):
    """`open_orders`, and the protective orders of an entry."""

    def test_open_orders_before_any_order_are_none(self, market: Market) -> None:
        assert self.resting(market) == []

    def test_open_orders_of_an_entry_that_waits_are_that_entry(self, market: Market) -> None:
        order = self.order(market, Side.BUY)
        answer = market.venue.submit(order)

        waiting = [(one.client_order_id, one.venue_order_id, one.side, one.units) for one in self.resting(market)]
        expected = (order.client_order_id, answer.venue_order_id, Side.BUY, 2.0)
        assert waiting == ([] if answer.state is OrderState.FILLED else [expected])
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
