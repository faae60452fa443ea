"""Orders are shown late."""

from adapters.database import create_engine
from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.fault_injection.visibility import SqlSends
from adapters.venues.paper import PaperVenue
from tests.integration.venues.fault_injection.callers import Clock, flat, order
from trading.ports.venue import VenueTerms
from trading_orchestrator.testing.candles import SYMBOL


def test_order_taken_is_not_shown_until_its_own_delay_has_passed(paper: PaperVenue) -> None:
    clock, delays = Clock(), []
    venue = FaultInjectingVenue(paper, Faults(visibility_s=10.0), now_s=clock)
    for minute in range(1, 11):
        request = order(minute)
        submitted = venue.submit(request)
        sent_s = clock()
        while venue.find(request.client_order_id) is None:
            assert request.client_order_id not in {one.client_order_id for one in venue.open_orders(SYMBOL)}
            clock.sleep(0.1)
        assert venue.find(request.client_order_id) == submitted
        assert request.client_order_id in {one.client_order_id for one in venue.open_orders(SYMBOL)}
        delays.append(clock() - sent_s)

    assert venue.terms == VenueTerms(visibility_s=10.0)
    assert len(set(delays)) > 5
    assert 0 < min(delays) < 5 < max(delays) <= 10.1


def test_order_not_shown_yet_sent_again_is_the_same_and_its_fill_is_reported(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(visibility_s=10.0), now_s=Clock())
    first = venue.submit(order(1))

    assert venue.find(order(1).client_order_id) is None
    assert venue.submit(order(1)) == first
    assert venue.sync(SYMBOL, flat(1)) == 1
    assert [fill.client_order_id for fill in venue.fills(SYMBOL, after=0)] == [order(1).client_order_id]


def test_order_of_a_killed_process_is_not_shown_to_the_next_one_either(paper: PaperVenue, database_url: str) -> None:
    """The send is noted in the database before the order is taken, so a restart does not cut the delay short."""
    now_ms, faults = [1_000_000], Faults(visibility_s=10.0)
    first, second = (create_engine(database_url, where="paper") for _ in range(2))
    sender = FaultInjectingVenue(paper, faults, sends=SqlSends(first, lambda: now_ms[0]))
    submitted = sender.submit(order(1))
    sender.submit(order(1))  # sent again later, it is not hidden any longer
    follower = FaultInjectingVenue(paper, faults, sends=SqlSends(second, lambda: now_ms[0]))

    shown = []
    for _ in range(101):
        shown.append(follower.find(order(1).client_order_id))
        now_ms[0] += 100

    assert shown[0] is None
    assert shown[-1] == submitted
    assert shown == sorted(shown, key=lambda one: one is not None), "once shown, it stays"
    first.dispose()
    second.dispose()
