"""Bounds of what a position is worth and may lose: equity, leverage, distance of the stop. They are always checked.

Only a replay of decisions that a version without them recorded leaves them out (`AccountSnapshot.is_bounded`).
"""

import math
from collections.abc import Mapping

from msgspec import Struct

from trading.formatting import format_price, format_units
from trading.portfolio.positions import Position
from trading.risk.context import Entry, RiskContext
from trading.risk.sizing import BracketPrices
from trading.risk.verdict import Field, RiskDecision
from trading.tolerance import is_at_least, is_at_most


class LeverageRoom(Struct, frozen=True):
    """The value that entries may still add under one leverage limit, in quote currency.

    Attributes:
        rule: Rule id of the limit.
        held: Value of the open positions and pending entries that stay beside the entry.
        most: The limit as a multiple of equity.
    """

    rule: str
    held: float
    equity: float
    most: float

    @property
    def limit(self) -> float:
        """The limit as a value; no leverage is left without equity."""
        return self.most * max(0.0, self.equity)

    @property
    def left(self) -> float:
        return max(0.0, self.limit - self.held)


def positive_equity(context: RiskContext, _: BracketPrices) -> RiskDecision | None:
    """Reject an entry if the equity is unknown, or not positive."""
    view = context.view
    if not view.is_bounded:
        return None
    equity = view.equity
    if equity is None:
        unpriced = ", ".join(view.unpriced)
        reason = f"the equity is unknown: positions of {unpriced} are open, and no price of {unpriced} is known"
        return context.check("equity", reason, is_met=False, breached=True, fields={"unpriced": unpriced})
    unrealised = context.money(equity - view.balance, "+")
    reason = (
        f"the equity is {context.money(equity)}: balance {context.money(view.balance)}, open positions {unrealised}"
    )
    fields: Mapping[str, Field] = {"equity": equity, "balance": view.balance}
    return context.check("equity", reason, is_met=equity > 0, breached=True, fields=fields)


def least_stop_distance(context: RiskContext, prices: BracketPrices) -> RiskDecision | None:
    """Reject a stop on the wrong side of the price, at it, or too close to it."""
    if not context.view.is_bounded or prices.stop_loss is None:
        return None
    least = context.limits.least_stop_distance(prices.price, context.costs.price_cost)
    distance = (prices.price - prices.stop_loss) * prices.sign
    reason = (
        f"the stop {format_price(prices.stop_loss)} is {format_price(distance)} away from the price "
        f"{format_price(prices.price)}, the least distance is {format_price(least)}"
    )
    fields = {"distance": distance, "least": least, "stop_loss": prices.stop_loss, "price": prices.price}
    is_met = distance > 0 and is_at_least(distance, least)
    return context.check("min_stop_distance", reason, is_met=is_met, fields=fields)


def symbol_leverage(context: RiskContext, entry: Entry) -> RiskDecision | None:
    return _leverage(context, entry, symbol_room(context), f"of {context.symbol} ")


def account_leverage(context: RiskContext, entry: Entry) -> RiskDecision | None:
    return _leverage(context, entry, account_room(context), "")


def symbol_room(context: RiskContext) -> LeverageRoom:
    """Return the value that entries of the symbol may still add."""
    return _room(context, "max_symbol_leverage", context.limits.max_leverage, context.symbol)


def account_room(context: RiskContext) -> LeverageRoom:
    """Return the value that entries of all symbols may still add."""
    return _room(context, "max_leverage", context.account.max_leverage, None)


class LossAtRisk(Struct, frozen=True):
    """The loss that a limit counts beside the realised loss, in quote currency.

    Attributes:
        open: Of all open positions and pending entries.
        entry: Of the entry.
        beyond_stop: Loss of a reversal's exit beyond the open risk; only a version without bounds counted it apart.
        description: The three, for the reason of the rule.
    """

    open: float
    entry: float
    beyond_stop: float
    description: str

    @property
    def total(self) -> float:
        return self.open + self.entry


def loss_at_risk(context: RiskContext, entry: Entry) -> LossAtRisk:
    """Return the loss to count for open positions and the entry.

    Of a position that is the larger of its reserved risk and its present loss; without a stop its whole value.
    """
    view, risk, money = context.view, entry.risk, context.money
    if not view.is_bounded:  # the reason stays as it was recorded, because a replay compares it
        beyond = _loss_beyond_stop(context.position, context.signal.price)
        text = f"{money(view.open_risk)} at open stops and {money(risk)} of this entry"
        return LossAtRisk(view.open_risk, risk, beyond, text)
    held = max(view.open_risk, math.fsum(book.at_risk for book in view.books))
    whole = " (its whole value, it has no stop)" if entry.levels.stop_loss is None else ""
    text = f"{money(held)} at risk in open positions and {money(risk)} in this entry{whole}"
    return LossAtRisk(held, risk, 0.0, text)


def _room(context: RiskContext, rule: str, most: float, symbol: str | None) -> LeverageRoom:
    """Return the room beside all books; of the entry's own book only the entry's direction stays.

    A position in the other direction is closed before the entry is sent, so the two never exist together.
    """
    books = [one for one in context.view.books if symbol is None or one.symbol == symbol]
    own = context.own_book
    others = math.fsum(one.exposure for one in books if (one.symbol, one.strategy) != (own.symbol, own.strategy))
    return LeverageRoom(rule, others + own.value_in(context.side.sign), context.view.equity or 0.0, most)


def _leverage(context: RiskContext, entry: Entry, room: LeverageRoom, whose: str) -> RiskDecision | None:
    if not context.view.is_bounded:
        return None
    money = context.money
    cut = f" (cut from {format_units(entry.wanted)} units)" if entry.units < entry.wanted else ""
    reason = (
        f"{money(room.held)} {whose}are open or on their way and {money(entry.notional)} this entry{cut}, the limit is "
        f"{money(room.limit)}: {room.most:g} times the equity {money(room.equity)}"
    )
    fields = {
        "held": room.held,
        "notional": entry.notional,
        "limit": room.limit,
        "leverage": room.most,
        "equity": room.equity,
        "wanted_units": entry.wanted,
    }
    is_met = entry.notional > 0 and is_at_most(room.held + entry.notional, room.limit)  # no limit bounds another value
    return context.check(room.rule, reason, is_met=is_met, breached=True, fields=fields)


def _loss_beyond_stop(position: Position, price: float) -> float:
    """Return the loss of a reversal's exit beyond the open risk; without a stop that is the whole loss.

    The risk of the remaining position counts until it is closed, so the sum is never too low.
    """
    at_stop = 0.0 if position.stop_loss is None else max(0.0, -position.unrealised(position.stop_loss))
    return max(0.0, -position.unrealised(price) - at_stop)
