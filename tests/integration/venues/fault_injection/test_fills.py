"""Fills come twice, shuffled, late or in parts."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from adapters.venues.fault_injection.outcomes import Numbering, cut
from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.paper import PaperVenue
from tests.integration.venues.fault_injection.callers import TERMS, flat, order
from trading.execution.validated_venue import ValidatedVenue
from trading.market.candles import Candles
from trading.orders.orders import Fill, Leg, Side
from trading.structs import replace
from trading.tolerance import add_units
from trading_orchestrator.testing.candles import SYMBOL


@pytest.fixture
def ten_fills(paper: PaperVenue) -> list[Fill]:
    for minute in range(1, 11):
        paper.submit(order(minute))
        paper.sync(SYMBOL, flat(minute))
    return list(paper.fills(SYMBOL, after=0))


def test_duplicate_fills_are_reported_twice_as_they_are(paper: PaperVenue, ten_fills: list[Fill]) -> None:
    venue = FaultInjectingVenue(paper, Faults(duplicate_fill_probability=1.0))

    assert list(venue.fills(SYMBOL, after=8)) == [ten_fills[8]] * 2 + [ten_fills[9]] * 2
    assert list(ValidatedVenue(venue).fills(SYMBOL, after=8)) == ten_fills[8:]


def test_shuffled_fills_are_all_reported_out_of_order(paper: PaperVenue, ten_fills: list[Fill]) -> None:
    venue = FaultInjectingVenue(paper, Faults(shuffled_fills_probability=1.0))
    reported = list(venue.fills(SYMBOL, after=0))

    assert reported != ten_fills
    assert sorted(reported, key=lambda fill: fill.sequence) == ten_fills
    assert list(ValidatedVenue(venue).fills(SYMBOL, after=0)) == ten_fills


@pytest.mark.parametrize("most", [1, 3])
def test_late_fills_turn_up_after_later_ones_were_reported(paper: PaperVenue, ten_fills: list[Fill], most: int) -> None:
    venue = FaultInjectingVenue(paper, Faults(late_fill_probability=1.0, most_in_a_row=most))

    answers = [list(venue.fills(SYMBOL, after=0)) for _ in range(most + 1)]

    assert answers == [[ten_fills[-1]]] * most + [ten_fills]


def test_late_fills_at_some_probability_each_turn_up_in_time(paper: PaperVenue, ten_fills: list[Fill]) -> None:
    venue = FaultInjectingVenue(paper, Faults(late_fill_probability=0.5, most_in_a_row=3))
    missing = [len(ten_fills) - len(venue.fills(SYMBOL, after=0)) for _ in range(12)]

    assert 0 < missing[0] < 9
    assert sum(missing) <= 3 * 9
    assert ten_fills[-1] in venue.fills(SYMBOL, after=0)


amounts = st.floats(1e-12, 1e12)


@given(total=amounts, shares=st.tuples(st.floats(0.55, 0.8)) | st.tuples(st.floats(0.3, 0.45), st.floats(0.3, 0.45)))
def test_cut_parts_add_up_to_the_same_bits(total: float, shares: tuple[float, ...]) -> None:
    parts = cut(total, list(shares))
    added = 0.0
    for part in parts:
        added += part

    assert added == total
    assert len(parts) == len(shares) + 1
    assert min(parts) > 0


@given(newest=st.integers(1, 10**12), part=st.integers(0, 7))
def test_numbering_after_any_part_requests_every_fill_with_a_later_one(newest: int, part: int) -> None:
    numbering = Numbering(Faults(split_fill_probability=0.1))
    after = numbering.outer(newest) - part

    assert numbering.outer(newest - 1) < after
    assert numbering.inner_after(after) == (newest if part == 0 else newest - 1)
    assert numbering.inner_after(0) <= 0 == numbering.outer(0)


@pytest.fixture
def round_trips(engine: Engine) -> PaperVenue:
    """Ten entries of odd sizes and their exits."""
    paper, die = PaperVenue(engine, {SYMBOL: TERMS}), random.Random(4)
    for minute in range(1, 21, 2):
        units = die.uniform(0.01, 9)
        paper.submit(order(minute, units=units))
        paper.sync(SYMBOL, flat(minute, die.uniform(90, 110)))
        paper.submit(order(minute + 1, Side.SELL, leg=Leg.EXIT, units=units))
        paper.sync(SYMBOL, flat(minute + 1, die.uniform(90, 110)))
    return paper


def test_split_fills_add_up_exactly_and_keep_their_order(round_trips: PaperVenue) -> None:
    venue = ValidatedVenue(FaultInjectingVenue(round_trips, Faults(split_fill_probability=0.8, seed=1)))
    reported, counts = list(venue.fills(SYMBOL, after=0)), []
    for whole in round_trips.fills(SYMBOL, after=0):
        parts = [part for part in reported if re.fullmatch(re.escape(whole.fill_id) + r"(\.\d)?", part.fill_id)]
        units = fee = 0.0
        for part in parts:
            units, fee = add_units(units, part.units), fee + part.fee
        assert (units, fee) == (whole.units, whole.fee)
        first = parts[0]
        assert replace(whole, units=0, fee=0, sequence=0, fill_id="") == replace(
            first, units=0, fee=0, sequence=0, fill_id=""
        )
        counts.append(len(parts))

    assert set(counts) == {1, 2, 3}
    assert len({fill.fill_id for fill in reported}) == len(reported) == sum(counts)
    assert [part.client_order_id for part in reported] == [
        fill.client_order_id
        for fill, count in zip(round_trips.fills(SYMBOL, after=0), counts, strict=True)
        for _ in range(count)
    ]


def test_split_fills_after_each_number_are_the_rest(round_trips: PaperVenue) -> None:
    venue = FaultInjectingVenue(round_trips, Faults(split_fill_probability=0.8, seed=1))
    reported = list(venue.fills(SYMBOL, after=0))

    assert venue.sync(SYMBOL, Candles.empty()) == reported[-1].sequence
    for after in range(reported[-1].sequence + 2):
        assert list(venue.fills(SYMBOL, after=after)) == [fill for fill in reported if fill.sequence > after]


def test_sync_without_fills_returns_0_when_fills_are_split(paper: PaperVenue) -> None:
    assert FaultInjectingVenue(paper, Faults(split_fill_probability=1.0)).sync(SYMBOL, flat(1)) == 0
