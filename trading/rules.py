"""Risk rules: how large a position may be, and what an account may hold and lose."""

from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading import findings
from trading.candles import timeframe_ms
from trading.events import Signal, SignalSide
from trading.incidents import Incident
from trading.lifecycle import DesiredState
from trading.orders import Leg, OrderRequest, Side, client_order_id
from trading.positions import Position
from trading.risk import OK, LedgerView, Planned, Verdict

_EXACT = Context(prec=64)
_ROUNDING = 1e-9
"""Part of a limit by which float sums may be off."""


class RiskLimits(BaseModel):
    """How the positions of one symbol are sized and turned. Units are those of the base asset."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sizing: Literal["fixed_units", "risk_fraction"] = Field(
        default="fixed_units",
        description="fixed_units: `units` each time; risk_fraction: that part of the balance is lost at the stop.",
    )
    units: float | None = Field(default=None, gt=0, description="Size of an entry; needed for fixed_units.")
    risk_fraction: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Part of the balance lost at the stop, 0.01 is 1 %; needed for risk_fraction.",
    )
    unit_step: float = Field(
        default=1e-8, gt=0, description="Sizes are rounded down to a whole multiple of it, in units."
    )
    min_units: float = Field(default=0.0, ge=0, description="Smallest size that is traded, in units; 0 for none.")
    max_units: float | None = Field(
        default=None, gt=0, description="Largest size of a position, in units; none if absent."
    )
    on_opposite_signal: Literal["close", "reverse", "ignore"] = Field(
        default="reverse", description="What an entry against an open position does to it."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if getattr(self, _SIZE_FIELD[self.sizing]) is None:
            raise ValueError(f"sizing {self.sizing} needs {_SIZE_FIELD[self.sizing]}")
        if self.max_units is not None and self.max_units < self.min_units:
            raise ValueError(f"max_units is {self.max_units:g}, below min_units {self.min_units:g}")
        return self


_SIZE_FIELD = {"fixed_units": "units", "risk_fraction": "risk_fraction"}


class AccountLimits(BaseModel):
    """What one account may hold and lose over all its symbols. Money is in the account's quote currency."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, description="Name of the account; part of the id of each order.")
    starting_balance: float = Field(gt=0, description="Balance before the first order, in quote currency.")
    max_open_positions: int | None = Field(
        default=None, ge=0, description="Positions open at the same time; 0 or absent for no limit."
    )
    max_notional: float | None = Field(
        default=None,
        ge=0,
        description="Value of all open positions and entries on their way, at the prices decided on, in quote "
        "currency; a reversal needs room for both sides until the old one is closed. 0 or absent for no limit.",
    )
    max_daily_loss: float | None = Field(
        default=None,
        ge=0,
        description="Loss of one UTC day, realised plus at all stops, in quote currency; 0 or absent for no limit.",
    )


@dataclass(frozen=True, slots=True)
class _Case:
    """One signal with what it is judged by."""

    view: LedgerView
    signal: Signal
    symbol: str
    timeframe: str
    account: AccountLimits
    limits: RiskLimits

    @property
    def side(self) -> Side:
        return Side.BUY if self.signal.side is SignalSide.BUY else Side.SELL

    @property
    def position(self) -> Position:
        return self.view.position


def judge(
    view: LedgerView, signal: Signal, *, symbol: str, timeframe: str, account: AccountLimits, limits: RiskLimits
) -> Verdict:
    """Decide what a signal may do to the account.

    Nothing is opened while an order of the symbol is unsettled, and nothing is closed while an exit is. An entry needs
    a running symbol; an exit ends the whole position, and goes out while the symbol is paused or quarantined too. Where
    a reversal may not enter, it still exits: the verdict names the rule that refused the entry, and plans the exit. A
    symbol with an incident that halts it sends nothing.

    Args:
        view: The account as it is now, read under its lock.
    """
    case = _Case(view, signal, symbol, timeframe, account, limits)
    if view.desired is DesiredState.STOPPED:
        return Verdict("stopped", f"{symbol} is stopped")
    if view.halted is not None:
        return Verdict("halted", f"a person must look first: {view.halted}", incident=_close_refused(case))
    if signal.side is SignalSide.CLOSE:
        return _judge_close(case)
    return _judge_entry(case)


def _close_refused(case: _Case) -> Incident | None:
    """Return what a person must hear of where a halted symbol would have been closed; an exit on its way still goes."""
    signal, position = case.signal, case.position
    if not position.is_open or case.view.has_unsettled_exit:
        return None
    is_close = signal.side is SignalSide.CLOSE
    is_opposite = not is_close and position.units * case.side.sign < 0 and case.limits.on_opposite_signal != "ignore"
    return findings.close_refused(case.symbol, position, signal) if is_close or is_opposite else None


def _judge_close(case: _Case) -> Verdict:
    if case.view.has_unsettled_exit or (case.view.has_unsettled and not case.position.is_open):
        return _unsettled(case)
    if not case.position.is_open:
        return Verdict("nothing_to_close", f"{case.symbol} has no open position")
    return _exit(case)


def _judge_entry(case: _Case) -> Verdict:
    held = case.position.units
    is_opposite = held * case.side.sign < 0
    if case.view.has_unsettled_exit or (case.view.has_unsettled and not is_opposite):
        return _entry_refused(case) or _unsettled(case)
    if not held:
        return _entry(case)
    if not is_opposite:
        return Verdict("position_open", f"{held:g} units of {case.symbol} are open in the same direction")
    match case.limits.on_opposite_signal:
        case "ignore":
            return Verdict(
                "ignored", f"{held:g} units of {case.symbol} are open the other way; on_opposite_signal is ignore"
            )
        case "close":
            return _exit(case)
        case "reverse":
            return _reversal(_exit(case), _unsettled(case) if case.view.has_unsettled else _entry(case))


