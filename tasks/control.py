"""Control by an operator: each command is recorded in the ledger before it takes effect.

`celery call tasks.pause_symbol --args='["XAUUSD"]'`

A command whose process dies is not repeated, and its result reports that. A command that is redelivered, because its
whole worker died, is rejected: by then it could undo a newer one.
"""

from collections.abc import Callable
from typing import Any

from adapters.wiring.symbol_status import read_status
from tasks import app
from tasks.engine.redelivery import ANSWERING, CONTROLLING
from tasks.engine.worker_context import runtime
from tasks.orchestrators.factory import symbol_orchestrator_of
from trading.lifecycle import DesiredState
from trading.orchestration.symbol_orchestrator import SymbolOrchestrator
from trading.ports.ledger import Positions

Answer = dict[str, Any]
Command = Callable[[SymbolOrchestrator, str], None]


@app.task(name="tasks.pause_symbol", **CONTROLLING)
def pause_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Pause a symbol: it opens no position. Open positions stay protected, and exits continue."""
    return _command(symbol, reason, SymbolOrchestrator.pause)


@app.task(name="tasks.resume_symbol", **CONTROLLING)
def resume_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Resume a paused symbol: it may open positions again."""
    return _command(symbol, reason, SymbolOrchestrator.resume)


@app.task(name="tasks.start_symbol", **CONTROLLING)
def start_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Start a stopped symbol, from the candle after the last one that it decided on."""
    return _command(symbol, reason, SymbolOrchestrator.start)


@app.task(name="tasks.stop_symbol", **CONTROLLING)
def stop_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Stop all processing of a symbol: only the orders that rest at the venue still protect an open position.

    The answer lists what stays open, with its stop.
    """
    answer = _command(symbol, reason, SymbolOrchestrator.stop)
    return answer | {"positions": open_positions(runtime().stores.ledger, symbol)}


@app.task(name="tasks.restart_symbol", **CONTROLLING)
def restart_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Restart a symbol: empty its queue, end its running step, rebuild its services, reconcile its orders, then run."""
    return _command(symbol, reason, SymbolOrchestrator.restart)


@app.task(name="tasks.clear_quarantine", **CONTROLLING)
def clear_quarantine(symbol: str, reason: str = "requested by operator") -> Answer:
    """Release a symbol from quarantine after an operator has checked it; it catches up on the candles it missed."""
    one = _orchestrator(symbol)
    was_quarantined = one.clear_quarantine(reason)
    return {"symbol": symbol, "was_quarantined": was_quarantined, "state": one.state.value, "reason": reason}


@app.task(name="tasks.pause_all", **CONTROLLING)
def pause_all(reason: str = "requested by operator") -> list[Answer]:
    """Pause every running symbol."""
    return _command_all({DesiredState.RUNNING}, reason, SymbolOrchestrator.pause)


@app.task(name="tasks.resume_all", **CONTROLLING)
def resume_all(reason: str = "requested by operator") -> list[Answer]:
    """Resume every paused symbol; a stopped one stays stopped."""
    return _command_all({DesiredState.PAUSED}, reason, SymbolOrchestrator.resume)


@app.task(name="tasks.status", **ANSWERING)
def status(symbol: str | None = None) -> list[Answer]:
    """Return the status of one symbol, or of all."""
    here = runtime()
    names = None if symbol is None else [here.known(symbol)]
    rows = read_status(here.stores.redis, here.stores.ledger, here.system, here.settings.namespace, names=names)
    return [row.as_dict() for row in rows]


def open_positions(ledger: Positions, symbol: str) -> list[Answer]:
    """Return the open positions of a symbol: strategy, units, average price and stop in quote currency."""
    return [
        {
            "strategy": one.strategy,
            "units": one.units,
            "average_price": one.average_price,
            "stop_loss": one.stop_loss,
        }
        for one in ledger.positions()
        if one.symbol == symbol and one.is_open
    ]


def _orchestrator(symbol: str) -> SymbolOrchestrator:
    here = runtime()
    return symbol_orchestrator_of(here, app, here.known(symbol))


def _command(symbol: str, reason: str, command: Command) -> Answer:
    return _execute(_orchestrator(symbol), reason, command)


def _command_all(only: set[DesiredState], reason: str, command: Command) -> list[Answer]:
    here = runtime()
    every = (symbol_orchestrator_of(here, app, symbol) for symbol in here.system.symbols)
    return [_execute(one, reason, command) for one in every if one.desired in only]


def _execute(one: SymbolOrchestrator, reason: str, command: Command) -> Answer:
    before = one.desired
    command(one, reason)
    return {"symbol": one.symbol, "before": before.value, "now": one.desired.value, "reason": reason}
