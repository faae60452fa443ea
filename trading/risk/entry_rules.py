"""Entry rules for a symbol that may enter: prices, size, and account limits."""

from trading.formatting import format_price, format_units
from trading.incidents import descriptions
from trading.market.timeframes import Timeframe
from trading.portfolio.drawdown import fall
from trading.risk.bounds import (
    account_leverage,
    least_stop_distance,
    loss_at_risk,
    positive_equity,
    symbol_leverage,
)
from trading.risk.context import Entry, RiskContext, first_refusal
from trading.risk.entry_size import sized
from trading.risk.protections import EntryRequest, when_known
from trading.risk.sizing import BracketPrices, levels_of
from trading.risk.verdict import RiskDecision
from trading.structs import replace
from trading.tolerance import is_at_least, is_at_most, is_below
from trading.trading_state import describe


def entry_of(context: RiskContext) -> Entry | RiskDecision:
    """Return the entry for a signal, or the rejection by the first rule that it does not meet."""
    prices = levels_of(context.signal, context.limits.tick_size)
    if refused := first_refusal(_OF_LEVELS, context, prices):
        return refused
    entry = sized(context, prices)
    return first_refusal(_OF_ENTRY, context, entry) or _held_off(context) or entry


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
        f"the balance {context.money(view.balance)} is {now:.2%} below its peak {context.money(high.peak)}, "
        f"at most it was {high.drawdown:.2%}, the limit is {most:.2%}"
    )
    refused = context.check("drawdown_latch", reason, is_met=is_below(high.drawdown, most), breached=True)
    decimals = context.account.money_decimals
    incident = descriptions.max_drawdown(context.symbol, high, view.balance, most, decimals=decimals)
    return refused and replace(refused, incident=incident)


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
        f"{format_units(entry.units)} units are worth {context.money(entry.notional)}, the smallest that is traded is "
        f"{context.money(least)}"
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
    money = context.money
    reason = (
        f"{money(held)} {whose}are open or on their way and {money(entry.notional)} this entry, "
        f"the limit is {money(most)}"
    )
    return context.check(rule, reason, is_met=is_at_most(held + entry.notional, most), breached=True)


def _daily_loss(context: RiskContext, entry: Entry) -> RiskDecision | None:
    most = context.account.max_daily_loss
    if not most:
        return None
    risk = loss_at_risk(context, entry)
    lost = max(0.0, -context.view.day_realised) + risk.beyond_stop
    reason = f"{context.money(lost)} lost today, {risk.description}, the limit is {context.money(most)}"
    return context.check("max_daily_loss", reason, is_met=is_at_most(lost + risk.total, most), breached=True)


def _room_for_drawdown(context: RiskContext, entry: Entry) -> RiskDecision | None:
    """Require that the drawdown stays within its limit even if all stops are hit, so that it is hardly ever reached."""
    part, view = context.account.max_drawdown, context.view
    if not part:
        return None
    peak, risk = view.high_water.peak, loss_at_risk(context, entry)
    most, lost = part * peak, peak - view.balance + risk.beyond_stop
    money = context.money
    reason = f"{money(lost)} lost since the peak {money(peak)}, {risk.description}, the limit is {money(most)}"
    return context.check("drawdown_headroom", reason, is_met=is_at_most(lost + risk.total, most), breached=True)


def _held_off(context: RiskContext) -> RiskDecision | None:
    """Check the protections: last, because they read past trades."""
    if not (context.account.protections or context.protections):
        return None
    own = Timeframe.parse(context.timeframe)
    trades_since = when_known(context.view.trades_since, context.timeframes, own)
    for whose, protections in ((None, context.account.protections), (context.symbol, context.protections)):
        for one in protections:
            request = EntryRequest(context.symbol, context.side, context.signal.open_ms, own, whose)
            is_met, reason = one.evaluated(request, trades_since)
            if refused := context.check(one.rule, reason, is_met=is_met, breached=one.is_limit):
                return refused
    return None


_OF_LEVELS = (
    _entries_allowed,
    positive_equity,
    _stop_in_ticks,
    _target_in_ticks,
    _stop_to_size_by,
    least_stop_distance,
    _reward_for_risk,
    _narrow_spread,
)
_OF_ENTRY = (
    _least_units,
    _least_notional,
    _free_place,
    _symbol_notional,
    _account_notional,
    symbol_leverage,
    account_leverage,
    _daily_loss,
    _room_for_drawdown,
)
"""The rules in the order of their checks; docs/reference/risk.md lists them in the same order."""
