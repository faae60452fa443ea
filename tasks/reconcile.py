"""Comparing ledger and venue: from beat, when a worker starts, and when a person asks.

`celery call tasks.reconcile --args='["XAUUSD"]'`

It runs on the symbol's own queue, between two chains. It is acknowledged before it runs: one whose worker dies is lost,
and the next one, sent when the worker starts again, does its work.
"""

from typing import Any

from tasks import app
from tasks.flow import RECONCILE
from tasks.runtime import Runtime, runtime
from tasks.stage import pipeline_of
from trading.errors import Transient
from trading.events import Event, EventType
from trading.reconciliation import Leave, Tell, told

Answer = dict[str, Any]


@app.task(name=RECONCILE, ignore_result=False, acks_late=False)
def reconcile(symbol: str, reason: str = "asked for") -> Answer:
    """Settle a symbol's orders that are not settled, and compare its ledger and venue."""
    here = runtime()
    pipeline = pipeline_of(here, here.known(symbol))
    if not pipeline.execute.is_enabled:
        return {"symbol": symbol, "reason": reason, "outcome": "disabled", "actions": []}
    try:
        actions = pipeline.reconcile()
    except Transient as trouble:
        return {"symbol": symbol, "reason": reason, "outcome": f"no answer: {trouble}", "actions": []}
    finally:
        here.report(pipeline)
    is_open = any(isinstance(action, Leave | Tell) for action in actions)
    outcome = "not settled" if is_open else "agreed"
    return {"symbol": symbol, "reason": reason, "outcome": outcome, "actions": [told(action) for action in actions]}


@app.task(name="tasks.resolve_incident", ignore_result=False, acks_late=False)
def resolve_incident(identity: int, reason: str = "asked for") -> Answer | None:
    """Close an incident, so that its symbol may send orders again; None when no open one has this number."""
    here = runtime()
    row = here.stores.ledger.resolve_incident(identity, reason)
    if row is not None:
        _tell_resolved(here, row, reason)
    return row


def _tell_resolved(here: Runtime, row: Answer, reason: str) -> None:
    details = {"id": row["id"], "kind": row["kind"], "key": row["key"]}
    here.bus.publish([Event(type=EventType.INCIDENT_RESOLVED, symbol=row["symbol"], reason=reason, details=details)])