def _reversal(leaving: Verdict, entering: Verdict) -> Verdict:
    planned = leaving.planned + entering.planned
    return Verdict(entering.rule, f"{leaving.reason}; then {entering.reason}", planned, entering.breached)


def _unsettled(case: _Case) -> Verdict:
    return Verdict("unsettled", f"an order of {case.symbol} is on its way or its outcome is not known")


def _exit(case: _Case) -> Verdict:
    held = case.position.units
    side = Side.SELL if held > 0 else Side.BUY
    profit = case.position.unrealised(case.signal.price)
    reason = f"close {held:g} units at {case.signal.price:g}, {profit:+.2f} before fees: {case.signal.reason}"
    return Verdict(OK, reason, (Planned(_request(case, Leg.EXIT, side, abs(held))),))


def _entry_refused(case: _Case) -> Verdict | None:
    if case.view.desired is DesiredState.PAUSED:
        return Verdict("paused", f"{case.symbol} is paused: no entries")
    if case.view.quarantined is not None:
        return Verdict("quarantined", f"no entries: {case.view.quarantined}")
    refused = case.signal.entry_refused
    return None if refused is None else Verdict(refused.rule, refused.reason)


def _entry(case: _Case) -> Verdict:
    return _entry_refused(case) or _sized_entry(case)


def _sized_entry(case: _Case) -> Verdict:
    signal, limits = case.signal, case.limits
    if signal.size_units is None and limits.sizing == "risk_fraction" and not _stop_distance(signal):
        return Verdict("no_stop", f"sizing by risk_fraction needs a stop away from the price {signal.price:g}")
    units = _size(case)
    if units <= 0 or units < limits.min_units:
        least = max(limits.min_units, limits.unit_step)
        return Verdict("below_min_units", f"the size is {units:g} units, the smallest that is traded is {least:g}")
    risk = units * _stop_distance(signal)
    breach = _positions_breach(case) or _notional_breach(case, units) or _loss_breach(case, risk)
    return breach or _accepted(case, units, risk)


def _accepted(case: _Case, units: float, risk: float) -> Verdict:
    signal = case.signal
    request = _request(case, Leg.ENTRY, case.side, units)
    reason = f"{case.side} {units:g} units at {signal.price:g}, risk {risk:.2f}: {signal.reason}"
    return Verdict(OK, reason, (Planned(request, risk),))


def _positions_breach(case: _Case) -> Verdict | None:
    most, count = case.account.max_open_positions, case.view.open_positions
    if not most or case.position.is_open or count < most:  # a reversal keeps the place that it has
        return None
    return Verdict(
        "max_open_positions", f"{count} positions are open or on their way, allowed are {most}", breached=True
    )


def _notional_breach(case: _Case, units: float) -> Verdict | None:
    most, wanted, view = case.account.max_notional, units * case.signal.price, case.view
    if not most or view.open_notional + wanted <= most * (1 + _ROUNDING):
        return None
    reason = f"{view.open_notional:.2f} are open or on their way and {wanted:.2f} of this entry exceed {most:.2f}"
    return Verdict("max_notional", reason, breached=True)


def _loss_breach(case: _Case, risk: float) -> Verdict | None:
    most, view = case.account.max_daily_loss, case.view
    lost = max(0.0, -view.day_realised) + _loss_beyond_stop(case)
    if not most or lost + view.open_risk + risk <= most * (1 + _ROUNDING):
        return None
    reason = f"{lost:.2f} lost today, {view.open_risk:.2f} at open stops and {risk:.2f} of this entry exceed {most:.2f}"
    return Verdict("max_daily_loss", reason, breached=True)


def _loss_beyond_stop(case: _Case) -> float:
    """Return what a reversal's exit would lose that the open risk does not hold: all of it without a stop.

    The risk of the position that is left counts until it is closed, so the sum is never too low.
    """
    position = case.position
    at_stop = 0.0 if position.stop_loss is None else max(0.0, -position.unrealised(position.stop_loss))
    return max(0.0, -position.unrealised(case.signal.price) - at_stop)


def _size(case: _Case) -> float:
    signal, limits = case.signal, case.limits
    if signal.size_units is not None:
        wanted = signal.size_units
    elif limits.sizing == "risk_fraction":
        wanted = case.view.balance * (limits.risk_fraction or 0.0) / _stop_distance(signal)
    else:
        wanted = limits.units or 0.0
    return round_down(max(0.0, min(wanted, limits.max_units or wanted)), limits.unit_step)


@lru_cache(maxsize=1024)
def round_down(units: float, step: float) -> float:
    """Return the largest whole multiple of `step` that is not above `units`, in decimals: 0.3 by 0.1 is 0.3."""
    exact_step = Decimal(str(step))
    return float(_EXACT.multiply(_EXACT.divide_int(Decimal(str(units)), exact_step), exact_step))


def _stop_distance(signal: Signal) -> float:
    return 0.0 if signal.stop_loss is None else abs(signal.price - signal.stop_loss)


def _request(case: _Case, leg: Leg, side: Side, units: float) -> OrderRequest:
    signal, is_entry = case.signal, leg is Leg.ENTRY
    return OrderRequest(
        client_order_id=client_order_id(case.account.name, case.symbol, signal.strategy, signal.open_ms, leg),
        symbol=case.symbol,
        strategy=signal.strategy,
        leg=leg,
        side=side,
        units=units,
        reference_price=signal.price,
        decided_ms=signal.open_ms + timeframe_ms(case.timeframe),
        stop_loss=signal.stop_loss if is_entry else None,
        take_profit=signal.take_profit if is_entry else None,
    )
