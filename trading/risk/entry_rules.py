"""Entry rules for a symbol that may enter: prices, size, and account limits."""

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
from trading.risk.protections import EntryRequest, Protection, when_known
from trading.risk.sizing import BracketPrices, levels_of, size
from trading.risk.verdict import AccountSnapshot, Check, RiskDecision
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace
from trading.tolerance import is_at_least, is_at_most, is_below
from trading.trading_state import describe

T = TypeVar("T")


class RiskContext(Struct):
    """A signal, the state that it is judged by, and the rules checked so far; it lives for one decision."""

    view: AccountSnapshot
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

    def check(self, rule: str, reason: str, *, is_met: bool, breached: bool = False) -> RiskDecision | None:
        """Record the check of a rule, and return the rejection if the rule is not met."""
        self.checks.append(Check(rule, is_met, reason))
        return None if is_met else RiskDecision(rule, reason, breached=breached)


class Entry(Struct):
    """An entry with its prices and size.

    Attributes:
        risk: Loss at the stop, in quote currency; 0.0 without a stop.
        notional: Value at the decision price, in quote currency.
    """

    levels: BracketPrices
    units: float
    risk: float
    notional: float


def entry_of(context: RiskContext) -> Entry | RiskDecision:
    """Return the entry for a signal, or the rejection by the first rule that it does not meet."""
    prices = levels_of(context.signal, context.limits.tick_size)
    if refused := _first(_OF_LEVELS, context, prices):
        return refused
    units = size(context.signal, prices, context.limits, context.view.balance)
    entry = Entry(prices, units, units * prices.stop_distance, units * prices.price)
    return _first(_OF_ENTRY, context, entry) or _held_off(context) or entry


def _first(
    rules: Sequence[Callable[[RiskContext, T], RiskDecision | None]], context: RiskContext, what: T
) -> RiskDecision | None:
    for rule in rules:
        if refused := rule(context, what):
            return refused
    return None


def _entries_allowed(context: RiskContext, _: BracketPrices) -> RiskDecision | None:
    """Reject entries after a drawdown that no operator has cleared; one detected now opens an incident."""
    most, view = context.account.max_drawdown, context.view
    if why := view.permissions.why_no_entries:
        return context.check(why.rule, describe(why, context.symbol), is_met=False, breached=True)
    if not most:
        return None
    high = view.high_water
    now = fall(high.peak, view.balance)
    reason = (
        f"the balance {view.balance:.2f} is {now:.2%} below its peak {high.peak:.2f}, "
        f"at most it was {high.drawdown:.2%}, the limit is {most:.2%}"
    )
    refused = context.check("drawdown_latch", reason, is_met=is_below(high.drawdown, most), breached=True)
    return refused and replace(refused, incident=descriptions.max_drawdown(context.symbol, high, view.balance, most))


def _stop_in_ticks(context: RiskContext, prices: BracketPrices) -> RiskDecision | None:
    tick, wanted = context.limits.tick_size, context.signal.stop_loss
    if tick is None or wanted is None:
        return None
    reason = f"the stop {_in_ticks(wanted, prices.stop_loss, tick, prices)}"
    return context.check("stop_distance", reason, is_met=not prices.is_stop_gone)


def _target_in_ticks(context: RiskContext, prices: BracketPrices) -> RiskDecision | None:
    tick, wanted = context.limits.tick_size, context.signal.take_profit
    if tick is None or wanted is None:
        return None
    reason = f"the target {_in_ticks(wanted, prices.take_profit, tick, prices)}"
    return context.check("target_distance", reason, is_met=not prices.is_target_gone)


def _in_ticks(wanted: float, price: float | None, tick: float, prices: BracketPrices) -> str:
    return (
        f"{format_price(wanted)} is {format_price(price)} in ticks of {format_price(tick)}, the price "
        f"is {format_price(prices.price)}"
    )


def _stop_to_size_by(context: RiskContext, prices: BracketPrices) -> RiskDecision | None:
    if context.signal.size_units is not None or context.limits.sizing != "risk_fraction":
        return None
    distance = prices.stop_distance
    found = f"it is {distance:g} away" if distance else "there is none"
    reason = f"sizing by risk_fraction needs a stop away from the price {format_price(prices.price)}: {found}"
    return context.check("no_stop", reason, is_met=distance > 0)


def _reward_for_risk(context: RiskContext, prices: BracketPrices) -> RiskDecision | None:
    least = context.limits.min_reward_risk
    if least is None:
        return None
    stop, target = prices.stop_distance, prices.target_distance
    if not (stop and target):
        missing = "stop" if target else "target" if stop else "stop and no target"
        return context.check(
            "min_reward_risk", f"there is no {missing}, {least:g} times the risk is needed", is_met=False
        )
    reason = f"{target:g} to the target are {target / stop:.2f} times {stop:g} to the stop, {least:g} times are needed"
    return context.check("min_reward_risk", reason, is_met=is_at_least(target, least * stop))


