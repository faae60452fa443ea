"""The terms and the clock of a venue."""

import time

from trading.orders.orders import (
    Side,
)
from trading_orchestrator.testing.contracts.venue.subject import Market, VenuePart


class TermsContract(VenuePart):
    """`terms` and `clock_ms`."""

    def test_order_is_found_once_the_visibility_time_has_passed(self, market: Market) -> None:
        order = self.order(market, Side.BUY)
        visibility_s = market.venue.terms.visibility_s
        assert 0 <= visibility_s < 60
        answer = market.venue.submit(order)

        market.wait(visibility_s)

        assert market.venue.find(order.client_order_id) == answer

    def test_clock_shows_real_time_and_never_goes_back(self, market: Market) -> None:
        before_ms = time.time() * 1000
        first = market.venue.clock_ms()
        second = market.venue.clock_ms()

        assert first <= second
        assert abs(first - before_ms) < 60_000
