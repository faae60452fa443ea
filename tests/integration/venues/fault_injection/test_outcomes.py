"""Faults of outcome: rejections, orders taken in part, ids that can be taken again."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.database import create_engine
from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.paper import PaperVenue
from tests.integration.venues.fault_injection.callers import AT_CLOSE, NONE, answer, flat, order, sent
from trading.errors import Rejected
from trading.execution.validated_venue import ValidatedVenue
from trading.orders.orders import Leg, OrderState, Side, protective_order_id
from trading.structs import replace
from trading_orchestrator.testing.candles import SYMBOL


def test_rejected_order_is_rejected_each_time_by_everyone_and_is_not_there(paper: PaperVenue) -> None:
    faults = Faults(rejection_probability=0.5, seed=3)
    by_first, by_second = FaultInjectingVenue(paper, faults), FaultInjectingVenue(paper, faults)
    refused = {minute for minute in range(1, 41) if sent(by_first, order(minute)).startswith("Rejected")}

    assert 10 < len(refused) < 30
    for minute in reversed(range(1, 41)):
        request = order(minute)
        if minute in refused:
            with pytest.raises(Rejected):
                by_second.submit(request)
            assert by_second.find(request.client_order_id) is None
            assert paper.find(request.client_order_id) is None
        else:
            assert by_second.submit(request) == paper.find(request.client_order_id)


def test_order_taken_in_part_waits_and_then_is_canceled_with_what_was_filled(paper: PaperVenue) -> None:
    venue = ValidatedVenue(FaultInjectingVenue(paper, Faults(partial_order_probability=1.0)))
    request = order(1, stop_loss=95.0, take_profit=110.0)
    assert venue.submit(request).state is OrderState.ACCEPTED
    venue.sync(SYMBOL, flat(1))

    [fill] = venue.fills(SYMBOL, after=0)
    reported = venue.find(request.client_order_id)
    assert fill.units in (0.5, 1.0, 1.5)
    assert reported is not None
    assert (reported.state, reported.filled_units) == (OrderState.CANCELED, fill.units)
    assert venue.submit(request) == venue.cancel(request.client_order_id) == reported
    assert [at.units for at in venue.positions()] == [fill.units]
    assert [(one.units, one.price) for one in venue.open_orders(SYMBOL)] == [(fill.units, 95.0), (fill.units, 110.0)]


def test_protective_order_of_a_part_closes_that_part_and_counts_as_filled(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(partial_order_probability=1.0))
    request = order(1, stop_loss=95.0, take_profit=110.0)
    venue.submit(request)
    venue.sync(SYMBOL, flat(1))
    venue.sync(SYMBOL, flat(2, 90.0))

    opened, closed = venue.fills(SYMBOL, after=0)
    stop = venue.find(protective_order_id(request.client_order_id, Leg.STOP_LOSS))
    assert (closed.leg, closed.units) == (Leg.STOP_LOSS, opened.units)
    assert stop is not None
    assert (stop.state, stop.filled_units) == (OrderState.FILLED, opened.units)
    assert list(venue.positions()) == []
    assert list(venue.open_orders(SYMBOL)) == []


def test_exit_taken_in_part_leaves_a_position_that_stays_protected(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(partial_order_probability=1.0))
    paper.submit(order(1, stop_loss=95.0, take_profit=110.0))
    venue.sync(SYMBOL, flat(1))
    leaving = order(2, Side.SELL, leg=Leg.EXIT)
    venue.submit(leaving)
    venue.sync(SYMBOL, flat(2))

    reported = venue.find(leaving.client_order_id)
    assert reported is not None
    assert reported.state is OrderState.CANCELED
    left = 2.0 - reported.filled_units
    assert 0 < left < 2
    assert [at.units for at in venue.positions()] == [left]
    assert [one.units for one in venue.open_orders(SYMBOL)] == [left, left]


def test_part_taken_depends_on_seed_and_id_alone(tmp_path: Path) -> None:
    def parts(minutes: Sequence[int], seed: int) -> list[float]:
        url = f"sqlite:///{tmp_path}/{seed}-{minutes[0]}.db"
        engine = create_engine(url, where="paper")
        venue = FaultInjectingVenue(
            PaperVenue(engine, {SYMBOL: AT_CLOSE}), Faults(partial_order_probability=0.5, seed=seed)
        )
        filled = [venue.submit(order(minute)).filled_units for minute in minutes]
        engine.dispose()
        return filled

    forward = parts(range(1, 41), 8)

    assert set(forward) == {0.5, 1.0, 1.5, 2.0}
    assert parts(range(40, 0, -1), 8) == forward[::-1]
    assert parts(range(1, 41), 9) != forward


def test_reusable_id_of_an_order_that_ended_places_a_second_order(at_close: PaperVenue) -> None:
    venue = ValidatedVenue(FaultInjectingVenue(at_close, Faults(reusable_ids=True)))
    request = order(1, stop_loss=95.0)
    first, second = venue.submit(request), venue.submit(request)

    assert first.venue_order_id != second.venue_order_id
    assert venue.find(request.client_order_id) == second
    one, other = venue.fills(SYMBOL, after=0)
    assert one.client_order_id == other.client_order_id == request.client_order_id
    assert one.fill_id != other.fill_id
    assert [at.units for at in at_close.positions()] == [4.0]
    [stop] = venue.open_orders(SYMBOL)
    assert stop.client_order_id == protective_order_id(request.client_order_id, Leg.STOP_LOSS)
    assert stop.units == 4.0


def test_reusable_id_of_an_order_that_waits_is_that_order(paper: PaperVenue) -> None:
    faults = Faults(reusable_ids=True)
    first = FaultInjectingVenue(paper, faults).submit(order(1))
    assert FaultInjectingVenue(paper, faults).submit(order(1)) == first
    paper.sync(SYMBOL, flat(1))

    second = FaultInjectingVenue(paper, faults).submit(order(1))
    assert second.venue_order_id != first.venue_order_id
    assert FaultInjectingVenue(paper, faults).submit(order(1)) == second, "alive in another process too"
    reported = FaultInjectingVenue(paper, faults).cancel(order(1).client_order_id)
    assert reported == replace(second, state=OrderState.CANCELED)


def test_id_that_is_not_reusable_stays_one_order(at_close: PaperVenue) -> None:
    venue = FaultInjectingVenue(at_close, NONE)

    assert venue.submit(order(1)) == venue.submit(order(1))
    assert [at.units for at in at_close.positions()] == [2.0]


def test_resend_after_a_timeout_without_asking_doubles_the_position(at_close: PaperVenue) -> None:
    """No caller may do so; the wrapper must be able to show it."""
    venue = FaultInjectingVenue(at_close, Faults(reusable_ids=True, timeout_after_probability=1.0))
    answer(lambda: venue.submit(order(1)))

    assert [at.units for at in at_close.positions()] == [6.0]
