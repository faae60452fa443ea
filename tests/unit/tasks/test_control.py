"""Control tasks: what Celery must do with them."""

import pytest
from celery import Task

from tasks import app, control, health, reconcile
from trading.errors import Rejected

CONTROL_TASKS = [
    getattr(control, name)
    for name in ("pause_symbol", "resume_symbol", "start_symbol", "stop_symbol", "restart_symbol")
] + [control.clear_quarantine, control.pause_all, control.resume_all, control.status]
BESIDE_THE_CHAIN = [
    *CONTROL_TASKS,
    health.heal,
    health.check_health,
    reconcile.reconcile,
    reconcile.resolve_incident,
]
WISHES = [task for task in CONTROL_TASKS if task is not control.status]


def test_control_tasks_are_all_that_the_module_registers() -> None:
    named = {task.name for task in app.tasks.values() if task.__module__ == control.__name__}

    assert {task.name for task in CONTROL_TASKS} == named


def test_tasks_beside_the_chain_are_acknowledged_at_their_end_and_not_repeated_when_their_process_dies() -> None:
    assert [task.name for task in BESIDE_THE_CHAIN if not task.acks_late or task.reject_on_worker_lost] == []


@pytest.mark.parametrize("task", WISHES, ids=lambda task: task.name)
def test_redelivered_command_is_rejected(task: Task) -> None:
    task.push_request(id="a", delivery_info={"redelivered": True})
    try:
        with pytest.raises(Rejected, match=rf"delivered_again: {task.name} was redelivered"):
            task()
    finally:
        task.pop_request()


def test_control_task_keeps_its_answer_for_who_requested_it() -> None:
    assert [task.name for task in CONTROL_TASKS if task.ignore_result] == []
