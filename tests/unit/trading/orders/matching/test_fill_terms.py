"""Prices, terms and names that are rejected."""

import math

import pytest

from tests.unit.trading.orders.matching.books import COSTLY, FREE, MINUTE_MS, entry
from trading.errors import Broken
from trading.orders.fill_terms import FillTerms
from trading.orders.matching import Bar, Book, on_bar
from trading.orders.orders import Leg, client_order_id, protective_order_id
from trading.structs import replace


@pytest.mark.parametrize("price", [math.nan, math.inf, 0.2])
def test_fill_at_a_price_that_cannot_be_raises_broken(price: float) -> None:
    with pytest.raises(Broken, match="would fill at"):
        on_bar(Book(orders=(entry(-1),)), Bar(MINUTE_MS, price, price, price, price), COSTLY)


def test_fill_at_a_price_that_cannot_be_reports_symbol_candle_and_what_to_change() -> None:
    terms = FillTerms(spread=1e9, symbol="EURUSD")

    with pytest.raises(Broken) as told:
        on_bar(Book(orders=(entry(-1),)), Bar(MINUTE_MS, 1.0, 1.0, 1.0, 1.0), terms)

    assert str(told.value) == (
        f"EURUSD: order {entry(-1).client_order_id} would fill at -499999999 in the candle at 1970-01-01 00:01 "
        "UTC: half the spread and the slippage (500000000) are more than the price: "
        "lower venue.spread or venue.slippage"
    )
    with pytest.raises(Broken, match=r"would fill at nan .*: correct the candle"):
        on_bar(Book(orders=(entry(1),)), Bar(MINUTE_MS, math.nan, math.nan, math.nan, math.nan), terms)


@pytest.mark.parametrize("field", ["spread", "slippage", "commission_bps"])
@pytest.mark.parametrize("bad", [-0.1, math.nan])
def test_fill_terms_negative_or_nan_are_rejected(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        replace(FREE, **{field: bad})  # type: ignore[arg-type]  # the field is one of numbers


def test_protective_order_id_of_an_entry_is_derived_unique_and_short() -> None:
    parent = client_order_id("live", "E-EURUSD-e-", "any", 1_774_360_800_000, Leg.ENTRY)
    stop, target = (protective_order_id(parent, leg) for leg in (Leg.STOP_LOSS, Leg.TAKE_PROFIT))

    assert len({parent, stop, target}) == 3
    assert stop.replace("-s-", "-e-") == target.replace("-t-", "-e-") == parent
    assert max(len(stop), len(target)) <= 32
    assert protective_order_id("mine", Leg.STOP_LOSS) == "mine-s"
