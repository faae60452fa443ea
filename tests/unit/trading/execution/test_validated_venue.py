"""The check of a venue's answers: what makes no sense is no answer, and what does no harm is put right."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, cast

import pytest

from trading.errors import Rejected, Transient
from trading.execution.validated_venue import ValidatedVenue
from trading.market.candles import Candles
from trading.orders.equity_size import EquitySize
from trading.orders.orders import Fill, Leg, OpenOrder, OrderRequest, OrderState, Side, VenueOrder, VenuePosition
from trading.ports.venue import VenueTerms
from trading.structs import replace

ID, SYMBOL = "XAUUSD-1774360800-e-3f9a61c04b", "XAUUSD"
ORDER = VenueOrder(ID, "7", OrderState.FILLED, 2.0)
FILL = Fill(3, "f3", ID, SYMBOL, "cross", Leg.ENTRY, Side.BUY, 2.0, 100.0, 0.1, 60_000)
OPEN = OpenOrder(ID, "7", SYMBOL, Side.SELL, 2.0, 95.0)
HELD = VenuePosition(SYMBOL, "cross", 2.0, 100.0)
REQUEST = OrderRequest(ID, SYMBOL, "cross", Leg.ENTRY, Side.BUY, 2.0, 100.0, 60_000)


@dataclass
class Told:
    """A venue that answers what the test says."""

    order: VenueOrder | None = ORDER
    newest: int = 3
    told_fills: Sequence[Fill] = (FILL,)
    held: Sequence[VenuePosition] = (HELD,)
    resting: Sequence[OpenOrder] = (OPEN,)
    now_ms: int = 1_774_360_800_000
    moved: object = None
    terms: VenueTerms = field(default_factory=lambda: VenueTerms(2.0))
    asked: list[object] = field(default_factory=list)

    def submit(self, request: OrderRequest) -> VenueOrder:
        self.asked.append(request)
        if self.order is None:
            raise Rejected("units", "too few")
        return self.order

    def cancel(self, client_order_id: str) -> VenueOrder:
        self.asked.append(client_order_id)
        if self.order is None:
            raise Transient("line", "broken")
        return self.order

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        self.asked.append((entry_id, stop_loss, open_ms))
        return cast("None", self.moved)

    def find(self, client_order_id: str) -> VenueOrder | None:
        self.asked.append(client_order_id)
        return self.order

    def sync(self, symbol: str, candles: Candles) -> int:
        self.asked.append((symbol, len(candles)))
        return self.newest

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        self.asked.append((symbol, after))
        return self.told_fills

    def positions(self) -> Sequence[VenuePosition]:
        return self.held

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        return self.resting

    def clock_ms(self) -> int:
        return self.now_ms


CALLS: dict[str, Callable[[ValidatedVenue], object]] = {
    "submit": lambda venue: venue.submit(REQUEST),
    "cancel": lambda venue: venue.cancel(ID),
    "move_stop": lambda venue: venue.move_stop(ID, 95.0, 60_000),
    "find": lambda venue: venue.find(ID),
    "sync": lambda venue: venue.sync(SYMBOL, Candles.empty()),
    "fills": lambda venue: venue.fills(SYMBOL, after=0),
    "positions": lambda venue: venue.positions(),
    "open_orders": lambda venue: venue.open_orders(SYMBOL),
    "clock_ms": lambda venue: venue.clock_ms(),
    "terms": lambda venue: venue.terms,
}


def refused(told: Told, call: str) -> str:
    with pytest.raises(Transient) as caught:
        CALLS[call](ValidatedVenue(told, where="paper"))
    assert caught.value.where == "paper"
    assert caught.value.reason.startswith(f"{call}: malformed answer: ")
    return caught.value.reason


def test_answers_that_make_sense_pass_as_they_are() -> None:
    told = Told()
    venue = ValidatedVenue(told)

    answers = {name: call(venue) for name, call in CALLS.items()}

    assert answers == {
        "submit": ORDER,
        "cancel": ORDER,
        "move_stop": None,
        "find": ORDER,
        "sync": 3,
        "fills": [FILL],
        "positions": [HELD],
        "open_orders": [OPEN],
        "clock_ms": told.now_ms,
        "terms": VenueTerms(2.0),
    }
    assert told.asked == [REQUEST, ID, (ID, 95.0, 60_000), ID, (SYMBOL, 0), (SYMBOL, 0)]


def test_refusals_and_errors_pass_as_they_are() -> None:
    venue = ValidatedVenue(Told(order=None))

    assert venue.find(ID) is None
    with pytest.raises(Rejected, match="too few"):
        venue.submit(REQUEST)
    with pytest.raises(Transient, match="line: broken"):
        venue.cancel(ID)


def test_empty_answers_pass() -> None:
    venue = ValidatedVenue(Told(newest=0, told_fills=(), held=(), resting=()))

    assert venue.sync(SYMBOL, Candles.empty()) == 0
    assert [*venue.fills(SYMBOL, after=0), *venue.positions(), *venue.open_orders(SYMBOL)] == []


# --- orders


@pytest.mark.parametrize("call", ["submit", "cancel", "find"])
@pytest.mark.parametrize(
    "spoiled",
    [
        {"client_order_id": "somebody-else"},
        {"client_order_id": ""},
        {"venue_order_id": ""},
        {"filled_units": math.nan},
        {"filled_units": math.inf},
        {"filled_units": -1e-9},
        {"state": OrderState.PLANNED},
        {"state": OrderState.SUBMITTING},
        {"state": OrderState.UNKNOWN},
        {"state": OrderState.ACCEPTED},
        {"state": OrderState.REJECTED},
    ],
    ids=str,
)
def test_order_that_makes_no_sense_is_rejected(call: str, spoiled: dict[str, Any]) -> None:
    refused(Told(order=replace(ORDER, **spoiled)), call)


@pytest.mark.parametrize(
    ("state", "filled_units"),
    [
        (OrderState.ACCEPTED, 0.0),
        (OrderState.PARTIALLY_FILLED, 1.0),
        (OrderState.FILLED, 2.0),
        (OrderState.FILLED, 0.0),
        (OrderState.CANCELED, 0.0),
        (OrderState.CANCELED, 1.0),
        (OrderState.EXPIRED, 1.0),
        (OrderState.REJECTED, 0.0),
        (OrderState.FILLED, 2.0 + 1e-12),
    ],
)
def test_order_as_venues_report_them_passes(state: OrderState, filled_units: float) -> None:
    told = replace(ORDER, state=state, filled_units=filled_units)

    assert ValidatedVenue(Told(order=told)).submit(REQUEST) is told
    assert ValidatedVenue(Told(order=told)).find(ID) is told


def test_order_filled_by_more_than_was_sent_is_rejected_where_that_is_known() -> None:
    told = Told(order=replace(ORDER, filled_units=2.1))

    assert "found 2.1 filled units" in refused(told, "submit")
    assert ValidatedVenue(told).find(ID) == told.order


def test_entry_that_the_venue_sizes_may_have_more_units_than_at_its_decision() -> None:
    told = ValidatedVenue(Told(order=replace(ORDER, state=OrderState.FILLED, filled_units=2.1)))
    sized = replace(REQUEST, at_fill=EquitySize(1.0, 220.0))

    assert told.submit(sized).filled_units == 2.1
    with pytest.raises(Transient, match=r"expected 0 to 2\.0"):
        told.submit(REQUEST)


# --- fills


@pytest.mark.parametrize(
    "spoiled",
    [
        {"symbol": "BTCUSD"},
        {"units": 0.0},
        {"units": -2.0},
        {"units": math.nan},
        {"units": math.inf},
        {"price": 0.0},
        {"price": -1.0},
        {"price": math.nan},
        {"price": math.inf},
        {"fee": math.nan},
        {"fee": math.inf},
        {"fill_id": ""},
        {"sequence": 0},
        {"sequence": -3},
        {"market_ms": -1},
    ],
    ids=str,
)
def test_fill_that_makes_no_sense_is_rejected_with_all_of_its_answer(spoiled: dict[str, Any]) -> None:
    good = replace(FILL, sequence=9, fill_id="f9")

    refused(Told(told_fills=(good, replace(FILL, **spoiled))), "fills")


def test_fee_that_is_a_rebate_passes() -> None:
    rebate = replace(FILL, fee=-0.05)

    assert ValidatedVenue(Told(told_fills=(rebate,))).fills(SYMBOL, after=0) == [rebate]


def test_fills_in_any_order_and_reported_twice_come_once_and_in_order() -> None:
    fills = [replace(FILL, sequence=number, fill_id=f"f{number}") for number in (3, 4, 11)]
    for told in permutations([*fills, replace(fills[0]), replace(fills[2])]):
        assert ValidatedVenue(Told(told_fills=told)).fills(SYMBOL, after=0) == fills


def test_fills_not_after_the_number_requested_are_left_out() -> None:
    fills = [replace(FILL, sequence=number, fill_id=f"f{number}") for number in (3, 4, 11)]

    assert ValidatedVenue(Told(told_fills=fills)).fills(SYMBOL, after=4) == fills[2:]


@pytest.mark.parametrize("other", [{"units": 4.0}, {"price": 101.0}, {"sequence": 4}, {"side": Side.SELL}], ids=str)
def test_fill_reported_twice_with_other_numbers_is_rejected(other: dict[str, Any]) -> None:
    assert "fill id 'f3'" in refused(Told(told_fills=(FILL, replace(FILL, **other))), "fills")


def test_two_fills_with_one_number_are_rejected() -> None:
    assert "fill number 3" in refused(Told(told_fills=(FILL, replace(FILL, fill_id="f4"))), "fills")


# --- what is held and what rests


@pytest.mark.parametrize(
    "spoiled",
    [{"units": math.nan}, {"units": -math.inf}, {"average_price": math.nan}, {"average_price": -1.0}],
    ids=str,
)
def test_position_that_makes_no_sense_is_rejected(spoiled: dict[str, Any]) -> None:
    refused(Told(held=(HELD, replace(HELD, symbol="BTCUSD", **spoiled))), "positions")


def test_positions_reported_twice_and_flat_ones_are_left_out() -> None:
    short = VenuePosition("BTCUSD", "cross", -1.0, 9.0)
    flat = VenuePosition("ETHUSD", "cross", 0.0, 0.0)

    assert ValidatedVenue(Told(held=(short, HELD, flat, HELD))).positions() == [short, HELD]


def test_two_positions_in_one_symbol_long_and_short_both_pass() -> None:
    other = replace(HELD, units=-3.0)
    assert ValidatedVenue(Told(held=(HELD, other))).positions() == [HELD, other]


def test_fill_without_an_order_of_ours_passes() -> None:
    by_hand = replace(FILL, client_order_id="")
    assert list(ValidatedVenue(Told(told_fills=(by_hand,))).fills(SYMBOL, after=0)) == [by_hand]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"symbol": "BTCUSD"},
        {"venue_order_id": ""},
        {"units": 0.0},
        {"units": -2.0},
        {"units": math.nan},
        {"price": math.nan},
        {"price": 0.0},
    ],
    ids=str,
)
def test_resting_order_that_makes_no_sense_is_rejected(spoiled: dict[str, Any]) -> None:
    refused(Told(resting=(replace(OPEN, venue_order_id="8"), replace(OPEN, **spoiled))), "open_orders")


def test_resting_orders_of_others_pass_and_those_reported_twice_come_once() -> None:
    foreign = replace(OPEN, client_order_id="", venue_order_id="9", price=None)

    assert ValidatedVenue(Told(resting=(OPEN, foreign, OPEN))).open_orders(SYMBOL) == [OPEN, foreign]
    assert "order '7'" in refused(Told(resting=(OPEN, replace(OPEN, units=1.0))), "open_orders")


# --- numbers


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("sync", Told(newest=-1)),
        ("clock_ms", Told(now_ms=0)),
        ("clock_ms", Told(now_ms=-5)),
        ("terms", Told(terms=VenueTerms(math.nan))),
        ("terms", Told(terms=VenueTerms(math.inf))),
        ("terms", Told(terms=VenueTerms(-1.0))),
    ],
)
def test_number_that_cannot_be_is_rejected(call: str, told: Told) -> None:
    refused(told, call)


# --- stops that are moved


def test_move_stop_is_passed_on_and_answers_nothing() -> None:
    told = Told()
    ValidatedVenue(told).move_stop(ID, 95.0, 60_000)
    assert told.asked == [(ID, 95.0, 60_000)]


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_move_stop_to_what_is_no_price_reaches_no_venue(price: float) -> None:
    told = Told()
    with pytest.raises(Rejected, match=f"a stop must be a positive price, not {price}"):
        ValidatedVenue(told).move_stop(ID, price, 60_000)
    assert told.asked == []


@pytest.mark.parametrize("moved", [0, "", ORDER], ids=str)
def test_move_stop_that_is_answered_by_something_is_not_known_to_be_done(moved: object) -> None:
    refused(Told(moved=moved), "move_stop")
