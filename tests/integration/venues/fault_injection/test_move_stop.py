"""Stops that are moved at a venue that injects faults."""

import pytest

from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.paper import PaperVenue
from tests.integration.venues.fault_injection.callers import Clock, answer, flat, order, outcome
from trading.errors import Transient
from trading.execution.validated_venue import ValidatedVenue
from trading.orders.orders import Leg, OrderRequest, Side
from trading.ports.venue import Venue
from trading_orchestrator.testing.candles import MINUTE_MS, SYMBOL


def lying_holder(paper: PaperVenue, faults: Faults, clock: Clock) -> tuple[FaultInjectingVenue, OrderRequest]:
    """Return a venue that lies and holds 2 units with a stop at 95, and their entry."""
    venue = FaultInjectingVenue(paper, faults, now_s=clock, sleep_s=clock.sleep)
    entry = order(1, stop_loss=95.0, take_profit=120.0)
    paper.submit(entry)
    paper.sync(SYMBOL, flat(1))
    return venue, entry


def stop_prices(venue: Venue) -> list[float | None]:
    return [one.price for one in venue.open_orders(SYMBOL) if "-s-" in one.client_order_id]


@pytest.mark.parametrize(
    ("faults", "rests"),
    [
        (Faults(timeout_before_probability=1.0), 95.0),
        (Faults(timeout_after_probability=1.0), 97.0),
        (Faults(rate_limit_probability=1.0), 95.0),
        (Faults(malformed_probability=1.0), 97.0),
    ],
)
def test_move_stop_that_is_not_answered_took_effect_or_did_not_and_gets_through_in_the_end(
    paper: PaperVenue, faults: Faults, rests: float
) -> None:
    faulty_venue, entry = lying_holder(paper, faults, Clock())
    venue = ValidatedVenue(faulty_venue)
    with pytest.raises(Transient):
        venue.move_stop(entry.client_order_id, 97.0, MINUTE_MS)
    assert stop_prices(paper) == [rests]

    answer(lambda: venue.move_stop(entry.client_order_id, 97.0, MINUTE_MS))
    assert stop_prices(paper) == [97.0]


def test_moved_stop_is_shown_where_it_was_until_the_visibility_time_has_passed(paper: PaperVenue) -> None:
    clock = Clock()
    venue, entry = lying_holder(paper, Faults(seed=4, visibility_s=30.0), clock)
    assert stop_prices(venue) == [95.0]
    venue.move_stop(entry.client_order_id, 97.0, MINUTE_MS)
    clock.sleep(0.1)
    venue.move_stop(entry.client_order_id, 97.0, MINUTE_MS)

    assert (stop_prices(venue), stop_prices(paper)) == ([95.0], [97.0])
    clock.sleep(30.0)
    assert stop_prices(venue) == [97.0]


def test_move_stop_that_the_venue_rejects_is_rejected_each_time_and_for_that_candle_alone(paper: PaperVenue) -> None:
    venue, entry = lying_holder(paper, Faults(seed=3, rejection_probability=0.5), Clock())

    def outcomes() -> list[str | None]:
        return [outcome(lambda at=at: venue.move_stop(entry.client_order_id, 97.0, at * MINUTE_MS)) for at in range(20)]  # type: ignore[misc]

    first = outcomes()
    assert first == outcomes()
    assert 3 < sum(one is not None for one in first) < 17


def test_moved_stop_of_an_order_whose_id_was_taken_again_is_the_newest_ones(paper: PaperVenue) -> None:
    venue, entry = lying_holder(paper, Faults(reusable_ids=True), Clock())
    paper.submit(order(2, Side.SELL, leg=Leg.EXIT))
    paper.sync(SYMBOL, flat(2))
    venue.submit(entry)
    paper.sync(SYMBOL, flat(3))
    venue.move_stop(entry.client_order_id, 97.0, 3 * MINUTE_MS)

    assert stop_prices(venue) == [97.0]
