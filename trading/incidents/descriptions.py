"""Descriptions of incidents: the observation, with its values."""

from typing import get_args

from trading.errors import Rejected
from trading.formatting import MONEY_DECIMALS, format_price, format_time, format_units
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import PositionPolicy
from trading.orders.intents import Intent
from trading.orders.orders import Fill, OpenOrder, OrderRequest, OrderState
from trading.portfolio.drawdown import HighWaterMark
from trading.portfolio.positions import Position, StopMove
from trading.strategies.signal import Signal


def position_mismatch(symbol: str, ledger_units: float, venue_units: float) -> Incident:
    reason = f"the ledger holds {format_units(ledger_units)} units of {symbol}, the venue {format_units(venue_units)}"
    details = {"ledger_units": ledger_units, "venue_units": venue_units}
    return Incident(IncidentKind.POSITION_MISMATCH, symbol, "position", reason, details)


def order_lost(symbol: str, intent: Intent) -> Incident:
    request = intent.request
    reason = f"the venue accepted {describe_order(request)} ({request.client_order_id}) and no longer has this order"
    details = {"client_order_id": request.client_order_id, "state": intent.state.value}
    return Incident(IncidentKind.ORDER_LOST, symbol, request.client_order_id, reason, details)


def foreign_order(symbol: str, order: OpenOrder) -> Incident:
    name = order.client_order_id or order.venue_order_id
    reason = f"{order.side.value} {format_units(order.units)} ({name}) rests at the venue; this system did not send it"
    details = {"client_order_id": order.client_order_id, "venue_order_id": order.venue_order_id}
    return Incident(IncidentKind.FOREIGN_ORDER, symbol, order.venue_order_id, reason, details)


def stray_stop(symbol: str, held: float, order: OpenOrder) -> Incident:
    reason = (
        f"{order.side.value} {format_units(order.units)} at {format_price(order.price)} "
        f"({order.client_order_id}) rests at the venue "
        f"and protects no position: {format_units(held)} units are held; a fill would open a position"
    )
    details = {"client_order_id": order.client_order_id, "units": order.units, "price": order.price}
    return Incident(IncidentKind.STRAY_STOP, symbol, order.client_order_id, reason, details)


def unowned(position: Position) -> Incident:
    reason = f"{format_units(position.units)} units of {position.symbol} are open without an entry of this system"
    details = {"units": position.units, "average_price": position.average_price}
    return Incident(IncidentKind.UNOWNED_POSITION, position.symbol, str(position.opened_ms), reason, details)


def stuck(symbol: str, intent: Intent, why: str) -> Incident:
    request = intent.request
    reason = (
        f"the state of {describe_order(request)} ({request.client_order_id}) has been unknown for "
        f"{intent.claimed_ago_s / 60:.0f} minutes: {why}"
    )
    details = {"client_order_id": request.client_order_id, "state": intent.state.value}
    return Incident(IncidentKind.STUCK, symbol, request.client_order_id, reason, details)


def unprotected(position: Position) -> Incident:
    reason = (
        f"{format_units(position.units)} units of {position.symbol} are open without an order at the venue at "
        f"their stop {format_price(position.stop_loss)}"
    )
    details = {"strategy": position.strategy, "units": position.units, "stop_loss": position.stop_loss}
    return Incident(IncidentKind.UNPROTECTED, position.symbol, position.strategy, reason, details)


def quarantined(symbol: str, policy: PositionPolicy, cause: str, why: str) -> Incident:
    """Describe the quarantine of a symbol.

    Raises:
        Rejected: The policy is unknown.
    """
    allowed = get_args(PositionPolicy)
    if policy not in allowed:
        raise Rejected("policy", f"found policy {policy!r}; expected one of {', '.join(allowed)}")
    reason = f"{symbol} was quarantined: {why}; policy for its position: {policy}"
    return Incident(IncidentKind.QUARANTINED, symbol, "symbol", reason, {"policy": policy, "cause": cause})


