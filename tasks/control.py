"""Control by a person: what is wanted of a symbol, written into the ledger before anything else hears of it.

`celery call tasks.pause_symbol --args='["XAUUSD"]'`

One whose process dies is not repeated, and its result says so. One that is delivered again, because its whole worker
died, is refused: by then it could undo what a person has said since.
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

Answer = dict[str, Any]
Deed = Callable[[SymbolOrchestrator, str], None]


@app.task(name="tasks.pause_symbol", **CONTROLLING)
def pause_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Open nothing new on a symbol. What is open stays protected, and exits go on."""
    return _command(symbol, reason, SymbolOrchestrator.pause)


@app.task(name="tasks.resume_symbol", **CONTROLLING)
def resume_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Let a paused symbol open positions again."""
    return _command(symbol, reason, SymbolOrchestrator.resume)


@app.task(name="tasks.start_symbol", **CONTROLLING)
def start_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Let a stopped symbol go on from the candle after the last one that it decided on."""
    return _command(symbol, reason, SymbolOrchestrator.start)


@app.task(name="tasks.stop_symbol", **CONTROLLING)
def stop_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Do nothing more for a symbol: only the orders that rest at the venue still protect what is open."""
    return _command(symbol, reason, SymbolOrchestrator.stop)


@app.task(name="tasks.restart_symbol", **CONTROLLING)
def restart_symbol(symbol: str, reason: str = "requested by operator") -> Answer:
    """Begin anew: the queue emptied, a step under way ended, services built, orders compared; then run."""
    return _command(symbol, reason, SymbolOrchestrator.restart)


@app.task(name="tasks.clear_quarantine", **CONTROLLING)
def clear_quarantine(symbol: str, reason: str = "requested by operator") -> Answer:
    """Let a symbol work again that was quarantined, after a person has looked; what it missed is caught up."""
    one = _orchestrator(symbol)
    was_quarantined = one.clear_quarantine(reason)
    return {"symbol": symbol, "was_quarantined": was_quarantined, "state": one.state.value, "reason": reason}


@app.task(name="tasks.pause_all", **CONTROLLING)
def pause_all(reason: str = "requested by operator") -> list[Answer]:
    """Pause every symbol that runs."""
    return _command_all({DesiredState.RUNNING}, reason, SymbolOrchestrator.pause)


@app.task(name="tasks.resume_all", **CONTROLLING)
def resume_all(reason: str = "requested by operator") -> list[Answer]:
    """Resume every symbol that is paused; one that was stopped stays so."""
    return _command_all({DesiredState.PAUSED}, reason, SymbolOrchestrator.resume)


@app.task(name="tasks.status", **ANSWERING)
def status(symbol: str | None = None) -> list[Answer]:
    """Tell how the symbols stand, one or all of them."""
    here = runtime()
    names = None if symbol is None else [here.known(symbol)]
    rows = read_status(here.stores.redis, here.stores.ledger, here.system, here.settings.namespace, names=names)
    return [row.as_dict() for row in rows]


def _orchestrator(symbol: str) -> SymbolOrchestrator:
    here = runtime()
    return symbol_orchestrator_of(here, app, here.known(symbol))


def _command(symbol: str, reason: str, deed: Deed) -> Answer:
    return _carry_out(_orchestrator(symbol), reason, deed)


def _command_all(only: set[DesiredState], reason: str, deed: Deed) -> list[Answer]:
    here = runtime()
    every = (symbol_orchestrator_of(here, app, symbol) for symbol in here.system.symbols)
    return [_carry_out(one, reason, deed) for one in every if one.desired in only]


def _carry_out(one: SymbolOrchestrator, reason: str, deed: Deed) -> Answer:
    before = one.desired
    deed(one, reason)
    return {"symbol": one.symbol, "before": before.value, "now": one.desired.value, "reason": reason}
