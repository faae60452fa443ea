"""Values: how they are compared, changed and kept from change, of either kind."""

import pytest

from trading.market.candles import Candles
from trading.orders.intents import Intent
from trading.orders.orders import OrderState
from trading.portfolio.positions import Position
from trading.ports.candle_source import Bars
from trading.risk.verdict import OK, AccountSnapshot, Check, RiskDecision
from trading.structs import EqualIgnoringLastField, replace

CHECK = Check("paused", is_met=True, reason="it runs")


def test_values_that_differ_in_how_they_came_about_alone_are_equal() -> None:
    request, plain = RiskDecision(OK, "buy", checks=(CHECK,)), RiskDecision(OK, "buy")

    assert request == plain
    assert not request != plain  # noqa: SIM202  # the other operator
    assert len({request, plain}) == 1


@pytest.mark.parametrize("other", [RiskDecision(OK, "sell"), RiskDecision("paused", "buy"), OK, None])
def test_values_that_differ_otherwise_are_not_equal(other: object) -> None:
    verdict = RiskDecision(OK, "buy")

    assert verdict != other
    assert not verdict == other  # noqa: SIM201  # the other operator


@pytest.mark.parametrize(
    ("kind", "last"), [(RiskDecision, "checks"), (AccountSnapshot, "trades_since"), (Intent, "claimed_ago_s")]
)
def test_field_that_is_not_compared_is_the_one_that_is_meant(kind: type[EqualIgnoringLastField], last: str) -> None:
    assert kind.__struct_fields__[-1] == last


def test_values_of_two_kinds_are_not_equal() -> None:
    assert RiskDecision(OK, "buy") != Intent(None, OrderState.PLANNED)  # type: ignore[arg-type]  # any other kind


def test_replace_changes_a_copy_of_a_value_of_either_kind() -> None:
    position, bars = Position("XAUUSD", "cross", 2.0), Bars(Candles.empty(), 1)

    assert replace(position, units=3.0) == Position("XAUUSD", "cross", 3.0)
    assert replace(bars, as_of_ms=2) == Bars(Candles.empty(), 2)
    assert (position.units, bars.as_of_ms) == (2.0, 1)


def test_a_value_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Position("XAUUSD", "cross").units = 1.0  # type: ignore[misc]  # that is what is tried
