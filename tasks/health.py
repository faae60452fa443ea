"""Finding what is sick and healing it, from beat; and telling how all of it is.

`celery call tasks.check_health`
"""

from typing import Any

from tasks import app
from tasks.engine.redelivery import ANSWERING
from tasks.engine.stages import HEALTH
from tasks.engine.worker_context import runtime
from tasks.orchestrators.factory import orchestrator_of
from trading.orchestration.multi_symbol_orchestrator import SystemHealth

Answer = dict[str, Any]


@app.task(name=HEALTH, **ANSWERING)
def heal() -> list[Answer]:
    """Take the next step of the ladder for each symbol that is due one, and return what was done."""
    return [
        {
            "symbol": symbol,
            "rung": action.rung.value,
            "attempt": action.attempt,
            "reason": action.reason,
            "cause": action.sickness.kind.value if action.sickness else "",
            "service": action.sickness.service if action.sickness else "",
        }
        for symbol, action in orchestrator_of(runtime(), app).heal().items()
    ]


@app.task(name="tasks.check_health", **ANSWERING)
def check_health() -> SystemHealth:
    """Tell how all symbols are, with the keys of `MultiSymbolTradingOrchestrator.check_health`."""
    return orchestrator_of(runtime(), app).check_health()
