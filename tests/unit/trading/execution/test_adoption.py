"""Adoption: the adjustments that make the ledger equal to the venue, and the rejections."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import Rejected
from trading.execution.adoption import Adjustment, Adoption, AdoptionRequest, Holdings, plan_adoption
from trading.incidents.descriptions import foreign_fill, position_mismatch, unowned, unprotected
from trading.incidents.incident import Incident
from trading.orders.orders import Fill, Leg, Side, VenuePosition
from trading.portfolio.positions import Position
from trading.structs import replace

T0_MS, MINUTE_MS = 1_774_360_800_000, 60_000
LONG = Position("XAUUSD", "cross", 2.0, 100.0, T0_MS, stop_loss=95.0, take_profit=120.0)
SHORT = Position("XAUUSD", "cross", -2.0, 100.0, T0_MS)
FLAT = Position("XAUUSD", "cross")
WISH = AdoptionRequest("traded it myself", "ann")
BUY, SELL = Side.BUY, Side.SELL
ENTRY, EXIT = Leg.ENTRY, Leg.EXIT


def holdings(ours: Sequence[Position], *theirs: tuple[float, float]) -> Holdings:
    at_venue = [VenuePosition("XAUUSD", "", units, price) for units, price in theirs]
    return Holdings("XAUUSD", ours, at_venue, T0_MS, T0_MS + 2 * MINUTE_MS)


def mismatch(both: Holdings) -> Incident:
    return position_mismatch("XAUUSD", both.our_units, both.their_units)


def by_hand(side: Side, units: float, price: float, *, fill_id: str = "web-1") -> Incident:
    fill = Fill(7, fill_id, "", "XAUUSD", "", ENTRY, side, units, price, 0.0, T0_MS)
    return foreign_fill(fill)


def plan(
    both: Holdings, incident: Incident | None = None, *others: Incident, request: AdoptionRequest = WISH
) -> Adoption:
    incident_to_adopt = incident or mismatch(both)
    return plan_adoption(incident_to_adopt, [incident_to_adopt, *others], both, request, configured=["cross"])


@pytest.mark.parametrize(
    ("held", "theirs", "expected"),
    [
        (FLAT, [(3.0, 101.0)], [Adjustment(ENTRY, BUY, 3.0, 101.0)]),
        (FLAT, [(-3.0, 101.0)], [Adjustment(ENTRY, SELL, 3.0, 101.0)]),
        (LONG, [(3.0, 101.0)], [Adjustment(ENTRY, BUY, 1.0, 101.0, 95.0, 120.0)]),
        (LONG, [(0.5, 101.0)], [Adjustment(EXIT, SELL, 1.5, 101.0)]),
        (LONG, [(-1.0, 101.0)], [Adjustment(EXIT, SELL, 2.0, 101.0), Adjustment(ENTRY, SELL, 1.0, 101.0)]),
        (SHORT, [(-0.5, 99.0), (-0.5, 101.0)], [Adjustment(EXIT, BUY, 1.0, 100.0)]),
    ],
)
def test_adoption_books_the_difference_at_the_venues_average_price(
    held: Position, theirs: list[tuple[float, float]], expected: list[Adjustment]
) -> None:
    assert plan(holdings([held], *theirs)) == Adoption("cross", tuple(expected))


def test_adoption_of_what_was_closed_by_hand_needs_a_price_and_names_those_that_were_seen() -> None:
    both = holdings([LONG])
    with pytest.raises(Rejected, match=r"set the traded price; what was seen: the venue filled sell 2 at 103"):
        plan(both, mismatch(both), by_hand(SELL, 2.0, 103.0))
    assert plan(both, request=replace(WISH, price=103.0)).adjustments == (Adjustment(EXIT, SELL, 2.0, 103.0),)


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_adoption_at_a_price_that_cannot_be_is_rejected(price: float) -> None:
    with pytest.raises(Rejected, match="positive number"):
        plan(holdings([FLAT], (1.0, 100.0)), request=replace(WISH, price=price))


def test_adoption_of_a_foreign_fill_is_that_of_all_of_them() -> None:
    both = holdings([LONG], (5.0, 101.0))
    fills = by_hand(BUY, 1.0, 100.0), by_hand(BUY, 2.0, 102.0, fill_id="web-2")
    assert plan(both, *fills).adjustments == (Adjustment(ENTRY, BUY, 3.0, 101.0, 95.0, 120.0),)
    with pytest.raises(Rejected, match=r"reported foreign fills add up to \+1 units, and now the ledger holds 2"):
        plan(both, fills[0])


def test_adoption_of_a_foreign_fill_beside_a_mismatch_uses_the_units_of_the_mismatch() -> None:
    both = holdings([LONG], (5.0, 101.0))
    assert plan(both, by_hand(BUY, 1.0, 100.0), mismatch(both)).adjustments[0].units == 3.0


@pytest.mark.parametrize("then", [holdings([LONG], (4.0, 101.0)), holdings([FLAT], (3.0, 101.0))])
def test_adoption_of_another_difference_than_that_of_the_incident_is_rejected(then: Holdings) -> None:
    now = holdings([LONG], (3.0, 101.0))
    with pytest.raises(Rejected, match="now the ledger holds 2 units of XAUUSD and the venue 3: resolve the incident"):
        plan(now, mismatch(then))


def test_adoption_where_both_agree_by_now_reports_that_there_is_nothing_to_adopt() -> None:
    now = holdings([LONG], (2.0, 101.0))
    with pytest.raises(Rejected, match="nothing to adopt; resolve the incident without adopting"):
        plan(now, mismatch(holdings([LONG], (3.0, 101.0))))


def test_adoption_of_another_kind_of_incident_reports_which_ones_it_is_for() -> None:
    with pytest.raises(Rejected, match="foreign_fill, position_mismatch, unowned_position"):
        plan(holdings([LONG], (3.0, 101.0)), unprotected(LONG))


def test_adoption_for_one_of_several_strategies_needs_its_name() -> None:
    other = replace(LONG, strategy="older", units=1.0)
    both = holdings([LONG, other], (4.0, 101.0))
    with pytest.raises(Rejected, match="set strategy to one of cross, older"):
        plan(both)
    with pytest.raises(Rejected, match="no strategy 'nope'; known are cross, older"):
        plan(both, request=replace(WISH, strategy="nope"))
    assert plan(both, request=replace(WISH, strategy="older")).strategy == "older"


def test_adoption_without_any_position_of_ours_is_the_configured_strategys() -> None:
    assert plan(holdings([], (1.0, 100.0))).strategy == "cross"
    assert (
        plan(holdings([replace(FLAT, strategy="older"), replace(LONG, strategy="held")], (3.0, 1.0))).strategy == "held"
    )


def test_adoption_of_an_unowned_position_ends_it_and_opens_it_again_at_its_own_price() -> None:
    both = holdings([SHORT], (-2.0, 90.0))
    assert plan(both, unowned(SHORT)).adjustments == (
        Adjustment(EXIT, BUY, 2.0, 100.0),
        Adjustment(ENTRY, SELL, 2.0, 100.0),
    )


@pytest.mark.parametrize(
    ("both", "owner", "why"),
    [
        (holdings([SHORT], (-3.0, 90.0)), WISH, "the venue -3: reconcile, and adopt that difference first"),
        (
            holdings([replace(SHORT, opened_ms=1)], (-2.0, 90.0)),
            WISH,
            "about -2 units; now the ledger holds -2 by cross",
        ),
        (holdings([FLAT]), WISH, "now the ledger holds nothing"),
        (holdings([SHORT], (-2.0, 90.0)), replace(WISH, strategy="other"), "now the ledger holds -2 by cross"),
        (holdings([SHORT], (-2.0, 90.0)), replace(WISH, price=1.0), "omit the price"),
    ],
)
def test_adoption_of_an_unowned_position_that_is_another_one_is_rejected(
    both: Holdings, owner: AdoptionRequest, why: str
) -> None:
    with pytest.raises(Rejected, match=why):
        plan(both, unowned(SHORT), request=owner)


units = st.integers(-50, 50).map(lambda number: number / 10)


@given(held=units, theirs=units, price=st.integers(1, 200))
def test_adoption_always_comes_to_what_the_venue_holds(held: float, theirs: float, price: float) -> None:
    position = Position("XAUUSD", "cross", held, 100.0 if held else 0.0, T0_MS if held else 0)
    both = holdings([position], (theirs, float(price))) if theirs else holdings([position])
    if abs(held - theirs) < 1e-6:
        return
    adoption = plan(both, request=replace(WISH, price=float(price)))
    for at, one in enumerate(adoption.adjustments):
        assert one.units > 0
        is_closing = position.units * one.side.sign < 0
        assert is_closing == (one.leg is EXIT)
        position = position.after(
            Fill(at, f"f{at}", "a", "XAUUSD", "cross", one.leg, one.side, one.units, one.price, 0.0, T0_MS)
        )
    assert position.units == pytest.approx(theirs, abs=1e-9)
