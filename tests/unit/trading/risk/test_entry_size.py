"""Sizing by equity: units, reserved value and risk of an entry, before and after the exit of the same decision."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.trading.risk.bounded_decisions import VIEW, account_of, check_of, signal_of
from trading.orders.equity_size import EquitySize
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import Leg, OrderRequest
from trading.portfolio.positions import Position
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.open_book import OpenBook
from trading.risk.rules import evaluate_signal
from trading.risk.verdict import AccountSnapshot, PlannedOrder, RiskDecision
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace

PRICE = 2650.0  # 100,000 / 2,650 = 37.7
AT_NEXT_OPEN = FillTerms(sizes_at_fill=True)
AT_CLOSE = FillTerms(fill_at="close")


def decided(
    signal: Signal | None = None,
    view: AccountSnapshot = VIEW,
    account: AccountLimits | None = None,
    terms: FillTerms = AT_NEXT_OPEN,
    **limits: Any,
) -> RiskDecision:
    return evaluate_signal(
        view,
        signal or signal_of(),
        symbol="XAUUSD",
        timeframe="1m",
        account=account or account_of(),
        limits=RiskLimits.model_validate(
            {"sizing": "equity_fraction", "equity_fraction": 1.0, "unit_step": 1, **limits}
        ),
        terms=terms,
    )


def entry_of(decision: RiskDecision) -> PlannedOrder:
    (entry,) = [one for one in decision.planned if one.request.leg is Leg.ENTRY]
    return entry


def request_of(decision: RiskDecision) -> OrderRequest:
    return entry_of(decision).request


def holding(units: float, average_price: float) -> AccountSnapshot:
    """Return the account with a position of the signal's strategy, valued at the price of the signal."""
    book = OpenBook("XAUUSD", "ema", units, average_price, price=PRICE)
    return replace(VIEW, position=Position("XAUUSD", "ema", units, average_price), open_positions=1, books=(book,))


def test_all_of_the_equity_buys_whole_units_and_reserves_the_value_that_the_fill_may_reach() -> None:
    decision = decided()

    entry = entry_of(decision)
    assert entry.request.units == 37
    assert entry.request.at_fill == EquitySize(1.0, 100_000.0, unit_step=1.0)
    assert entry.notional == entry.risk == 100_000.0
    assert decision.reason == (
        "buy 37 units at 2650, 100 % of the equity 100000.00, the fill price decides the units, risk 100000.00: crossed"
    )


def test_venue_that_fills_at_the_close_gets_the_units_that_it_will_fill() -> None:
    decision = decided(terms=AT_CLOSE, equity_fraction=0.5)

    entry = entry_of(decision)
    assert (entry.request.units, entry.request.at_fill) == (18.0, None)
    assert entry.notional == entry.risk == 18 * PRICE
    assert "50 % of the equity 100000.00, risk 47700.00" in decision.reason


def test_entry_after_an_exit_invests_the_equity_with_the_result_of_that_exit() -> None:
    # Short 40 from 2,700: 40 * 50 = 2,000 at the price shown. Bought back at 2,650.5 with a fee of 40 * 0.25 = 10, it
    # makes 1,970. A unit of the entry costs 2,650.5 + 0.25: 101,970 / 2,650.75 = 38.47.
    terms = FillTerms(fill_at="close", slippage=0.5, commission_per_unit=0.25)

    decision = decided(view=holding(-40.0, 2_700.0), terms=terms)

    assert [one.request.leg for one in decision.planned] == [Leg.EXIT, Leg.ENTRY]
    assert request_of(decision).units == 38
    assert "100 % of the equity 101970.00 after the exit" in decision.reason


def test_size_at_the_fill_keeps_the_equity_without_the_position_that_the_decision_closes() -> None:
    size = request_of(decided(view=holding(-40.0, 2_600.0))).at_fill

    assert size == EquitySize(1.0, 100_000.0, exit_profit=-2_000.0, unit_step=1.0)
    assert size is not None
    assert (size.value(), size.value(-3_000.0)) == (98_000.0, 97_000.0)


