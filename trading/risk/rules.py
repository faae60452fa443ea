"""Decide the orders for a signal by the risk rules; the rules of an entry are listed in `entry_rules`."""

from collections.abc import Mapping, Sequence

from trading.formatting import format_price, format_units
from trading.incidents import descriptions
from trading.incidents.incident import Incident
from trading.market.timeframes import Timeframe
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import Leg, OrderRequest, Side, client_order_id
from trading.risk.context import NO_COSTS, Entry, RiskContext
from trading.risk.entry_rules import entry_of
from trading.risk.entry_size import describe_share
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.protections import Protection
from trading.risk.sizing import BracketPrices, closing_units
from trading.risk.verdict import OK, AccountSnapshot, PlannedOrder, RiskDecision
from trading.rounding import round_down
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace
from trading.trading_state import Cause, describe

__all__ = ["AccountLimits", "RiskLimits", "evaluate_signal", "round_down"]


def evaluate_signal(
    view: AccountSnapshot,
    signal: Signal,
    *,
    symbol: str,
    timeframe: str,
    account: AccountLimits,
    limits: RiskLimits,
    protections: Sequence[Protection] = (),
    timeframes: Mapping[str, Timeframe] | None = None,
    terms: FillTerms = NO_COSTS,
) -> RiskDecision:
    """Decide which orders a signal may create.

    Nothing is opened while an order of the symbol is unsettled, and nothing is closed while an exit is. An entry needs
    a running symbol. An exit closes the whole position, and is sent while the symbol is paused or quarantined too. A
    reversal that may not enter still exits: the decision names the rule that rejected the entry, and plans the exit. A
    symbol that an incident halts sends nothing.

    Args:
        view: The present account, read under its lock.
        protections: Protections of the symbol; those of the account are checked too.
        timeframes: By symbol; None if no symbol has longer candles than this one.
        terms: The known costs of the symbol's venue.
    """
    context = RiskContext(view, signal, symbol, timeframe, account, limits, protections, timeframes or {}, terms)
    decision = _evaluate(context)
    return replace(decision, checks=tuple(context.checks))


def _evaluate(context: RiskContext) -> RiskDecision:
    why, symbol = context.view.permissions.why_no_exits, context.symbol
    is_stopped = why is not None and why.cause is Cause.STOPPED
    if refused := context.check("stopped", f"{symbol} is {context.view.desired}", is_met=not is_stopped):
        return refused
    if why is not None:
        reason = describe(why, symbol)
        context.check(why.rule, reason, is_met=False)
        return RiskDecision(why.rule, reason, incident=_close_refused(context))
    if context.signal.side is SignalSide.CLOSE:
        return _evaluate_close(context)
    return _evaluate_entry(context)


def _close_refused(context: RiskContext) -> Incident | None:
    """Return the incident for a halted symbol that should be closed; an exit that is already sent still completes."""
    signal, position = context.signal, context.position
    if not position.is_open or context.view.has_unsettled_exit:
        return None
    is_close = signal.side is SignalSide.CLOSE
    is_opposite = (
        not is_close and position.units * context.side.sign < 0 and context.limits.on_opposite_signal != "ignore"
    )
    return descriptions.close_refused(context.symbol, position, signal) if is_close or is_opposite else None


def _evaluate_close(context: RiskContext) -> RiskDecision:
    held = context.position.units
    if context.view.has_unsettled_exit or (context.view.has_unsettled and not held):
        return _unsettled(context)
    found = (
        f"{format_units(held)} units of {context.symbol} are open" if held else f"{context.symbol} has no open position"
    )
    return context.check("nothing_to_close", found, is_met=held != 0) or _exit(context)


def _evaluate_entry(context: RiskContext) -> RiskDecision:
    held = context.position.units
    is_opposite = held * context.side.sign < 0
    if context.view.has_unsettled_exit or (context.view.has_unsettled and not is_opposite):
        return _entry_refused(context) or _unsettled(context)
    if not held:
        return _entry(context)
    if not is_opposite:
        reason = f"{format_units(held)} units of {context.symbol} are open in the same direction"
        return _refused(context, "position_open", reason)
    match context.limits.on_opposite_signal:
        case "ignore":
            reason = (
                f"{format_units(held)} units of {context.symbol} are open the other way; on_opposite_signal is ignore"
            )
            return _refused(context, "ignored", reason)
        case "close":
            return _exit(context)
        case "reverse":
            return _reversal(_exit(context), _unsettled(context) if context.view.has_unsettled else _entry(context))


def _reversal(leaving: RiskDecision, entering: RiskDecision) -> RiskDecision:
    planned = leaving.planned + entering.planned
    return replace(entering, reason=f"{leaving.reason}; then {entering.reason}", planned=planned)


def _refused(context: RiskContext, rule: str, reason: str) -> RiskDecision:
    return context.check(rule, reason, is_met=False) or RiskDecision(rule, reason)


def _unsettled(context: RiskContext) -> RiskDecision:
    return _refused(context, "unsettled", f"an order of {context.symbol} is on its way or its outcome is not known")


def _exit(context: RiskContext) -> RiskDecision:
    held = context.position.units
    side = Side.SELL if held > 0 else Side.BUY
    units = closing_units(held, context.limits.unit_step)
    profit = context.money(context.position.unrealised(context.signal.price), "+")
    reason = (
        f"close {format_units(held)} units at {format_price(context.signal.price)}, {profit} before "
        f"fees: {context.signal.reason}"
    )
    return RiskDecision(OK, reason, (PlannedOrder(_request(context, Leg.EXIT, side, units)),))


def _entry_refused(context: RiskContext) -> RiskDecision | None:
    why, refused = context.view.permissions.why_no_entries, context.signal.entry_refused
    if why is not None and why.cause is not Cause.DRAWDOWN:  # a drawdown is checked with the account's limits
        return _refused(context, why.rule, describe(why, context.symbol))
    if refused is not None:
        return _refused(context, refused.rule, refused.reason)
    return context.check("entry_rules", "age, prices, hours and regime of the signal allow an entry", is_met=True)


def _entry(context: RiskContext) -> RiskDecision:
    refused = _entry_refused(context)
    if refused is not None:
        return refused
    entry = entry_of(context)
    return entry if isinstance(entry, RiskDecision) else _accepted(context, entry)


def _accepted(context: RiskContext, entry: Entry) -> RiskDecision:
    signal = context.signal
    at_fill = entry.equity_size if entry.is_sized_at_fill else None
    request = replace(_request(context, Leg.ENTRY, context.side, entry.units, entry.levels), at_fill=at_fill)
    reason = (
        f"{context.side} {format_units(entry.units)} units at {format_price(signal.price)}"
        f"{describe_share(context, entry)}, risk {context.money(entry.risk)}: {signal.reason}"
    )
    return RiskDecision(OK, reason, (PlannedOrder(request, entry.risk),))


def _request(
    context: RiskContext, leg: Leg, side: Side, units: float, prices: BracketPrices | None = None
) -> OrderRequest:
    signal = context.signal
    return OrderRequest(
        client_order_id=client_order_id(context.account.name, context.symbol, signal.strategy, signal.open_ms, leg),
        symbol=context.symbol,
        strategy=signal.strategy,
        leg=leg,
        side=side,
        units=units,
        reference_price=signal.price,
        decided_ms=signal.decided_ms(context.timeframe),
        stop_loss=None if prices is None else prices.stop_loss,
        take_profit=None if prices is None else prices.take_profit,
    )
