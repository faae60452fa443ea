"""Stops that are moved."""

from typing import Any

import pytest

from trading.errors import Rejected
from trading.market.candles import Candles
from trading.orders.orders import (
    Leg,
    OrderRequest,
    Side,
    protective_order_id,
)
from trading.structs import replace
from trading_orchestrator.testing.candles import MINUTE_MS, SYMBOL
from trading_orchestrator.testing.contracts.venue.subject import Market, VenuePart, both_sides


class StopMoveContract(VenuePart):
    """`move_stop`."""

    def protected_entry(self, market: Market, side: Side, **fields: Any) -> OrderRequest:
        """Fill an entry at 100 with a stop and a target, and return its order."""
        entry = replace(self.order(market, side, protected=True), **fields)
        market.venue.submit(entry)
        market.move(100)
        return entry

    @staticmethod
    def move_stop(market: Market, entry: OrderRequest, price: float) -> None:
        """Move the stop of an entry at the close of the last candle."""
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

    @both_sides
    def test_stop_that_was_cancelled_is_placed_again_by_a_move_to_its_price_and_is_hit(
        self, market: Market, side: Side
    ) -> None:
        entry = self.protected_entry(market, side)
        assert entry.stop_loss is not None
        market.venue.cancel(protective_order_id(entry.client_order_id, Leg.STOP_LOSS))
        assert self.stops(market, entry) == []

        self.move_stop(market, entry, entry.stop_loss)
        self.move_stop(market, entry, entry.stop_loss)

        assert self.stops(market, entry) == [(entry.stop_loss, 2.0)]
        market.move(100 - side.sign * 6)
        assert self.fills(market)[-1].leg is Leg.STOP_LOSS
        assert self.held_and_resting(market) == ([], [])

    @pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
    def test_move_stop_to_what_is_no_price_raises_rejected_and_leaves_it(self, market: Market, price: float) -> None:
        entry = self.protected_entry(market, Side.BUY)

        with pytest.raises(Rejected):
            self.move_stop(market, entry, price)
        assert self.stops(market, entry) == [(entry.stop_loss, 2.0)]

    def test_move_stop_of_an_entry_never_sent_raises_rejected(self, market: Market) -> None:
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
