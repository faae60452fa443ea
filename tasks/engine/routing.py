"""Task routing: a pipeline step goes to its symbol's own queue, every other task to the control queue."""

from collections.abc import Mapping, Sequence
from typing import Any

from configs.names import CONTROL_NAME, symbol_fault
from tasks.engine.stages import FIRST_STAGE, FLATTEN, RECONCILE, RESOLVE, STAGES
from trading.errors import Broken

CONTROL_QUEUE = CONTROL_NAME
URGENT, PATIENT = 0, 9
PRIORITY_STEPS = (URGENT, PATIENT)
"""Lower is first on Redis. Each further step is one more list that a worker polls for each of its queues."""


_PATIENT = frozenset({FIRST_STAGE, RECONCILE, FLATTEN, RESOLVE})
_BY_SYMBOL = {*STAGES, RECONCILE, FLATTEN}


def route(
    name: str,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    task: Any = None,
    **_: Any,
) -> dict[str, Any] | None:
    """Route a task by its `symbol` argument.

    Raises:
        Broken: The symbol's name cannot be a queue, such as one of Celery's own keys.

    A new tick waits for the end of the chain before it: the later steps of a chain are urgent, the first is patient.
    """
    if name in _BY_SYMBOL or (name == RESOLVE and (kwargs or {}).get("symbol")):
        symbol = str((kwargs or {}).get("symbol") or (args[0] if args else ""))
        if fault := symbol_fault(symbol):
            raise Broken(f"{name} has no queue for the symbol {symbol[:40]!r}; allowed: {fault}")
        return {"queue": symbol, "priority": PATIENT if name in _PATIENT else URGENT}
    if name.startswith("tasks."):
        return {"queue": CONTROL_QUEUE, "priority": URGENT}
    return None