def close_refused(symbol: str, position: Position, signal: Signal) -> Incident:
    reason = (
        f"{signal.strategy} requested an exit of {format_units(position.units)} units of {symbol} at "
        f"{format_price(signal.price)} (candle of {format_time(signal.open_ms)}: {signal.reason}) while the symbol was "
        f"halted; unless closed since, they are still open. To close them: celery -A tasks trading flatten {symbol}"
    )
    details = {"strategy": signal.strategy, "units": position.units, "price": signal.price, "open_ms": signal.open_ms}
    return Incident(IncidentKind.CLOSE_REFUSED, symbol, signal.strategy, reason, details)


def exit_failed(position: Position, identity: str, state: OrderState, note: str | None) -> Incident:
    """Describe an exit that ended while its position stays open.

    Args:
        identity: The `client_order_id` of the exit.
        note: Why it ended; None where the venue gave no reason.
    """
    symbol = position.symbol
    reason = (
        f"the exit {identity} of {position.strategy} is {state.value} ({note or 'the venue gave no reason'}); "
        f"{format_units(position.units)} units of {symbol} are still open, and each candle sends another exit"
    )
    details = {
        "strategy": position.strategy,
        "units": position.units,
        "client_order_id": identity,
        "state": state.value,
    }
    return Incident(IncidentKind.EXIT_FAILED, symbol, position.strategy, reason, details)


def max_drawdown(
    symbol: str, high: HighWaterMark, balance: float, limit: float, *, decimals: int = MONEY_DECIMALS
) -> Incident:
    """Describe a drawdown of the account beyond its limit; `symbol` is the symbol whose entry detected it."""
    reason = (
        f"the account fell {high.drawdown:.2%} below its peak of {high.peak:.{decimals}f}, the limit is {limit:.2%}, "
        f"the balance now {balance:.{decimals}f}: no symbol enters until this incident is resolved; exits continue"
    )
    details = {"peak": high.peak, "balance": balance, "drawdown": high.drawdown, "limit": limit}
    return Incident(IncidentKind.MAX_DRAWDOWN, symbol, "account", reason, details)


def describe_order(request: OrderRequest) -> str:
    return f"the {request.leg.value} {request.side.value} {format_units(request.units)}"


def describe_stop_move(move: StopMove) -> str:
    return f"the stop of {move.strategy} from {format_price(move.before)} to {format_price(move.after)}"


def foreign_fill(fill: Fill) -> Incident:
    reason = (
        f"the venue filled {fill.side.value} {format_units(fill.units)} at {format_price(fill.price)} "
        f"({fill.client_order_id}); this system sent no such order, so the fill is not booked"
    )
    return Incident(IncidentKind.FOREIGN_FILL, fill.symbol, fill.fill_id, reason, _fill_details(fill))


def late_fill(fill: Fill, state: OrderState) -> Incident:
    reason = (
        f"{fill.leg.value} {fill.side.value} {format_units(fill.units)} at {format_price(fill.price)} "
        f"({fill.client_order_id}) was filled after the order had ended as {state.value}; the fill is booked"
    )
    return Incident(IncidentKind.LATE_FILL, fill.symbol, fill.fill_id, reason, _fill_details(fill))


def overfilled(symbol: str, identity: str, ordered: float, filled: float) -> Incident:
    reason = (
        f"{format_units(ordered)} units were ordered ({identity}) and {format_units(filled)} were filled: "
        "a second order has the same id"
    )
    return Incident(
        IncidentKind.OVERFILLED,
        symbol,
        identity,
        reason,
        {"client_order_id": identity, "ordered": ordered, "filled": filled},
    )


def _fill_details(fill: Fill) -> dict[str, object]:
    return {
        "fill_id": fill.fill_id,
        "client_order_id": fill.client_order_id,
        "side": fill.side.value,
        "units": fill.units,
        "price": fill.price,
        "fee": fill.fee,
        "market_ms": fill.market_ms,
    }


def message_rejected(symbol: str, task: str, task_id: str, rejected: Rejected) -> Incident:
    """Describe a message that contradicts store, ledger or configuration; one incident for each task and rule."""
    reason = (
        f"a message of {task} was rejected ({rejected}); nothing of it was executed. Another client writes to the "
        "queues in Redis, or two versions of the program run: check who has access"
    )
    details = {"task": task, "task_id": task_id, "rule": rejected.rule}
    return Incident(IncidentKind.MESSAGE_REJECTED, symbol, f"{task}:{rejected.rule}", reason, details)
