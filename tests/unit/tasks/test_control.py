"""Control tasks: what Celery must do with them."""

from tasks import app, control

CONTROL_TASKS = [
    getattr(control, name)
    for name in ("pause_symbol", "resume_symbol", "start_symbol", "stop_symbol", "restart_symbol")
] + [control.pause_all, control.resume_all, control.status]


def test_control_tasks_are_all_that_the_module_registers() -> None:
    named = {task.name for task in app.tasks.values() if task.__module__ == control.__name__}

    assert {task.name for task in CONTROL_TASKS} == named


def test_control_task_cut_off_is_not_delivered_again_to_undo_what_was_said_since() -> None:
    assert [task.name for task in CONTROL_TASKS if task.acks_late] == []


def test_control_task_keeps_its_answer_for_who_asked() -> None:
    assert [task.name for task in CONTROL_TASKS if task.ignore_result] == []
