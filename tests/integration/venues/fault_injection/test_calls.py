"""Faults of a call: no answer, an error or a malformed answer, at most so often in a row."""

from collections.abc import Callable

import pytest

from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.paper import PaperVenue
from tests.integration.venues.fault_injection.callers import ALL_LINE, MOST, Clock, answer, flat, order, outcome
from trading.errors import Transient
from trading.execution.validated_venue import ValidatedVenue
from trading.market.candles import Candles
from trading.orders.orders import OrderState
from trading.ports.venue import Venue
from trading_orchestrator.testing.candles import SYMBOL


def test_timeout_before_leaves_no_order_and_asking_again_places_one(paper: PaperVenue) -> None:
    clock = Clock()
    faults = Faults(timeout_before_probability=1.0, timeout_s=3.0)
    venue = FaultInjectingVenue(paper, faults, now_s=clock, sleep_s=clock.sleep)
    for _ in range(MOST):
        with pytest.raises(Transient, match="no answer within 3 s"):
            venue.submit(order(1))
        assert paper.find(order(1).client_order_id) is None

    assert venue.submit(order(1)) == paper.find(order(1).client_order_id)
    assert clock() == 1_006.0


def test_timeout_after_has_placed_the_order_and_asking_again_returns_it(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(timeout_after_probability=1.0))
    with pytest.raises(Transient, match="no answer"):
        venue.submit(order(1))
    first = paper.find(order(1).client_order_id)
    assert first is not None

    assert answer(lambda: venue.submit(order(1))) == first
    paper.sync(SYMBOL, flat(1))
    assert len(paper.fills(SYMBOL, after=0)) == 1


def test_server_error_may_come_before_or_after_the_order_was_taken(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(server_error_probability=1.0))
    taken = []
    for minute in range(1, 31):
        with pytest.raises(Transient, match="503"):
            venue.submit(order(minute))
        taken.append(paper.find(order(minute).client_order_id) is not None)

    assert 5 < sum(taken) < 25


def test_rate_limit_reports_when_to_come_back_and_does_nothing(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(rate_limit_probability=1.0, retry_after_s=2.5))
    with pytest.raises(Transient, match=r"429 .* 2\.5 s"):
        venue.submit(order(1))
    assert paper.find(order(1).client_order_id) is None

    answer(lambda: venue.submit(order(1)))
    with pytest.raises(Transient, match="429"):
        venue.cancel(order(1).client_order_id)
    assert paper.find(order(1).client_order_id) == answer(lambda: venue.submit(order(1)))
    with pytest.raises(Transient, match="429"):
        venue.sync(SYMBOL, flat(1))
    assert list(paper.fills(SYMBOL, after=0)) == []


CALLS: dict[str, Callable[[Venue], object]] = {
    "submit": lambda venue: venue.submit(order(1)),
    "cancel": lambda venue: venue.cancel(order(1).client_order_id),
    "find": lambda venue: venue.find(order(1).client_order_id),
    "find what is not there": lambda venue: venue.find(order(99).client_order_id),
    "sync": lambda venue: venue.sync(SYMBOL, Candles.empty()),
    "fills": lambda venue: list(venue.fills(SYMBOL, after=0)),
    "positions": lambda venue: list(venue.positions()),
    "open_orders": lambda venue: list(venue.open_orders(SYMBOL)),
}


@pytest.mark.parametrize("call", [*CALLS, "clock_ms"])
@pytest.mark.parametrize("most", [1, 2, 4])
def test_faults_of_the_line_come_so_often_in_a_row_and_not_more(at_close: PaperVenue, call: str, most: int) -> None:
    at_close.submit(order(1, stop_loss=95.0))
    faults = ALL_LINE.model_copy(update={"most_in_a_row": most, "visibility_s": 0.0})
    venue = ValidatedVenue(FaultInjectingVenue(at_close, faults))
    calls: dict[str, Callable[[Venue], object]] = {**CALLS, "clock_ms": lambda venue: venue.clock_ms()}
    method_call = calls[call]

    failed = [str(outcome(lambda: method_call(venue))).startswith("Transient") for _ in range(4 * (most + 1))]

    assert failed == ([True] * most + [False]) * 4


@pytest.mark.parametrize("call", CALLS)
def test_malformed_answers_never_pass_the_check_and_are_never_believed(at_close: PaperVenue, call: str) -> None:
    at_close.submit(order(1, stop_loss=95.0))
    truth, method_call = CALLS[call](at_close), CALLS[call]
    for seed in range(40):
        lying = FaultInjectingVenue(at_close, Faults(malformed_probability=1.0, seed=seed))
        lied = outcome(lambda lying=lying: method_call(lying))  # type: ignore[misc]
        venue = ValidatedVenue(FaultInjectingVenue(at_close, Faults(malformed_probability=1.0, seed=seed)))

        assert lied != truth, "a lie that is no lie"
        with pytest.raises(Transient, match="malformed answer"):
            method_call(venue)


def test_malformed_answer_to_an_order_comes_after_it_was_taken(paper: PaperVenue) -> None:
    venue = ValidatedVenue(FaultInjectingVenue(paper, Faults(malformed_probability=1.0)))
    with pytest.raises(Transient, match="malformed"):
        venue.submit(order(1))

    assert paper.find(order(1).client_order_id) is not None


def test_cancel_race_leaves_some_orders_to_fill(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(cancel_race_probability=1.0))
    states = []
    for minute in range(1, 31):
        request = order(minute)
        venue.submit(request)
        with pytest.raises(Transient, match="cancel: no answer"):
            venue.cancel(request.client_order_id)
        venue.sync(SYMBOL, flat(minute))
        canceled = answer(lambda request=request: venue.cancel(request.client_order_id))  # type: ignore[misc]
        assert canceled == venue.find(request.client_order_id)
        states.append(canceled.state)

    assert set(states) == {OrderState.FILLED, OrderState.CANCELED}
    filled = {fill.client_order_id for fill in venue.fills(SYMBOL, after=0)}
    assert len(filled) == states.count(OrderState.FILLED)


def test_clock_that_is_off_reports_by_how_much(paper: PaperVenue) -> None:
    ahead = FaultInjectingVenue(paper, Faults(clock_offset_ms=90_000)).clock_ms() - paper.clock_ms()
    behind = FaultInjectingVenue(paper, Faults(clock_offset_ms=-90_000)).clock_ms() - paper.clock_ms()

    assert ahead == pytest.approx(90_000, abs=5_000)
    assert behind == pytest.approx(-90_000, abs=5_000)
