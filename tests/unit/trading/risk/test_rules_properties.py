"""The risk decision for any signal and any account: no limit is passed."""

import math
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.risk.signal_cases import VIEW, signal, verdict_of
from trading.lifecycle import DesiredState
from trading.orders.orders import Leg
from trading.portfolio.positions import Position
from trading.risk.rules import AccountLimits, RiskLimits
from trading.risk.verdict import AccountSnapshot
from trading.rounding import round_down
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace


@given(units=st.floats(0, 1e9), step=st.sampled_from([1e-8, 0.001, 0.01, 0.1, 0.25, 1.0, 5.0, 1000.0]))
def test_round_down_gives_a_whole_multiple_that_is_not_above(units: float, step: float) -> None:
    rounded = round_down(units, step)
    assert rounded <= units < rounded + step * (1 + 1e-6) + units * 1e-15
    assert Decimal(str(rounded)) % Decimal(str(step)) == 0


positions = st.builds(
    lambda units, price, distance: Position(
        "XAUUSD", "ema", units, price if units else 0.0, stop_loss=price - distance if units and distance else None
    ),
    st.sampled_from([-3.0, 0.0, 2.0]),
    st.floats(50, 200),
    st.floats(0, 40),
)
views = st.builds(
    AccountSnapshot,
    desired=st.sampled_from([DesiredState.RUNNING] * 6 + list(DesiredState)),
    position=positions,
    has_unsettled=st.sampled_from([False] * 5 + [True]),
    open_positions=st.integers(1, 6),
    open_risk=st.integers(0, 300).map(float),
    open_notional=st.integers(0, 1_000).map(float),
    has_unsettled_exit=st.sampled_from([False] * 9 + [True]),
    halted=st.sampled_from([None] * 9 + ["look first"]),
    day_realised=st.integers(-200, 100).map(float),
    balance=st.integers(-100, 10_000).map(float),
)
signals = st.builds(
    signal,
    side=st.sampled_from(SignalSide),
    stop_loss=st.none() | st.integers(60, 140).map(float),
    size_units=st.none() | st.floats(1e-6, 1e3),
)
accounts = st.builds(
    AccountLimits,
    name=st.just("main"),
    starting_balance=st.just(10_000.0),
    max_notional=st.none() | st.integers(100, 2_000).map(float),
    max_open_positions=st.none() | st.integers(0, 6),
    max_daily_loss=st.none() | st.integers(0, 500).map(float),
)
fixed_or_fraction = st.fixed_dictionaries({"sizing": st.just("fixed_units"), "units": st.floats(1e-6, 100)}) | (
    st.fixed_dictionaries({"sizing": st.just("risk_fraction"), "risk_fraction": st.floats(1e-4, 0.1)})
)
bounds = st.fixed_dictionaries(
    {
        "unit_step": st.sampled_from([1e-8, 0.01, 0.1, 1.0]),
        "min_units": st.sampled_from([0.0, 0.05, 1.0]),
        "max_units": st.none() | st.floats(1, 50),
        "on_opposite_signal": st.sampled_from(["close", "reverse", "ignore"]),
    }
)
risk_limits = st.builds(lambda size, bound: RiskLimits.model_validate({**size, **bound}), fixed_or_fraction, bounds)


@given(view=views, one=signals, account=accounts, limits=risk_limits)
def test_judge_of_anything_never_passes_a_limit(
    view: AccountSnapshot, one: Signal, account: AccountLimits, limits: RiskLimits
) -> None:
    verdict = verdict_of(one, view, limits, account)
    if view.has_unsettled_exit or view.halted or view.desired is DesiredState.STOPPED:
        assert not verdict.planned
    if view.has_unsettled:
        assert all(planned.request.leg is Leg.EXIT for planned in verdict.planned)
    for planned in verdict.planned:
        if planned.request.leg is Leg.EXIT:
            assert planned.request.units == abs(view.position.units)
            assert planned.request.side.sign * view.position.units < 0
            continue
        assert view.desired is DesiredState.RUNNING
        assert verdict.rule == "ok"
        assert planned.request.units >= max(limits.min_units, 1e-8)
        assert planned.request.units <= (limits.max_units or math.inf)
        if limits.sizing == "risk_fraction" and one.size_units is None:
            assert 0 < planned.risk <= view.balance * (limits.risk_fraction or 0) * (1 + 1e-12)
        if account.max_open_positions and not view.position.is_open:
            assert view.open_positions + 1 <= account.max_open_positions
        if account.max_notional:
            assert view.open_notional + planned.notional <= account.max_notional * (1 + 1e-9)
        if account.max_daily_loss:
            total = max(0.0, -view.day_realised) + view.open_risk + planned.risk
            assert total <= account.max_daily_loss * (1 + 1e-8)


small = st.integers(0, 40)


@given(lost=small, open_risk=small, distance=st.integers(1, 40), most=st.integers(1, 80))
def test_judge_of_an_entry_is_accepted_exactly_while_the_day_can_bear_its_loss(
    lost: int, open_risk: int, distance: int, most: int
) -> None:
    account = AccountLimits(name="main", starting_balance=10_000, max_daily_loss=most)
    view = replace(VIEW, day_realised=-float(lost), open_risk=float(open_risk))
    verdict = verdict_of(signal(stop_loss=100.0 - distance), view, account=account)
    assert verdict.is_accepted is (lost + open_risk + distance <= most)


@given(view=views, one=signals, account=accounts, limits=risk_limits)
def test_judge_of_anything_plans_an_entry_only_from_flat_or_after_an_exit(
    view: AccountSnapshot, one: Signal, account: AccountLimits, limits: RiskLimits
) -> None:
    verdict = verdict_of(one, view, limits, account)
    planned = [plan.request.leg for plan in verdict.planned]
    allowed: list[list[Leg]] = [[], [Leg.EXIT], [Leg.EXIT, Leg.ENTRY]] if view.position.is_open else [[], [Leg.ENTRY]]
    assert planned in allowed
    assert verdict.reason
    assert not verdict.breached or Leg.ENTRY not in planned
