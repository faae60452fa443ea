"""What an entry is asked once its symbol may enter: its prices, its size, and what the account bears."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from trading.formatting import format_price, format_units
from trading.incidents import descriptions
from trading.market.candles import timeframe_ms
from trading.orders.orders import Side
from trading.portfolio.drawdown import fall
from trading.portfolio.positions import Position
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.protections import Asked, Protection, when_known
from trading.risk.sizing import Levels, levels_of, size
from trading.risk.verdict import Check, LedgerView, Verdict
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace
from trading.tolerance import is_at_least, is_at_most, is_below
from trading.trading_state import describe

T = TypeVar("T")


class Case(Struct):
    """One signal with what it is judged by, and the rules that it was asked so far; it lives for one judgement."""

    view: LedgerView
    signal: Signal
    symbol: str
    timeframe: str
    account: AccountLimits
    limits: RiskLimits
    protections: Sequence[Protection] = ()
    lengths_ms: Mapping[str, int] = {}
    checks: list[Check] = []

    @property
    def side(self) -> Side:
        return Side.BUY if self.signal.side is SignalSide.BUY else Side.SELL

    @property
    def position(self) -> Position:
        return self.view.position

    def ask(self, rule: str, reason: str, *, is_met: bool, breached: bool = False) -> Verdict | None:
        """Note that a rule was asked, and return its refusal."""
        self.checks.append(Check(rule, is_met, reason))
        return None if is_met else Verdict(rule, reason, breached=breached)


class Entry(Struct):
    """An entry at its price, with its size.

    Attributes:
        risk: Loss at the stop, in quote currency; 0.0 without a stop.
        notional: Value at the price decided on, in quote currency.
    """

    levels: Levels
    units: float
    risk: float
    notional: float


def entry_of(case: Case) -> Entry | Verdict:
    """Return the entry that a signal makes, or the refusal of the first rule that is against it."""
    levels = levels_of(case.signal, case.limits.tick_size)
    if refused := _first(_OF_LEVELS, case, levels):
        return refused
    units = size(case.signal, levels, case.limits, case.view.balance)
    entry = Entry(levels, units, units * levels.stop_distance, units * levels.price)
    return _first(_OF_ENTRY, case, entry) or _held_off(case) or entry


def _first(rules: Sequence[Callable[[Case, T], Verdict | None]], case: Case, what: T) -> Verdict | None:
    for rule in rules:
        if refused := rule(case, what):
            return refused
    return None


def _no_latch(case: Case, _: Levels) -> Verdict | None:
    """Hold that no drawdown was reached that nobody has cleared; one that is found now is told with the refusal."""
    most, view = case.account.max_drawdown, case.view
    if why := view.permissions.why_no_entries:
        return case.ask(why.rule, describe(why, case.symbol), is_met=False, breached=True)
    if not most:
        return None
    high = view.high_water
    now = fall(high.peak, view.balance)
    reason = (
        f"the balance {view.balance:.2f} is {now:.2%} below its peak {high.peak:.2f}, "
        f"at most it was {high.drawdown:.2%}, the limit is {most:.2%}"
    )
    refused = case.ask("max_drawdown", reason, is_met=is_below(high.drawdown, most), breached=True)
    return refused and replace(refused, incident=descriptions.max_drawdown(case.symbol, high, view.balance, most))


def _stop_in_ticks(case: Case, levels: Levels) -> Verdict | None:
    tick, wanted = case.limits.tick_size, case.signal.stop_loss
    if tick is None or wanted is None:
        return None
    reason = f"the stop {_in_ticks(wanted, levels.stop_loss, tick, levels)}"
    return case.ask("stop_distance", reason, is_met=not levels.is_stop_gone)


def _target_in_ticks(case: Case, levels: Levels) -> Verdict | None:
    tick, wanted = case.limits.tick_size, case.signal.take_profit
    if tick is None or wanted is None:
        return None
    reason = f"the target {_in_ticks(wanted, levels.take_profit, tick, levels)}"
    return case.ask("target_distance", reason, is_met=not levels.is_target_gone)


def _in_ticks(wanted: float, price: float | None, tick: float, levels: Levels) -> str:
    return (
        f"{format_price(wanted)} is {format_price(price)} in ticks of {format_price(tick)}, the price "
        f"is {format_price(levels.price)}"
    )


def _stop_to_size_by(case: Case, levels: Levels) -> Verdict | None:
    if case.signal.size_units is not None or case.limits.sizing != "risk_fraction":
        return None
    distance = levels.stop_distance
    found = f"it is {distance:g} away" if distance else "there is none"
    reason = f"sizing by risk_fraction needs a stop away from the price {format_price(levels.price)}: {found}"
    return case.ask("no_stop", reason, is_met=distance > 0)


def _reward_for_risk(case: Case, levels: Levels) -> Verdict | None:
    least = case.limits.min_reward_risk
    if least is None:
        return None
    stop, target = levels.stop_distance, levels.target_distance
    if not (stop and target):
        missing = "stop" if target else "target" if stop else "stop and no target"
        return case.ask("min_reward_risk", f"there is no {missing}, {least:g} times the risk is needed", is_met=False)
    reason = f"{target:g} to the target are {target / stop:.2f} times {stop:g} to the stop, {least:g} times are needed"
    return case.ask("min_reward_risk", reason, is_met=is_at_least(target, least * stop))


def _narrow_spread(case: Case, _: Levels) -> Verdict | None:
    most, spread = case.limits.max_spread, case.view.spread
    if most is None:
        return None
    if spread is None:
        return case.ask("max_spread", f"the venue tells no spread, allowed are {most:g}", is_met=False)
    return case.ask("max_spread", f"the spread is {spread:g}, allowed are {most:g}", is_met=spread <= most)


def _least_units(case: Case, entry: Entry) -> Verdict | None:
    least = max(case.limits.min_units, case.limits.unit_step)
    reason = f"the size is {format_units(entry.units)} units, the smallest that is traded is {format_units(least)}"
    return case.ask("below_min_units", reason, is_met=entry.units > 0 and entry.units >= case.limits.min_units)


def _least_notional(case: Case, entry: Entry) -> Verdict | None:
    least = case.limits.min_notional
    if not least:
        return None
    reason = (
        f"{format_units(entry.units)} units are worth {entry.notional:.2f}, the smallest that is traded is {least:.2f}"
    )
    return case.ask("below_min_notional", reason, is_met=is_at_least(entry.notional, least))


def _free_place(case: Case, _: Entry) -> Verdict | None:
    most, count = case.account.max_open_positions, case.view.open_positions
    if not most:
        return None
    is_met = case.position.is_open or count < most  # a reversal keeps the place that it has
    reason = f"{count} of {most} positions are open or on their way"
    return case.ask("max_open_positions", reason, is_met=is_met, breached=True)


def _symbol_notional(case: Case, entry: Entry) -> Verdict | None:
    most = case.limits.max_notional
    return _notional("max_symbol_notional", f"of {case.symbol} ", most, case.view.symbol_notional, case, entry)


def _account_notional(case: Case, entry: Entry) -> Verdict | None:
    return _notional("max_notional", "", case.account.max_notional, case.view.open_notional, case, entry)


def _notional(rule: str, whose: str, most: float | None, held: float, case: Case, entry: Entry) -> Verdict | None:
    if not most:
        return None
    reason = f"{held:.2f} {whose}are open or on their way and {entry.notional:.2f} this entry, the limit is {most:.2f}"
    return case.ask(rule, reason, is_met=is_at_most(held + entry.notional, most), breached=True)


def _daily_loss(case: Case, entry: Entry) -> Verdict | None:
    most, view = case.account.max_daily_loss, case.view
    if not most:
        return None
    lost = max(0.0, -view.day_realised) + _loss_beyond_stop(case)
    is_met = is_at_most(lost + view.open_risk + entry.risk, most)
    reason = (
        f"{lost:.2f} lost today, {view.open_risk:.2f} at open stops and {entry.risk:.2f} of this entry, "
        f"the limit is {most:.2f}"
    )
    return case.ask("max_daily_loss", reason, is_met=is_met, breached=True)


def _room_for_drawdown(case: Case, entry: Entry) -> Verdict | None:
    """Hold that the drawdown stays within its limit even if all stops are hit: so it is hardly ever reached."""
    part, view = case.account.max_drawdown, case.view
    if not part:
        return None
    peak = view.high_water.peak
    most, lost = part * peak, peak - view.balance + _loss_beyond_stop(case)
    reason = (
        f"{lost:.2f} lost since the peak {peak:.2f}, {view.open_risk:.2f} at open stops and {entry.risk:.2f} of this "
        f"entry, the limit is {most:.2f}"
    )
    is_met = is_at_most(lost + view.open_risk + entry.risk, most)
    return case.ask("max_drawdown", reason, is_met=is_met, breached=True)


def _loss_beyond_stop(case: Case) -> float:
    """Return what a reversal's exit would lose that the open risk does not hold: all of it without a stop.

    The risk of the position that is left counts until it is closed, so the sum is never too low.
    """
    position = case.position
    at_stop = 0.0 if position.stop_loss is None else max(0.0, -position.unrealised(position.stop_loss))
    return max(0.0, -position.unrealised(case.signal.price) - at_stop)


def _held_off(case: Case) -> Verdict | None:
    """Ask the protections: last, because they read trades of the past."""
    if not (case.account.protections or case.protections):
        return None
    candle_ms = timeframe_ms(case.timeframe)
    trades_since = when_known(case.view.trades_since, case.lengths_ms, candle_ms)
    for whose, protections in ((None, case.account.protections), (case.symbol, case.protections)):
        for one in protections:
            asked = Asked(case.symbol, case.side, case.signal.open_ms, candle_ms, whose)
            is_met, reason = one.judged(asked, trades_since)
            if refused := case.ask(one.rule, reason, is_met=is_met, breached=one.is_limit):
                return refused
    return None


_OF_LEVELS = (_no_latch, _stop_in_ticks, _target_in_ticks, _stop_to_size_by, _reward_for_risk, _narrow_spread)
_OF_ENTRY = (
    _least_units,
    _least_notional,
    _free_place,
    _symbol_notional,
    _account_notional,
    _daily_loss,
    _room_for_drawdown,
)
"""The rules in the order in which they are asked; docs/reference/risk.md names them in the same order."""
