"""Check a strategy's exit hook on long and short positions, with and without a stop."""

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from trading.exits.exit_rules import HOOK, hook_row
from trading.indicators.rows import IndicatorRows
from trading.orders.orders import Side
from trading.strategies import ExitNow, MoveStop, PositionRule, PositionView, Strategy
from trading.strategies.errors import raised
from trading.strategy_checks.findings import CheckName, Report
from trading.strategy_checks.probe import shown
from trading.strategy_checks.synthetic_series import Series
from trading.structs import replace

_ROWS = 200
"""Number of newest rows of a series at which the hook is called."""
_HELD = 5
"""Rows before the checked one at which the position was opened."""
_STOP = 0.01
"""Distance of the stop, as a fraction of the entry price."""


class _HookCall(Struct, frozen=True):
    """One call of the hook; `fault` is the error it raised, `row` the row after the call."""

    answer: object
    fault: str
    row: Mapping[str, float]


def check_hook(make: Callable[[], Strategy], series: Series, rows: IndicatorRows, report: Report) -> None:
    """Call the hook at the newest rows; report invalid or unrepeatable answers and changes of the row."""
    strategy, anew = make(), make()
    if not (isinstance(strategy, PositionRule) and isinstance(anew, PositionRule)):
        return
    for at in range(max(0, len(rows) - _ROWS), len(rows)):
        row = _row(series, rows, at)
        for position in _positions(rows, at):
            call = _call(strategy, row, position)
            if _report(call, row, series, report):
                again = [_call(one, row, position) for one in (strategy, anew)]
                for other in again:
                    if _describe(other) != _describe(call):
                        _add(report, CheckName.REPEAT, series, row, _describe(call), _describe(other))


def _positions(rows: IndicatorRows, at: int) -> Iterator[PositionView]:
    opened = max(0, at - _HELD)
    entry_price = float(rows.values[opened, 0])
    for side in Side:
        held = PositionView(side, 1.0, entry_price, int(rows.open_ms[opened]))
        yield held
        yield replace(held, stop_loss=entry_price * (1 - side.sign * _STOP))


def _row(series: Series, rows: IndicatorRows, at: int) -> dict[str, float]:
    open_ms = int(rows.open_ms[at])
    place = int(series.candles.open_ms.searchsorted(open_ms))
    return hook_row(series.candles[place : place + 1], rows[at : at + 1])


def _call(strategy: PositionRule, row: Mapping[str, float], position: PositionView) -> _HookCall:
    given = dict(row)
    try:
        answer = strategy.manage_position(given, position)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # user code: any error is a finding
        fault = raised(strategy, HOOK, error, strategy.manage_position, row)
        return _HookCall(None, "; ".join([fault.fault, *fault.lines]), given)
    return _HookCall(answer, "", given)


def _report(call: _HookCall, row: Mapping[str, float], series: Series, report: Report) -> bool:
    """Report the faults of one call, and return whether its answer is valid."""
    if call.fault:
        _add(report, CheckName.ERROR, series, row, "an answer", call.fault)
        return False
    if call.row != row:
        _add(report, CheckName.MUTATION, series, row, "the row as it was", "another row")
    match call.answer:
        case None | ExitNow():
            return True
        case MoveStop(stop_loss=float() | int() as price) if not isinstance(price, bool):
            if not 0 < price < float("inf"):
                _add(report, CheckName.NAN, series, row, "a price above 0", f"{price}")
            return True
    _add(report, CheckName.ERROR, series, row, "ExitNow, MoveStop or None", repr(call.answer))
    return False


def _describe(call: _HookCall) -> str:
    match call.answer:
        case ExitNow(reason):
            return f"exit: {reason}"
        case MoveStop(stop_loss, reason):
            return f"stop {shown(float(stop_loss))}: {reason}"
    return call.fault or "nothing"


def _add(report: Report, check: CheckName, series: Series, row: Mapping[str, float], expected: str, found: str) -> None:
    report.add(check, series.name, int(row["open_ms"]), HOOK, expected, found)
