"""Health checks and recovery, sent by beat; and the health of all symbols.

`celery call tasks.check_health`
"""

import logging
from typing import Any

from tasks import app
from tasks.engine.redelivery import ANSWERING
from tasks.engine.stages import HEALTH
from tasks.engine.worker_context import runtime
from tasks.orchestrators.factory import MultiSymbolTradingOrchestrator
from trading.orchestration.multi_symbol_orchestrator import SystemHealth

logger = logging.getLogger("trading.health")

Answer = dict[str, Any]


@app.task(name=HEALTH, **ANSWERING)
def run_health_check() -> list[Answer]:
    """Take the next recovery step of each symbol that is due one, and return the steps taken."""
    return [
        {
            "symbol": symbol,
            "rung": action.step.value,
            "attempt": action.attempt,
            "reason": action.reason,
            "cause": action.issue.kind.value if action.issue else "",
            "service": action.issue.service if action.issue else "",
        }
        for symbol, action in MultiSymbolTradingOrchestrator.of_cluster(runtime(), app).recover().items()
    ]


@app.task(name="tasks.heal", **ANSWERING)
def heal() -> list[Answer]:
    """Run the health check under the task's former name, which is removed in the next release."""
    logger.warning("task_renamed name=tasks.heal now=%s", HEALTH)
    answers: list[Answer] = run_health_check()
    return answers


@app.task(name="tasks.check_health", **ANSWERING)
def check_health() -> SystemHealth:
    """Return the health of all symbols, with the keys of `MultiSymbolTradingOrchestrator.check_health`."""
    return MultiSymbolTradingOrchestrator.of_cluster(runtime(), app).check_health()
