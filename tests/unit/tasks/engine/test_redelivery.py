"""Arguments of tasks that people send: bounded, because they go to the ledger, the events and the log."""

import pytest
from celery import Task

from tasks import control, health, reconcile
from tasks.engine.redelivery import LONGEST_ARGUMENT
from trading.errors import Rejected

TASKS = [control.pause_symbol, control.pause_all, control.status, reconcile.reconcile, reconcile.flatten, health.heal]


@pytest.mark.parametrize("task", [*TASKS, reconcile.resolve_incident], ids=lambda task: task.name)
@pytest.mark.parametrize(
    "arguments",
    [{"reason": "x" * (LONGEST_ARGUMENT + 1)}, {"symbol": "x" * 10_000_000}, {"reason": ["x" * LONGEST_ARGUMENT]}],
    ids=["reason", "symbol", "list"],
)
def test_task_with_a_long_argument_is_rejected_by_its_length_alone(task: Task, arguments: dict[str, object]) -> None:
    task.push_request(id="a", delivery_info={})
    try:
        with pytest.raises(Rejected, match=r"argument of [0-9,]+ characters; allowed: at most 1,000") as caught:
            task(**arguments)
    finally:
        task.pop_request()

    assert len(str(caught.value)) < 200
