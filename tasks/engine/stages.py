"""The pipeline as one table: the four stages in order, and the reconciliation with the venue.

| task             | input                | output                  | queue      | soft / hard limit |
|------------------|----------------------|-------------------------|------------|-------------------|
| tasks.fetch      | a tick               | NEW_CANDLE              | the symbol | 12 s / 15 s       |
| tasks.indicators | NEW_CANDLE           | INDICATORS_UPDATED      | the symbol | 8 s / 10 s        |
| tasks.strategy   | INDICATORS_UPDATED   | SIGNAL_GENERATED        | the symbol | 8 s / 10 s        |
| tasks.execute    | SIGNAL_GENERATED     | orders, fills, the end  | the symbol | 12 s / 15 s       |
| tasks.reconcile  | a symbol             | differences, actions    | the symbol | 12 s / 15 s    |

At the soft limit the step gets an exception, and its service goes into ERROR. At the hard limit the process of
a step that did not react is killed; `tasks.engine.task_failures` records that.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from trading.errors import InvalidMessage

STAGES = ("tasks.fetch", "tasks.indicators", "tasks.strategy", "tasks.execute")
FIRST_STAGE = STAGES[0]

RECONCILE = "tasks.reconcile"
"""Runs between chains on the symbol's own queue, so that nothing else calls the venue meanwhile."""

RECONCILE_LIFE_S = 60
"""Seconds after which an unconsumed request to reconcile expires; beat sends the next one."""

FLATTEN = "tasks.flatten"
"""Closes a symbol's positions; on its own queue, as RECONCILE."""

RESOLVE = "tasks.resolve_incident"
"""Resolves an incident. Given its symbol, it runs on the symbol's own queue, where it may query the venue."""

HEALTH = "tasks.run_health_check"
"""Checks every symbol and takes the recovery steps that are due; on the control queue."""

LOG_STATUS = "tasks.log_status"
"""Logs the status of the symbols; on the control queue."""


class Step(Struct, frozen=True):
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
"""The longest limits: they hold for every other task, and the visibility timeout must exceed them."""

DELIVERY_LIMIT = 3
"""Deliveries after which a message that keeps killing its worker is dropped; the next tick recovers the symbol."""

TICK_LIFE_S = 20.0
"""Seconds after its tick within which a step may start; later a newer tick replaces it."""


def step_options(name: str) -> dict[str, Any]:
    """Return the options of Celery's task decorator for a step."""
    step = STEPS[name]
    return {
        "name": name,
        "soft_time_limit": step.soft_s,
        "time_limit": step.hard_s,
        "Request": "tasks.engine.task_failures:StepRequest",
        "throws": (InvalidMessage,),
    }
