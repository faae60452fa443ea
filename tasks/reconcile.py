"""Reconciliation of ledger and venue, flattening, and the resolution of incidents.

`celery call tasks.reconcile --args='["XAUUSD"]'`

Beat, a starting worker and an operator request a reconciliation. It runs on the symbol's own queue, between two chains.
One whose process dies is not repeated: the next one does its work. A redelivered one compares once more.
"""

from typing import Any

from celery import Task

from adapters.wiring import adoption
from tasks import app
from tasks.engine.delivery_checks import check_queue
from tasks.engine.redelivery import ANSWERING, CONTROLLING
from tasks.engine.stages import FLATTEN, RECONCILE, RESOLVE, step_options
from tasks.engine.step_wrappers import pipeline_of
from tasks.engine.worker_context import Runtime, runtime
from tasks.orchestrators.factory import symbol_orchestrator_of
from trading.errors import Rejected, Transient
from trading.events.event import Event, EventType
from trading.execution.adoption import AdoptionRequest
from trading.execution.reconciliation import RaiseIncident, WaitForVenue, describe
from trading.incidents.incident import Incident, IncidentKind
from trading.services.pipeline import SymbolPipeline

Answer = dict[str, Any]


@app.task(**step_options(RECONCILE), **ANSWERING)
def reconcile(symbol: str, reason: str = "requested by operator") -> Answer:
    """Settle a symbol's unsettled orders, and compare its ledger with its venue."""
    here = runtime()
    pipeline = _own_pipeline(here, reconcile, symbol)
    if not pipeline.execute.is_enabled:
        return {"symbol": symbol, "reason": reason, "outcome": "disabled", "actions": []}
    try:
        actions = pipeline.reconcile()
    except Transient as error:
        return {"symbol": symbol, "reason": reason, "outcome": f"no answer: {error}", "actions": []}
    finally:
        here.report(pipeline)
    new = {action.incident.key for action in actions if isinstance(action, RaiseIncident)}
    halting = [one for one in here.stores.ledger.incidents_of(symbol) if one.kind.halts and one.key not in new]
    found = [describe(action) for action in [*actions, *map(RaiseIncident, halting)]]
    is_open = halting or any(isinstance(action, WaitForVenue | RaiseIncident) for action in actions)
    return {"symbol": symbol, "reason": reason, "outcome": "not settled" if is_open else "agreed", "actions": found}


@app.task(name=FLATTEN, **CONTROLLING)
def flatten(symbol: str, reason: str = "requested by operator", pause: bool = False) -> Answer:
    """Close a symbol's positions without a signal. Its next signal may open one again, unless the symbol is paused.

    Args:
        pause: Pause the symbol first, so that nothing is opened again; a stopped one is paused too.
    """
    here = runtime()
    pipeline = _own_pipeline(here, flatten, symbol)
    if pause:
        symbol_orchestrator_of(here, app, symbol).pause(f"flatten: {reason}")
    try:
        answer = pipeline.flatten(reason)
    finally:
        here.report(pipeline)
    desired = here.stores.ledger.desired(symbol)
    return {"symbol": symbol, "reason": reason, "desired": desired.value, **answer.as_dict()}


@app.task(name=RESOLVE, throws=(Rejected,), **ANSWERING)
def resolve_incident(
    identity: int,
    reason: str = "requested by operator",
    symbol: str | None = None,
    adopt: bool = False,
    strategy: str | None = None,
    price: float | None = None,
    by: str = "somebody",
) -> Answer | None:
    """Resolve an incident, so that its symbol may send orders again; None when no open incident has this number.

    Given its symbol, the task runs on the symbol's own queue and may query the venue: it looks up a lost order once
    more, and with `adopt` the ledger adopts the venue's position.

    Args:
        strategy: Strategy that gets an adopted position; needed if the symbol has several.
        price: Price at which an adoption is booked; None for the venue's average price.
        by: Name of the operator.
    """
    here = runtime()
    incident = here.stores.ledger.incident(identity)
    if incident is None:
        return None
    if symbol not in (None, incident.symbol) or (adopt and symbol is None):
        needed = f"incident {identity} is of {incident.symbol}: send symbol={incident.symbol}"
        raise Rejected("symbol", f"{needed}, so that it runs on the queue on which nothing else queries the venue")
    if adopt:
        return _adopt(here, identity, incident.symbol, AdoptionRequest(reason, by, strategy, price))
    if symbol is not None and incident.kind is IncidentKind.ORDER_LOST:
        return _resolve_lost_order(here, identity, incident, reason)
    return _resolve(here, identity, reason)


def _own_pipeline(here: Runtime, task: Task, symbol: str) -> SymbolPipeline:
    """Return the services of a symbol, for a task that came through the symbol's own queue."""
    known = here.known(symbol)
    check_queue(task, known)
    return pipeline_of(here, known)


def _resolve(here: Runtime, identity: int, reason: str, *, is_lost: bool = True) -> Answer | None:
    row = here.stores.ledger.resolve_incident(identity, reason, is_lost=is_lost)
    if row is not None:
        _publish_resolved(here, row, reason)
    return row


def _adopt(here: Runtime, identity: int, symbol: str, request: AdoptionRequest) -> Answer | None:
    pipeline = _own_pipeline(here, resolve_incident, symbol)
    configured = list(here.system.symbols[symbol].books)
    try:
        done = adoption.adopt(identity, here.stores.ledger, pipeline, request, configured=configured)
    finally:
        here.report(pipeline)
    if done is None:
        return None
    booked, rows = done
    steps = [str(step) for step in booked.adjustments]
    details = {"strategy": booked.strategy, "adopted": steps, "incident": identity}
    here.bus.publish([Event(type=EventType.POSITION_MODIFIED, symbol=symbol, reason=request.words, details=details)])
    for row in rows:
        _publish_resolved(here, row, request.words)
    [requested] = [row for row in rows if row["id"] == identity]
    return {**requested, "adopted": steps, "strategy": booked.strategy, "closed": [row["id"] for row in rows]}


def _resolve_lost_order(here: Runtime, identity: int, lost: Incident, reason: str) -> Answer | None:
    """Look up a lost order at the venue once more; an order that is found is managed again."""
    pipeline = _own_pipeline(here, resolve_incident, lost.symbol)
    order = pipeline.execute.find(lost.key)
    row = _resolve(here, identity, reason, is_lost=order is None)
    if row is None or order is None:
        return row
    return {
        **row,
        "found": f"the venue has the order: {order.state.value}, {order.filled_units:g} filled; it is managed again",
    }


def _publish_resolved(here: Runtime, row: Answer, reason: str) -> None:
    details = {"id": row["id"], "kind": row["kind"], "key": row["key"]}
    here.bus.publish([Event(type=EventType.INCIDENT_RESOLVED, symbol=row["symbol"], reason=reason, details=details)])