def _narrow_spread(context: RiskContext, _: BracketPrices) -> RiskDecision | None:
    most, spread = context.limits.max_spread, context.view.spread
    if most is None:
        return None
    if spread is None:
        return context.check("max_spread", f"the venue tells no spread, allowed are {most:g}", is_met=False)
    return context.check("max_spread", f"the spread is {spread:g}, allowed are {most:g}", is_met=spread <= most)


def _least_units(context: RiskContext, entry: Entry) -> RiskDecision | None:
    least = max(context.limits.min_units, context.limits.unit_step)
    reason = f"the size is {format_units(entry.units)} units, the smallest that is traded is {format_units(least)}"
    return context.check("below_min_units", reason, is_met=entry.units > 0 and entry.units >= context.limits.min_units)


def _least_notional(context: RiskContext, entry: Entry) -> RiskDecision | None:
    least = context.limits.min_notional
    if not least:
        return None
    reason = (
        f"{format_units(entry.units)} units are worth {entry.notional:.2f}, the smallest that is traded is {least:.2f}"
    )
    return context.check("below_min_notional", reason, is_met=is_at_least(entry.notional, least))


def _free_place(context: RiskContext, _: Entry) -> RiskDecision | None:
    most, count = context.account.max_open_positions, context.view.open_positions
    if not most:
        return None
    is_met = context.position.is_open or count < most  # a reversal keeps the place that it has
    reason = f"{count} of {most} positions are open or on their way"
    return context.check("max_open_positions", reason, is_met=is_met, breached=True)


def _symbol_notional(context: RiskContext, entry: Entry) -> RiskDecision | None:
    most = context.limits.max_notional
    return _notional("max_symbol_notional", f"of {context.symbol} ", most, context.view.symbol_notional, context, entry)


def _account_notional(context: RiskContext, entry: Entry) -> RiskDecision | None:
    return _notional("max_notional", "", context.account.max_notional, context.view.open_notional, context, entry)


def _notional(
    rule: str, whose: str, most: float | None, held: float, context: RiskContext, entry: Entry
) -> RiskDecision | None:
    if not most:
        return None
    reason = f"{held:.2f} {whose}are open or on their way and {entry.notional:.2f} this entry, the limit is {most:.2f}"
    return context.check(rule, reason, is_met=is_at_most(held + entry.notional, most), breached=True)


def _daily_loss(context: RiskContext, entry: Entry) -> RiskDecision | None:
    most, view = context.account.max_daily_loss, context.view
    if not most:
        return None
    lost = max(0.0, -view.day_realised) + _loss_beyond_stop(context)
    is_met = is_at_most(lost + view.open_risk + entry.risk, most)
    reason = (
        f"{lost:.2f} lost today, {view.open_risk:.2f} at open stops and {entry.risk:.2f} of this entry, "
        f"the limit is {most:.2f}"
    )
    return context.check("max_daily_loss", reason, is_met=is_met, breached=True)


def _room_for_drawdown(context: RiskContext, entry: Entry) -> RiskDecision | None:
    """Require that the drawdown stays within its limit even if all stops are hit, so that it is hardly ever reached."""
    part, view = context.account.max_drawdown, context.view
    if not part:
        return None
    peak = view.high_water.peak
    most, lost = part * peak, peak - view.balance + _loss_beyond_stop(context)
    reason = (
        f"{lost:.2f} lost since the peak {peak:.2f}, {view.open_risk:.2f} at open stops and {entry.risk:.2f} of this "
        f"entry, the limit is {most:.2f}"
    )
    is_met = is_at_most(lost + view.open_risk + entry.risk, most)
    return context.check("drawdown_headroom", reason, is_met=is_met, breached=True)


def _loss_beyond_stop(context: RiskContext) -> float:
    """Return the loss of a reversal's exit beyond the open risk; without a stop that is the whole loss.

    The risk of the remaining position counts until it is closed, so the sum is never too low.
    """
    position = context.position
    at_stop = 0.0 if position.stop_loss is None else max(0.0, -position.unrealised(position.stop_loss))
    return max(0.0, -position.unrealised(context.signal.price) - at_stop)


def _held_off(context: RiskContext) -> RiskDecision | None:
    """Check the protections: last, because they read past trades."""
    if not (context.account.protections or context.protections):
        return None
    candle_ms = timeframe_ms(context.timeframe)
    trades_since = when_known(context.view.trades_since, context.lengths_ms, candle_ms)
    for whose, protections in ((None, context.account.protections), (context.symbol, context.protections)):
        for one in protections:
            request = EntryRequest(context.symbol, context.side, context.signal.open_ms, candle_ms, whose)
            is_met, reason = one.evaluated(request, trades_since)
            if refused := context.check(one.rule, reason, is_met=is_met, breached=one.is_limit):
                return refused
    return None


_OF_LEVELS = (_entries_allowed, _stop_in_ticks, _target_in_ticks, _stop_to_size_by, _reward_for_risk, _narrow_spread)
_OF_ENTRY = (
    _least_units,
    _least_notional,
    _free_place,
    _symbol_notional,
    _account_notional,
    _daily_loss,
    _room_for_drawdown,
)
"""The rules in the order of their checks; docs/reference/risk.md lists them in the same order."""
