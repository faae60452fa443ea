"""The Celery app, the pipeline tasks and the control tasks.

`celery -A tasks ...` loads `app` from here.
"""

from celery import Celery

app = Celery("tasks", task_cls="tasks.engine.log_context:LoggedTask")
app.config_from_object("celeryconfig")