def test_profit_of_other_positions_is_part_of_the_equity_and_their_value_cuts_the_size() -> None:
    other = OpenBook("EURUSD", "ema", 40_000.0, 1.0, price=1.25)  # worth 50,000, 10,000 of them profit
    view = replace(VIEW, books=(other,), open_positions=1)

    decision = decided(view=view)

    request = request_of(decision)
    assert request.units == 60_000 // PRICE
    assert request.at_fill == EquitySize(1.0, 110_000.0, unit_step=1.0, max_value=60_000.0)
    assert check_of(decision, "max_leverage").fields["wanted_units"] == 110_000 // PRICE
    assert "100 % of the equity 110000.00, the fill price decides the units, cut from 41 units" in decision.reason
    half = decided(view=view, equity_fraction=0.5)
    assert request_of(half).at_fill == EquitySize(0.5, 110_000.0, unit_step=1.0)


def test_without_room_for_one_unit_the_limit_rejects() -> None:
    other = OpenBook("EURUSD", "ema", 99_000.0, 1.0, price=1.0)

    decision = decided(view=replace(VIEW, books=(other,), open_positions=1))

    assert decision.rule == "max_leverage"


def test_more_than_the_equity_is_invested_only_as_far_as_both_limits_of_leverage_go() -> None:
    leveraged = account_of(max_leverage=2)

    assert request_of(decided(account=leveraged, equity_fraction=2, max_leverage=2)).units == 200_000 // PRICE
    assert request_of(decided(equity_fraction=2, max_leverage=2)).units == 100_000 // PRICE
    with pytest.raises(ValidationError, match=r"equity_fraction 1\.5 is above max_leverage 1"):
        decided(equity_fraction=1.5)


@pytest.mark.parametrize(
    ("limits", "account"),
    [
        ({"max_notional": 150_000.0}, {}),
        ({}, {"max_notional": 150_000.0}),
        ({}, {"max_daily_loss": 150_000.0}),
        ({}, {"max_drawdown": 0.999}),
    ],
)
def test_limit_of_money_keeps_the_value_at_the_fill_within_the_reserved_one(
    limits: dict[str, Any], account: dict[str, Any]
) -> None:
    size = request_of(decided(account=account_of(**account), equity_fraction=0.9, **limits)).at_fill

    assert size is not None
    assert (size.max_value, size.value(5_000.0)) == (90_000.0, 90_000.0)


def test_entry_without_a_stop_reserves_all_of_its_value_in_limits_of_losses() -> None:
    assert decided(account=account_of(max_daily_loss=99_999)).rule == "max_daily_loss"
    assert decided(account=account_of(max_daily_loss=100_000)).rule == "ok"


def test_entry_with_a_stop_reserves_the_loss_of_all_units_that_its_value_may_buy() -> None:
    entry = entry_of(decided(signal_of(stop_loss=2_640.0)))

    assert entry.request.units == 37
    assert entry.risk == pytest.approx(100_000 / PRICE * 10)


def test_largest_size_is_ordered_as_units() -> None:
    request = request_of(decided(max_units=30.5))

    assert (request.units, request.at_fill) == (30.0, None)
    below = request_of(decided(max_units=60.0)).at_fill
    assert below is not None
    assert below.max_units == 60.0


@pytest.mark.parametrize("limits", [{"min_units": 38}, {"unit_step": 100}])
def test_size_below_the_smallest_one_is_rejected(limits: dict[str, Any]) -> None:
    assert decided(**limits).rule == "below_min_units"


def test_size_of_a_signal_replaces_the_part_of_the_equity() -> None:
    request = request_of(decided(signal_of(SignalSide.SELL, size_units=3.0)))

    assert (request.units, request.at_fill) == (3.0, None)


def test_equity_fraction_without_its_value_is_rejected() -> None:
    with pytest.raises(ValidationError, match="sizing equity_fraction requires equity_fraction"):
        RiskLimits(sizing="equity_fraction")
