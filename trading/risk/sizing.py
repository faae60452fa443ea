"""Sizing: units of an entry, and the prices of its stop and target in ticks of the venue."""

from msgspec import Struct

from trading.orders.amounts import AmountOfUnits
from trading.risk.limits import RiskLimits
from trading.rounding import in_ticks, round_down
from trading.strategies.signal import Signal, SignalSide
from trading.tolerance import add_units, is_same_units


class BracketPrices(Struct):
    """Prices of an entry, in quote currency, rounded to the tick.

    Attributes:
        sign: 1 for a long entry, -1 for a short one.
    """

    price: float
    sign: int
    stop_loss: float | None
    take_profit: float | None

    @property
    def stop_distance(self) -> float:
        """Distance from the price to the stop, 0.0 without a stop."""
        return 0.0 if self.stop_loss is None else abs(self.price - self.stop_loss)

    @property
    def target_distance(self) -> float:
        return 0.0 if self.take_profit is None else abs(self.take_profit - self.price)

    @property
    def is_stop_gone(self) -> bool:
        """Whether rounding moved the stop to or past the price, where it would close the position at once."""
        return self.stop_loss is not None and (self.price - self.stop_loss) * self.sign <= 0

    @property
    def is_target_gone(self) -> bool:
        return self.take_profit is not None and (self.take_profit - self.price) * self.sign <= 0


def levels_of(signal: Signal, tick_size: float | None) -> BracketPrices:
    """Return the prices of an entry, with stop and target rounded towards it, so that the risk never grows."""
    sign = -1 if signal.side is SignalSide.SELL else 1
    stop, target = signal.stop_loss, signal.take_profit
    if tick_size is not None:
        stop = None if stop is None else in_ticks(stop, tick_size, upwards=sign > 0)
        target = None if target is None else in_ticks(target, tick_size, upwards=sign < 0)
    return BracketPrices(signal.price, sign, stop, target)


def is_computed(signal: Signal, limits: RiskLimits) -> bool:
    """Return whether the size of an entry follows from its risk; else the size or value was given."""
    return signal.size_units is None and limits.sizing == "risk_fraction"


def is_of_equity(signal: Signal, limits: RiskLimits) -> bool:
    """Return whether an entry invests a part of the equity, see `trading.risk.entry_size`."""
    return signal.size_units is None and limits.sizing == "equity_fraction"


def size(signal: Signal, limits: RiskLimits, balance: float, *, loss: AmountOfUnits) -> float:
    """Return the units of an entry, rounded down to the step; may be 0.0 or below the venue's minimum.

    Args:
        balance: Balance of the account, in quote currency.
        loss: Loss at the stop with the known costs; it grows with each unit if the size depends on the risk.
    """
    if signal.size_units is not None:
        wanted = signal.size_units
    elif is_computed(signal, limits):
        wanted = loss.most_units(balance * (limits.risk_fraction or 0.0))
    elif limits.sizing == "fixed_notional":
        wanted = (limits.notional or 0.0) / signal.price if signal.price > 0 else 0.0
    else:
        wanted = limits.units or 0.0
    return round_down(max(0.0, min(wanted, limits.max_units or wanted)), limits.unit_step)


def closing_units(held: float, step: float) -> float:
    """Return the units of an exit that closes a position, as a multiple of the step and never more than is held.

    A position that is a multiple but for rounding is closed as that multiple, any other one down to the last part of a
    step. That part, and a position below one step, is asked for as it is: the venue decides.

    Args:
        held: Units of the position, positive or negative.
    """
    units = abs(held)
    nearest = round_down(add_units(units, step / 2), step)
    if is_same_units(nearest, units):
        return nearest
    return round_down(units, step) or units
