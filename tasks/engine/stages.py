"""The flow as one table: the four stages in order, as Celery runs them, and the comparison with the venue beside them.

| task             | takes                | gives                   | queue      | soft / hard limit |
|------------------|----------------------|-------------------------|------------|-------------------|
| tasks.fetch      | a tick               | NEW_CANDLE              | the symbol | 12 s / 15 s       |
| tasks.indicators | NEW_CANDLE           | INDICATORS_UPDATED      | the symbol | 8 s / 10 s        |
| tasks.strategy   | INDICATORS_UPDATED   | SIGNAL_GENERATED        | the symbol | 8 s / 10 s        |
| tasks.execute    | SIGNAL_GENERATED     | orders, fills, the end  | the symbol | 12 s / 15 s       |
| tasks.reconcile  | a symbol             | what ledger and venue lack | the symbol | 12 s / 15 s    |

At the soft limit the step gets an exception, and its service goes into ERROR. A step that does not react is killed
with its process at the hard limit; `tasks.engine.task_failures` records that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STAGES = ("tasks.fetch", "tasks.indicators", "tasks.strategy", "tasks.execute")
FIRST_STAGE = STAGES[0]

RECONCILE = "tasks.reconcile"
"""Runs between chains on the symbol's own queue, so that nothing else talks to the venue meanwhile."""

RECONCILE_LIFE_S = 60
"""A request to reconcile that no worker took for as long expires: beat sends the next one."""

FLATTEN = "tasks.flatten"
"""Closes all that is open of a symbol; on its own queue, as RECONCILE."""

RESOLVE = "tasks.resolve_incident"
"""Closes an incident. With its symbol it runs on the symbol's own queue, where it may ask the venue."""

HEALTH = "tasks.run_health_check"
"""Checks every symbol and takes the recovery steps that are due; on the control queue."""

LOG_STATUS = "tasks.log_status"
"""Logs the status of the symbols; on the control queue."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step: the service it runs, and its time limits in seconds."""

    service: str
    soft_s: int
    hard_s: int


STEPS: Mapping[str, Step] = {
    "tasks.fetch": Step("DataFetchingService", 12, 15),
    "tasks.indicators": Step("IndicatorCalculationService", 8, 10),
    "tasks.strategy": Step("StrategyEvaluationService", 8, 10),
    "tasks.execute": Step("TradeExecutionService", 12, 15),
    RECONCILE: Step("TradeExecutionService", 12, 15),
}

SOFT_LIMIT_S = max(step.soft_s for step in STEPS.values())
HARD_LIMIT_S = max(step.hard_s for step in STEPS.values())
"""The longest limits: those of every other task, and what the visibility timeout must exceed."""

DELIVERY_LIMIT = 3
"""Deliveries of a message that keeps killing its worker before it is dropped; the next tick recovers the symbol."""

TICK_LIFE_S = 20.0
"""Seconds after its tick within which a step may start; later a newer tick takes over."""


def step_options(name: str) -> dict[str, Any]:
    """Return the options of Celery's task decorator for a step."""
    step = STEPS[name]
    return {
        "name": name,
        "soft_time_limit": step.soft_s,
        "time_limit": step.hard_s,
        "Request": "tasks.engine.task_failures:StepRequest",
    }
