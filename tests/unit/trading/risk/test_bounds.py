"""Bounds of a position: leverage, equity, the loss without a stop, costs and the least distance of a stop."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.trading.risk.bounded_decisions import (
    BALANCE,
    VIEW,
    account_of,
    check_of,
    decided,
    holding,
    signal_of,
    units_of,
)
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import Leg
from trading.risk.limits import RiskLimits
from trading.risk.open_book import OpenBook
from trading.strategies.signal import SignalSide
from trading.structs import replace

# leverage


@pytest.mark.parametrize(
    ("units", "rule"),
    [(37.7, "ok"), (100_000 / 2650, "ok"), (37.8, "max_symbol_leverage"), (1e6, "max_symbol_leverage")],
)
def test_fixed_size_beyond_the_equity_is_rejected(units: float, rule: str) -> None:
    assert decided(signal_of(), units=units).rule == rule
    assert decided(signal_of(size_units=units)).rule == rule


def test_fixed_value_beyond_the_equity_is_rejected() -> None:
    assert decided(signal_of(), sizing="fixed_notional", notional=100_001, unit_step=1e-8).rule == "max_symbol_leverage"


def test_leverage_is_only_granted_where_account_and_symbol_ask_for_it() -> None:
    twice = account_of(max_leverage=2.0)

    assert decided(signal_of(), units=70, max_leverage=2.0).rule == "max_leverage"
    assert decided(signal_of(), account=twice, units=70).rule == "max_symbol_leverage"
    assert decided(signal_of(), account=twice, units=70, max_leverage=2.0).rule == "ok"
    assert decided(signal_of(), account=twice, units=76, max_leverage=3.0).rule == "max_leverage"


def test_size_by_risk_with_a_stop_one_tick_away_is_cut_to_the_equity() -> None:
    near = signal_of(stop_loss=2649.99)

    decision = decided(near, sizing="risk_fraction", risk_fraction=0.01, unit_step=0.01, min_stop_fraction=0)

    assert units_of(decision) == 37.73
    assert "cut from 3225.8 units" in check_of(decision, "max_leverage").reason
    assert check_of(decision, "max_leverage").fields["wanted_units"] == 3225.8


def test_size_by_risk_without_room_is_rejected_by_the_limit_and_not_by_the_size() -> None:
    full = holding(OpenBook("BTCUSD", "ema", 1.0, BALANCE, 90_000.0, BALANCE, 10_000.0))

    decision = decided(signal_of(stop_loss=2640.0), full, sizing="risk_fraction", risk_fraction=0.01)

    assert (decision.rule, decision.breached) == ("max_leverage", True)
    assert check_of(decision, "max_leverage").fields["held"] == BALANCE


@pytest.mark.parametrize(
    "book",
    [
        OpenBook("BTCUSD", "ema", 1.0, 50_000.0, 45_000.0, price=80_000.0),
        OpenBook("BTCUSD", "ema", -1.0, 80_000.0, 85_000.0, price=80_000.0),
        OpenBook("BTCUSD", "ema", buying=80_000.0),
        OpenBook("BTCUSD", "ema", selling=80_000.0),
        OpenBook("BTCUSD", "ema", 0.5, 80_000.0, 75_000.0, price=80_000.0, buying=40_000.0),
    ],
)
def test_positions_and_pending_entries_of_other_symbols_use_the_leverage(book: OpenBook) -> None:
    view = holding(book, balance=BALANCE - book.unrealised)  # an equity of 100,000

    assert decided(signal_of(), view, units=7.5).rule == "ok"
    assert decided(signal_of(), view, units=7.6).rule == "max_leverage"


def test_reversal_of_the_whole_equity_is_not_counted_twice() -> None:
    view = holding(OpenBook("XAUUSD", "ema", 37.0, 2650.0, 2600.0, price=2650.0))

    decision = decided(signal_of(SignalSide.SELL), view, units=37)

    assert [one.request.leg for one in decision.planned] == [Leg.EXIT, Leg.ENTRY]
    assert decided(signal_of(SignalSide.SELL), view, units=38).rule == "max_symbol_leverage"


def test_leverage_falls_with_the_equity() -> None:
    lost = holding(OpenBook("BTCUSD", "ema", 1.0, 60_000.0, 5_000.0, price=10_000.0))  # equity 50,000

    assert decided(signal_of(), lost, units=15).rule == "ok"
    assert decided(signal_of(), lost, units=15.2).rule == "max_leverage"


@pytest.mark.parametrize("leverage", [0, -1, 1_001, math.inf, math.nan])
def test_leverage_cannot_be_switched_off(leverage: float) -> None:
    with pytest.raises(ValidationError):
        account_of(max_leverage=leverage)
    with pytest.raises(ValidationError):
        RiskLimits(units=1, max_leverage=leverage)


@pytest.mark.parametrize("price", [5e-324, 0.0, -37.63])
def test_entry_whose_value_is_not_positive_is_rejected(price: float) -> None:
    decision = decided(signal_of(SignalSide.BUY, price), units=0.01)

    assert decision.rule == "max_symbol_leverage"


# equity


@pytest.mark.parametrize(("balance", "rule"), [(11_713.01, "ok"), (11_713.0, "equity"), (0.0, "equity")])
def test_entry_without_equity_is_rejected(balance: float, rule: str) -> None:
    short = OpenBook("MOON", "sma", -100.0, 121.55, None, price=238.68)  # has lost 11,713

    decision = decided(signal_of(price=1e-4), holding(short, balance=balance), account_of(max_leverage=1000), units=1)

    assert decision.rule == (rule if rule == "equity" else "max_leverage")
    assert decision.breached
    assert check_of(decision, "equity").is_met is (rule == "ok")


@pytest.mark.parametrize("price", [None, math.nan, math.inf])
def test_entry_is_rejected_while_the_price_of_an_open_position_is_unknown(price: float | None) -> None:
    unknown = OpenBook("BTCUSD", "ema", 0.1, 50_000.0, 49_000.0, price=price, risk=100.0)

    decision = decided(signal_of(), holding(unknown), units=0.1)

    assert (decision.rule, decision.breached) == ("equity", True)
    assert check_of(decision, "equity").fields == {"unpriced": "BTCUSD"}


def test_pending_entry_needs_no_price() -> None:
    assert decided(signal_of(), holding(OpenBook("BTCUSD", "ema", buying=5_000.0, risk=100.0))).rule == "ok"


def test_exit_needs_neither_price_nor_equity() -> None:
    view = holding(OpenBook("XAUUSD", "ema", 2.0, 2650.0), OpenBook("BTCUSD", "ema", 1.0, 9e4), balance=-5.0)

    decision = decided(signal_of(SignalSide.CLOSE), view)

    assert [one.request.leg for one in decision.planned] == [Leg.EXIT]


def test_reversal_without_equity_still_exits() -> None:
    view = holding(OpenBook("XAUUSD", "ema", 2.0, 2650.0, price=2650.0), balance=-5.0)

    decision = decided(signal_of(SignalSide.SELL), view)

    assert (decision.rule, [one.request.leg for one in decision.planned]) == ("equity", [Leg.EXIT])


# loss limits


@pytest.mark.parametrize("limit", [{"max_daily_loss": 2_000}, {"max_drawdown": 0.02}])
def test_entry_without_a_stop_counts_with_its_whole_value(limit: dict[str, float]) -> None:
    rule = "max_daily_loss" if "max_daily_loss" in limit else "drawdown_headroom"
    account = account_of(**limit)

    assert decided(signal_of(), account=account, units=0.75).planned[0].risk == 0.75 * 2650
    assert decided(signal_of(), account=account, units=0.76).rule == rule
    assert decided(signal_of(stop_loss=2600.0), account=account, units=0.76).rule == "ok"


@pytest.mark.parametrize("limit", [{"max_daily_loss": 2_000}, {"max_drawdown": 0.02}])
def test_position_without_a_stop_counts_with_its_whole_value(limit: dict[str, float]) -> None:
    rule = "max_daily_loss" if "max_daily_loss" in limit else "drawdown_headroom"
    book = OpenBook(
        "BTCUSD", "ema", 0.02, 95_000.0, None, price=100_000.0
    )  # recorded by a version that reserved nothing

    assert decided(signal_of(stop_loss=2645.0), holding(book), account_of(**limit), units=0.1).rule == rule
    with_stop = replace(book, stop_loss=94_000.0, risk=20.0)
    assert decided(signal_of(stop_loss=2645.0), holding(with_stop), account_of(**limit), units=0.1).rule == "ok"


@pytest.mark.parametrize("limit", [{"max_daily_loss": 2_000}, {"max_drawdown": 0.02}])
def test_unrealised_loss_beyond_the_reserved_risk_counts(limit: dict[str, float]) -> None:
    rule = "max_daily_loss" if "max_daily_loss" in limit else "drawdown_headroom"
    book = OpenBook("BTCUSD", "ema", 0.5, 95_000.0, 94_000.0, price=94_000.0, risk=500.0)
    gapped = replace(book, price=91_200.0)  # 1,900 lost, below its stop
    entry = signal_of(stop_loss=2645.0)  # loses 5 at the stop and 0.30 of costs

    assert decided(entry, holding(book), account_of(**limit), units=19).rule == "ok"
    assert decided(entry, holding(gapped), account_of(**limit), units=19).rule == rule
    assert decided(entry, holding(gapped), account_of(**limit), units=18).rule == "ok"


# costs


def test_costs_are_part_of_the_risk_that_sizes() -> None:
    near = signal_of(stop_loss=2649.99)
    leveraged = account_of(max_leverage=1000)

    decision = decided(
        near,
        account=leveraged,
        sizing="risk_fraction",
        risk_fraction=0.01,
        unit_step=1,
        max_leverage=1000,
        min_stop_fraction=0,
    )

    assert units_of(decision) == 3225
    assert decision.planned[0].risk == pytest.approx(3225 * 0.31)


def test_costs_are_part_of_the_risk_that_judges() -> None:
    costly = FillTerms(spread=0.2, slippage=0.05, commission_bps=1)
    per_unit = 10 + 0.3 + (2650 + 2640) / 10_000
    limit = account_of(max_daily_loss=per_unit * 5)

    assert decided(signal_of(stop_loss=2640.0), account=limit, terms=costly, units=5).rule == "ok"
    assert decided(signal_of(stop_loss=2640.0), account=limit, terms=costly, units=5.01).rule == "max_daily_loss"


def test_least_commission_is_part_of_the_risk_that_sizes_and_judges() -> None:
    terms = FillTerms(commission_per_unit=0.01, min_commission=50.0)
    sized: dict[str, Any] = {"sizing": "risk_fraction", "unit_step": 1, "max_leverage": 10}
    leveraged = account_of(max_leverage=10)

    tenth = decided(signal_of(stop_loss=2640.0), account=leveraged, terms=terms, risk_fraction=0.01, **sized)
    too_little = decided(signal_of(stop_loss=2640.0), account=leveraged, terms=terms, risk_fraction=0.001, **sized)

    assert units_of(tenth) == (1_000 - 2 * 50) / 10
    assert tenth.planned[0].risk == pytest.approx(1_000)
    assert too_little.rule == "below_min_units"
    limit = account_of(max_daily_loss=149.0)
    assert decided(signal_of(stop_loss=2640.0), account=limit, terms=terms, units=4.9).rule == "ok"
    assert decided(signal_of(stop_loss=2640.0), account=limit, terms=terms, units=4.91).rule == "max_daily_loss"


def test_quoted_spread_counts_where_it_is_wider_than_the_configured_one() -> None:
    entry = signal_of(stop_loss=2640.0)

    assert decided(entry, replace(VIEW, spread=2.0)).planned[0].risk == pytest.approx(12.1)
    assert decided(entry, replace(VIEW, spread=0.1)).planned[0].risk == pytest.approx(10.3)


# distance of the stop


@pytest.mark.parametrize(
    ("distance", "limits", "rule"),
    [
        (0.01, {}, "min_stop_distance"),
        (0.29, {}, "min_stop_distance"),
        (0.31, {}, "ok"),
        (0.01, {"min_stop_fraction": 0}, "ok"),
        (0.04, {"min_stop_ticks": 5, "tick_size": 0.01}, "min_stop_distance"),
        (0.05, {"min_stop_ticks": 5, "tick_size": 0.01}, "ok"),
        (2.64, {"min_stop_fraction": 0.001}, "min_stop_distance"),
        (2.66, {"min_stop_fraction": 0.001}, "ok"),
        (2.64, {"min_stop_fraction": 0.001, "min_stop_ticks": 5, "tick_size": 0.01}, "min_stop_distance"),
        (0.0, {"min_stop_fraction": 0}, "min_stop_distance"),
        (-5.0, {"min_stop_fraction": 0}, "min_stop_distance"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_stop_closer_than_the_least_distance_is_rejected(
    distance: float, limits: dict[str, Any], rule: str, sign: int
) -> None:
    side = SignalSide.BUY if sign > 0 else SignalSide.SELL

    decision = decided(signal_of(side, stop_loss=round(2650 - sign * distance, 2)), **limits)

    assert decision.rule == rule
    assert check_of(decision, "min_stop_distance").fields["price"] == 2650.0


def test_least_distance_in_ticks_needs_a_tick() -> None:
    with pytest.raises(ValidationError, match="min_stop_ticks requires tick_size"):
        RiskLimits(units=1, min_stop_ticks=5)


# replay of what was decided before there were bounds


def test_decision_of_a_version_without_bounds_is_repeated_as_it_was() -> None:
    view = replace(holding(OpenBook("BTCUSD", "ema", 9.0, 1e5)), is_bounded=False)

    decision = decided(signal_of(stop_loss=2649.99), view, units=1e6)

    assert decision.rule == "ok"
    assert decision.planned[0].risk == pytest.approx(1e4)
    assert {"equity", "min_stop_distance", "max_leverage", "max_symbol_leverage"}.isdisjoint(
        check.rule for check in decision.checks
    )
