"""Sizing and rounding: properties that hold for any price, tick and size."""

from decimal import Decimal

from hypothesis import assume, example, given
from hypothesis import strategies as st

from trading.orders.amounts import NO_LOSS, AmountOfUnits
from trading.portfolio.drawdown import HighWaterMark, fall
from trading.risk.limits import RiskLimits
from trading.risk.sizing import closing_units, levels_of, size
from trading.rounding import round_down, round_up
from trading.strategies.signal import Signal, SignalSide

prices = st.floats(0.01, 1e6)
steps = st.sampled_from([1e-8, 0.0001, 0.01, 0.05, 0.1, 0.25, 1.0, 5.0])
sides = st.sampled_from([SignalSide.BUY, SignalSide.SELL])


@given(price=prices, step=steps)
@example(price=0.3, step=0.1)
@example(price=1.1, step=0.1)
def test_rounding_gives_whole_multiples_around_the_value(price: float, step: float) -> None:
    down, up = round_down(price, step), round_up(price, step)
    assert down <= price <= up
    exact = Decimal(str(step))
    assert Decimal(str(down)) % exact == Decimal(str(up)) % exact == 0
    assert Decimal(str(up)) - Decimal(str(down)) in (0, exact)


@given(units=st.floats(0, 1.7e308), step=st.sampled_from([5e-324, 1e-8, 1.0]))
@example(units=1.7e308, step=5e-324)
def test_rounding_of_any_size_ends_in_no_error_of_arithmetic(units: float, step: float) -> None:
    assert round_down(units, step) <= units <= round_up(units, step)


@given(side=sides, price=prices, stop=st.none() | prices, target=st.none() | prices, tick=steps)
def test_levels_are_never_farther_from_the_entry_than_asked(
    side: SignalSide, price: float, stop: float | None, target: float | None, tick: float
) -> None:
    sign = 1 if side is SignalSide.BUY else -1
    assume(stop is None or (price - stop) * sign > 0)
    assume(target is None or (target - price) * sign > 0)
    signal = Signal(
        strategy="s", open_ms=0, side=side, price=price, stop_loss=stop, take_profit=target, reason="because"
    )
    prices = levels_of(signal, tick)
    if stop is not None and not prices.is_stop_gone:
        assert prices.stop_loss is not None
        assert prices.stop_distance <= abs(price - stop)
        assert (price - prices.stop_loss) * sign > 0
        assert abs(prices.stop_loss - stop) < tick * (1 + 1e-6) + price * 1e-15
    if target is not None and not prices.is_target_gone:
        assert prices.take_profit is not None
        assert prices.target_distance <= abs(target - price)
        assert (prices.take_profit - price) * sign > 0


@given(
    side=sides,
    price=st.floats(1.0, 1e5),
    distance=st.floats(0.001, 0.5),
    fraction=st.floats(0.001, 0.1),
    balance=st.floats(-100, 1e6),
    tick=steps,
    step=steps,
)
def test_risk_fraction_never_risks_more_than_that_part_of_the_balance(
    side: SignalSide, price: float, distance: float, fraction: float, balance: float, tick: float, step: float
) -> None:
    sign = 1 if side is SignalSide.BUY else -1
    stop = price * (1 - sign * distance)
    signal = Signal(strategy="s", open_ms=0, side=side, price=price, stop_loss=stop, reason="because")
    prices = levels_of(signal, tick)
    assume(not prices.is_stop_gone)
    limits = RiskLimits(sizing="risk_fraction", risk_fraction=fraction, unit_step=step)
    units = size(signal, limits, balance, loss=AmountOfUnits(((0.0, prices.stop_distance),)))
    assert units >= 0
    assert units * prices.stop_distance <= max(0.0, balance) * fraction * (1 + 1e-12)
    assert Decimal(str(units)) % Decimal(str(step)) == 0


@given(price=prices, notional=st.floats(0.01, 1e7), step=steps)
def test_fixed_notional_never_buys_more_than_its_value_and_less_by_under_a_step(
    price: float, notional: float, step: float
) -> None:
    signal = Signal(strategy="s", open_ms=0, side=SignalSide.BUY, price=price, reason="because")
    limits = RiskLimits(sizing="fixed_notional", notional=notional, unit_step=step)
    units = size(signal, limits, 0.0, loss=NO_LOSS)
    assert units * price <= notional * (1 + 1e-12)
    assert (units + step) * price > notional * (1 - 1e-9)


@given(moves=st.lists(st.floats(-100, 100), max_size=20), cut=st.integers(0, 20))
def test_high_water_is_the_same_in_one_batch_and_in_two(moves: list[float], cut: int) -> None:
    start = HighWaterMark(1_000.0)
    first, second = moves[:cut], moves[cut:]
    whole = start.through(1_000.0 + sum(moves), moves)
    halves = start.through(1_000.0 + sum(first), first).through(1_000.0 + sum(moves), second)
    assert abs(whole.peak - halves.peak) < 1e-6
    assert abs(whole.drawdown - halves.drawdown) < 1e-9
    assert whole.peak >= 1_000.0
    assert whole.drawdown >= fall(whole.peak, 1_000.0 + sum(moves)) - 1e-9


def test_nothing_to_lose_is_lost_wholly() -> None:
    assert fall(0.0, 0.0) == 1.0
    assert HighWaterMark(100.0).after(75.0) == HighWaterMark(100.0, 0.25)
    assert HighWaterMark(100.0, 0.25).after(200.0) == HighWaterMark(200.0, 0.25)


@given(count=st.integers(1, 10**9), exponent=st.integers(-8, 3), noise=st.sampled_from([0.0, 2e-16, -2e-16, 9e-16]))
@example(count=3, exponent=-1, noise=2e-16)
def test_exit_of_a_multiple_of_the_step_is_that_multiple_whatever_a_sum_has_rounded(
    count: int, exponent: int, noise: float
) -> None:
    step = Decimal(1).scaleb(exponent)
    held = float(count * step)
    assert closing_units(held * (1 + noise), float(step)) == held
    assert closing_units(-held * (1 + noise), float(step)) == held


@given(held=st.floats(1e-8, 1e6), step=steps)
@example(held=0.30000000000000004, step=0.1)
@example(held=1050.0, step=100.0)
@example(held=50.0, step=100.0)
def test_exit_is_never_more_than_is_held_and_a_multiple_unless_less_than_a_step_is_held(
    held: float, step: float
) -> None:
    units = closing_units(held, step)
    assert 0 < units <= held * (1 + 1e-12)
    assert Decimal(str(units)) % Decimal(str(step)) == 0 or (units == held and held < step)
    assert held - units < step
