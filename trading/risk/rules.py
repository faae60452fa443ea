"""Risk rules: what a signal may do to the account. docs/reference/risk.md lists them in their order."""

from collections.abc import Mapping, Sequence

from trading.formatting import format_price, format_units
from trading.incidents import descriptions
from trading.incidents.incident import Incident
from trading.market.candles import timeframe_ms
from trading.orders.orders import Leg, OrderRequest, Side, client_order_id
from trading.risk.entry_rules import Case, Entry, entry_of
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.protections import Protection
from trading.risk.sizing import Levels, round_down
from trading.risk.verdict import OK, LedgerView, Planned, Verdict
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace
from trading.trading_state import Cause, describe

__all__ = ["AccountLimits", "RiskLimits", "judge", "round_down"]


def judge(
    view: LedgerView,
    signal: Signal,
    *,
    symbol: str,
    timeframe: str,
    account: AccountLimits,
    limits: RiskLimits,
    protections: Sequence[Protection] = (),
    lengths_ms: Mapping[str, int] | None = None,
) -> Verdict:
    """Decide what a signal may do to the account.

    Nothing is opened while an order of the symbol is unsettled, and nothing is closed while an exit is. An entry needs
    a running symbol; an exit ends the whole position, and goes out while the symbol is paused or quarantined too. Where
    a reversal may not enter, it still exits: the verdict names the rule that refused the entry, and plans the exit. A
    symbol with an incident that halts it sends nothing.

    Args:
        view: The account as it is now, read under its lock.
        protections: Of the symbol; those of the account are asked too.
        lengths_ms: Of the candles of all symbols; None where none are longer than this one's.
    """
    case = Case(view, signal, symbol, timeframe, account, limits, protections, lengths_ms or {})
    said = _judged(case)
    return replace(said, checks=tuple(case.checks))


def _judged(case: Case) -> Verdict:
    why, symbol = case.view.permissions.why_no_exits, case.symbol
    is_stopped = why is not None and why.cause is Cause.STOPPED
    if refused := case.ask("stopped", f"{symbol} is {case.view.desired}", is_met=not is_stopped):
        return refused
    if why is not None:
        reason = describe(why, symbol)
        case.ask(why.rule, reason, is_met=False)
        return Verdict(why.rule, reason, incident=_close_refused(case))
    if case.signal.side is SignalSide.CLOSE:
        return _judge_close(case)
    return _judge_entry(case)


def _close_refused(case: Case) -> Incident | None:
    """Return what a person must hear of where a halted symbol would have been closed; an exit on its way still goes."""
    signal, position = case.signal, case.position
    if not position.is_open or case.view.has_unsettled_exit:
        return None
    is_close = signal.side is SignalSide.CLOSE
    is_opposite = not is_close and position.units * case.side.sign < 0 and case.limits.on_opposite_signal != "ignore"
    return descriptions.close_refused(case.symbol, position, signal) if is_close or is_opposite else None


def _judge_close(case: Case) -> Verdict:
    held = case.position.units
    if case.view.has_unsettled_exit or (case.view.has_unsettled and not held):
        return _unsettled(case)
    found = f"{format_units(held)} units of {case.symbol} are open" if held else f"{case.symbol} has no open position"
    return case.ask("nothing_to_close", found, is_met=held != 0) or _exit(case)


def _judge_entry(case: Case) -> Verdict:
    held = case.position.units
    is_opposite = held * case.side.sign < 0
    if case.view.has_unsettled_exit or (case.view.has_unsettled and not is_opposite):
        return _entry_refused(case) or _unsettled(case)
    if not held:
        return _entry(case)
    if not is_opposite:
        reason = f"{format_units(held)} units of {case.symbol} are open in the same direction"
        return _refused(case, "position_open", reason)
    match case.limits.on_opposite_signal:
        case "ignore":
            reason = f"{format_units(held)} units of {case.symbol} are open the other way; on_opposite_signal is ignore"
            return _refused(case, "ignored", reason)
        case "close":
            return _exit(case)
        case "reverse":
            return _reversal(_exit(case), _unsettled(case) if case.view.has_unsettled else _entry(case))


def _reversal(leaving: Verdict, entering: Verdict) -> Verdict:
    planned = leaving.planned + entering.planned
    return replace(entering, reason=f"{leaving.reason}; then {entering.reason}", planned=planned)


def _refused(case: Case, rule: str, reason: str) -> Verdict:
    return case.ask(rule, reason, is_met=False) or Verdict(rule, reason)


def _unsettled(case: Case) -> Verdict:
    return _refused(case, "unsettled", f"an order of {case.symbol} is on its way or its outcome is not known")


def _exit(case: Case) -> Verdict:
    held = case.position.units
    side = Side.SELL if held > 0 else Side.BUY
    profit = case.position.unrealised(case.signal.price)
    reason = (
        f"close {format_units(held)} units at {format_price(case.signal.price)}, {profit:+.2f} before "
        f"fees: {case.signal.reason}"
    )
    return Verdict(OK, reason, (Planned(_request(case, Leg.EXIT, side, abs(held))),))


def _entry_refused(case: Case) -> Verdict | None:
    why, refused = case.view.permissions.why_no_entries, case.signal.entry_refused
    if why is not None and why.cause is not Cause.DRAWDOWN:  # that one is asked with the limits of the account
        return _refused(case, why.rule, describe(why, case.symbol))
    if refused is not None:
        return _refused(case, refused.rule, refused.reason)
    return case.ask("entry_rules", "age, prices, hours and regime of the signal let it enter", is_met=True)


def _entry(case: Case) -> Verdict:
    refused = _entry_refused(case)
    if refused is not None:
        return refused
    entry = entry_of(case)
    return entry if isinstance(entry, Verdict) else _accepted(case, entry)


def _accepted(case: Case, entry: Entry) -> Verdict:
    signal = case.signal
    request = _request(case, Leg.ENTRY, case.side, entry.units, entry.levels)
    reason = (
        f"{case.side} {format_units(entry.units)} units at {format_price(signal.price)}, risk "
        f"{entry.risk:.2f}: {signal.reason}"
    )
    return Verdict(OK, reason, (Planned(request, entry.risk),))


def _request(case: Case, leg: Leg, side: Side, units: float, levels: Levels | None = None) -> OrderRequest:
    signal = case.signal
    return OrderRequest(
        client_order_id=client_order_id(case.account.name, case.symbol, signal.strategy, signal.open_ms, leg),
        symbol=case.symbol,
        strategy=signal.strategy,
        leg=leg,
        side=side,
        units=units,
        reference_price=signal.price,
        decided_ms=signal.open_ms + timeframe_ms(case.timeframe),
        stop_loss=None if levels is None else levels.stop_loss,
        take_profit=None if levels is None else levels.take_profit,
    )
