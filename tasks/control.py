"""Control by a person: what is wanted of a symbol, written into the ledger before anything else hears of it.

`celery call tasks.pause_symbol --args='["XAUUSD"]'`

These tasks are acknowledged before they run: one whose worker dies is lost, and who asked is told nothing. Delivered
again later it could undo what a person has said since.
"""

from typing import Any

from adapters.status import read_status
from tasks import app
from tasks.runtime import Runtime, runtime
from trading.events import Event, EventType
from trading.lifecycle import DesiredState

_EVENTS = {
    DesiredState.RUNNING: EventType.ORCHESTRATOR_STARTED,
    DesiredState.PAUSED: EventType.ORCHESTRATOR_PAUSED,
    DesiredState.STOPPED: EventType.ORCHESTRATOR_STOPPED,
}
Answer = dict[str, Any]


@app.task(name="tasks.pause_symbol", ignore_result=False, acks_late=False)
def pause_symbol(symbol: str, reason: str = "asked for") -> Answer:
    """Open nothing new on a symbol. What is open stays protected, and exits go on."""
    return _want(runtime(), symbol, DesiredState.PAUSED, reason)


@app.task(name="tasks.resume_symbol", ignore_result=False, acks_late=False)
def resume_symbol(symbol: str, reason: str = "asked for") -> Answer:
    """Let a paused symbol open positions again."""
    return _want(runtime(), symbol, DesiredState.RUNNING, reason)


@app.task(name="tasks.start_symbol", ignore_result=False, acks_late=False)
def start_symbol(symbol: str, reason: str = "asked for") -> Answer:
    """Let a stopped symbol go on from the candle after the last one that it decided on."""
    return _want(runtime(), symbol, DesiredState.RUNNING, reason)


@app.task(name="tasks.stop_symbol", ignore_result=False, acks_late=False)
def stop_symbol(symbol: str, reason: str = "asked for") -> Answer:
    """Do nothing more for a symbol: only the orders that rest at the venue still protect what is open."""
    return _want(runtime(), symbol, DesiredState.STOPPED, reason)


@app.task(name="tasks.restart_symbol", ignore_result=False, acks_late=False)
def restart_symbol(symbol: str, reason: str = "asked for") -> Answer:
    """Build the symbol's services anew at its next tick, and let it run."""
    here = runtime()
    here.stores.store.renew(here.known(symbol))
    return _want(here, symbol, DesiredState.RUNNING, f"restart: {reason}")


@app.task(name="tasks.pause_all", ignore_result=False, acks_late=False)
def pause_all(reason: str = "asked for") -> list[Answer]:
    """Pause every symbol that runs."""
    return _want_all({DesiredState.RUNNING}, DesiredState.PAUSED, reason)


@app.task(name="tasks.resume_all", ignore_result=False, acks_late=False)
def resume_all(reason: str = "asked for") -> list[Answer]:
    """Resume every symbol that is paused; one that was stopped stays so."""
    return _want_all({DesiredState.PAUSED}, DesiredState.RUNNING, reason)


@app.task(name="tasks.status", ignore_result=False, acks_late=False)
def status(symbol: str | None = None) -> list[Answer]:
    """Tell how the symbols stand, one or all of them."""
    here = runtime()
    rows = read_status(here.stores.redis, here.stores.ledger, here.system, here.settings.namespace)
    return [row.as_dict() for row in rows if symbol is None or row.symbol == here.known(symbol)]


def _want(here: Runtime, symbol: str, state: DesiredState, reason: str) -> Answer:
    """Write into the ledger what is wanted: from its return on no decision against it can be written."""
    ledger = here.stores.ledger
    before = ledger.desired(here.known(symbol))
    ledger.set_desired(symbol, state, reason=reason)
    here.stores.store.set_desired(symbol, state)
    here.bus.publish([Event(type=_EVENTS[state], symbol=symbol, reason=reason, details={"before": before.value})])
    return {"symbol": symbol, "before": before.value, "now": state.value, "reason": reason}


def _want_all(only: set[DesiredState], state: DesiredState, reason: str) -> list[Answer]:
    here = runtime()
    ledger = here.stores.ledger
    return [_want(here, symbol, state, reason) for symbol in here.system.symbols if ledger.desired(symbol) in only]
