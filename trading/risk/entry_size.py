"""The size of an entry: its units, the value and the risk that it reserves, and the cut to the leverage left."""

from trading.formatting import format_units
from trading.orders.amounts import NO_LOSS
from trading.orders.equity_size import EquitySize
from trading.risk.bounds import account_room, symbol_room
from trading.risk.context import Entry, RiskContext
from trading.risk.sizing import BracketPrices, is_computed, is_of_equity, size
from trading.rounding import round_down
from trading.structs import replace


def sized(context: RiskContext, prices: BracketPrices) -> Entry:
    """Return an entry with its size; its units are 0.0 where not even the smallest size fits."""
    if is_of_equity(context.signal, context.limits):
        return _sized_by_equity(context, prices)
    stop = prices.stop_loss
    loss = NO_LOSS if stop is None else context.costs.stopped_loss(prices.price, stop)
    wanted = size(context.signal, context.limits, context.view.balance, loss=loss)
    units = _cut(context, prices.price, wanted) if context.view.is_bounded else wanted
    notional = units * prices.price
    risk = notional if stop is None and context.view.is_bounded else loss.of(units)
    return Entry(prices, units, wanted, risk, notional)


def describe_share(context: RiskContext, entry: Entry) -> str:
    """Return how the units follow from the equity, for the reason of a decision; empty if they do not."""
    share = entry.equity_size
    if share is None:
        return ""
    after = " after the exit" if share.exit_profit else ""
    at_fill = ", the fill price decides the units" if entry.is_sized_at_fill else ""
    cut = f", cut from {format_units(entry.wanted)} units" if entry.units < entry.wanted else ""
    equity = context.money(share.equity + share.exit_profit)
    return f", {share.fraction * 100:.6g} % of the equity {equity}{after}{at_fill}{cut}"


def _cut(context: RiskContext, price: float, units: float) -> float:
    """Cut a size computed from the risk to the leverage that is left; a size that was asked for stays.

    Where too little is left for a size that can be traded, the size stays too: the limit rejects it with its numbers.
    """
    if not is_computed(context.signal, context.limits):
        return units
    for room in (symbol_room(context), account_room(context)):
        cut = round_down(min(units, room.left / price), context.limits.unit_step)
        units = cut if cut > 0 and cut >= context.limits.min_units else units
    return units


def _sized_by_equity(context: RiskContext, prices: BracketPrices) -> Entry:
    """Size an entry by the equity.

    If the venue computes the units at the fill, the entry reserves the whole value that it may reach, not the value of
    its units at this price.
    """
    whole = _share_of_equity(context)
    wanted = _units(context, whole)
    share = _cut_share(context, whole)
    units = _units(context, share)
    is_capped = share.max_units is not None and units >= round_down(share.max_units, share.unit_step)
    is_sized_at_fill = context.terms.sizes_at_fill and units > 0 and not is_capped
    notional = share.value() if is_sized_at_fill else units * prices.price
    risk = notional
    if prices.stop_loss is not None:
        risk = context.costs.stopped_loss(prices.price, prices.stop_loss).of(notional / prices.price)
    return Entry(prices, units, wanted, risk, notional, share, is_sized_at_fill)


def _share_of_equity(context: RiskContext) -> EquitySize:
    """Return the part of the equity to invest; a position in the other direction is closed at the decision price."""
    limits, own, position = context.limits, context.own_book, context.position
    others = (context.view.equity or 0.0) - own.unrealised
    closed = context.costs.exit_profit(position.units, position.average_price, context.signal.price)
    return EquitySize(
        fraction=limits.equity_fraction or 0.0,
        equity=others,
        exit_profit=closed if position.is_open else 0.0,
        unit_step=limits.unit_step,
        min_units=limits.min_units,
        max_units=limits.max_units,
    )


def _cut_share(context: RiskContext, share: EquitySize) -> EquitySize:
    """Cut a share to the leverage that is left, unless too little is left for a size that can be traded.

    A limit in quote currency does not grow with the profit that the exit makes at its fill, so with one the value of
    now is the largest.
    """
    value = share.value()
    left = min(symbol_room(context).left, account_room(context).left)
    if value > left and _units(context, cut := replace(share, max_value=left)) > 0:
        return cut
    return replace(share, max_value=value) if _has_limit_of_money(context) else share


def _has_limit_of_money(context: RiskContext) -> bool:
    account = context.account
    limits = (context.limits.max_notional, account.max_notional, account.max_daily_loss, account.max_drawdown)
    return any(limits)


def _units(context: RiskContext, share: EquitySize) -> float:
    return context.costs.units_of(share, context.side, context.signal.price)
