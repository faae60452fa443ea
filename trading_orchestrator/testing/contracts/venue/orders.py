"""Orders, fills, positions and cancels."""

import pytest

from trading.errors import Rejected
from trading.market.candles import Candles
from trading.orders.orders import (
    Leg,
    OrderState,
    Side,
    VenuePosition,
)
from trading_orchestrator.testing.candles import OTHER, SYMBOL
from trading_orchestrator.testing.contracts.venue.subject import Market, VenuePart, both_sides


class OrderContract(VenuePart):
    """`submit`, `find`, `sync`, `fills`, `positions` and `cancel`."""

    def test_find_unknown_order_returns_none(self, market: Market) -> None:
        assert market.venue.find("XAUUSD-1774360800-e-3f9a61c04b") is None

    def test_venue_without_orders_has_no_fills_and_no_positions(self, market: Market) -> None:
        assert market.move(101) == 0
        assert self.fills(market) == []
        assert list(market.venue.positions()) == []

    def test_submit_then_find_returns_the_same_order(self, market: Market) -> None:
        order = self.order(market, Side.BUY)

        answer = market.venue.submit(order)

        assert answer.client_order_id == order.client_order_id
        assert answer.venue_order_id
        assert market.venue.find(order.client_order_id) == answer

    @both_sides
    def test_entry_when_market_moves_fills_whole(self, market: Market, side: Side) -> None:
        order = self.order(market, side)
        market.venue.submit(order)
        market.move(101)

        [fill] = self.fills(market)
        answer = market.venue.find(order.client_order_id)
        assert (fill.client_order_id, fill.symbol, fill.strategy) == (order.client_order_id, SYMBOL, "cross")
        assert (fill.leg, fill.side, fill.units) == (Leg.ENTRY, side, 2.0)
        assert fill.price == pytest.approx(100, rel=0.01)
        assert fill.fee >= 0
        assert answer is not None
        assert (answer.state, answer.filled_units) == (OrderState.FILLED, 2.0)
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
        answer = market.venue.cancel(order.client_order_id)
        market.move(101)

        filled = [fill.client_order_id for fill in self.fills(market)]
        assert answer.state.is_final
        assert self.state(market, order.client_order_id) is answer.state
        assert filled == ([order.client_order_id] if answer.state is OrderState.FILLED else [])

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
