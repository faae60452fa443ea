"""Celery worker signal handlers: node name, control queue, log format, start-up checks, first reconciliation."""

import logging
from collections.abc import Mapping
from typing import Any

from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    celeryd_after_setup,
    celeryd_init,
    worker_process_init,
    worker_ready,
    worker_shutdown,
)
from celery.utils.nodenames import nodesplit
from kombu.exceptions import OperationalError

from adapters.database import checkpoint
from configs.loading import load_system
from configs.settings import load_settings
from tasks import app
from tasks.engine.celery_patches import apply_patches
from tasks.engine.routing import CONTROL_QUEUE
from tasks.engine.stages import RECONCILE, RECONCILE_LIFE_S
from trading.errors import Transient
from worker import remote_control
from worker.heartbeat import Heartbeat
from worker.log_format import format_as_set
from worker.startup_checks import RedisFitness, check_before_start
from worker.watchdog.feeder import WatchdogStep, close_pipe_in_pool_process

__all__ = ["remote_control"]  # the import registers its commands

logger = logging.getLogger(__name__)

apply_patches()
after_setup_logger.connect(format_as_set)
after_setup_task_logger.connect(format_as_set)
logging.getLogger("alembic").setLevel(logging.WARNING)  # each check of the schema would log two lines
app.steps["consumer"].add(RedisFitness)
app.steps["worker"].update({WatchdogStep, Heartbeat})
worker_process_init.connect(close_pipe_in_pool_process)


@celeryd_init.connect
def name_by_queues(instance: Any, options: Mapping[str, Any] | None = None, **_: Any) -> None:
    """Name a worker after its queues, because two plain workers on one host would share a name."""
    given = (options or {}).get("queues") or ()
    queues = given.split(",") if isinstance(given, str) else list(given)
    name, host = nodesplit(instance.hostname)
    if queues and name == "celery":
        instance.hostname = f"{'-'.join(queues)}@{host}"


@celeryd_after_setup.connect
def listen_to_control(instance: Any, **_: Any) -> None:
    """Add the control queue to every worker, so that control works with any one worker."""
    instance.app.amqp.queues.select_add(CONTROL_QUEUE)


@celeryd_after_setup.connect
def check_fitness(instance: Any, **_: Any) -> None:
    """Stop a worker whose orders would not be safe; logging is set up by now, and nothing is forked yet."""
    check_before_start(instance.app.amqp.queues.consume_from)


@celeryd_after_setup.connect
def forget_celery_tasks(instance: Any, **_: Any) -> None:
    """Remove the tasks that Celery brings along: `celery.starmap` and its like run any task of this worker directly.

    Whoever sends one would bypass queue, limits and checks of that task. A worker rejects a task that it does not know.
    """
    for name in [name for name in instance.app.tasks if name.startswith("celery.")]:
        del instance.app.tasks[name]


@worker_shutdown.connect
def checkpoint_databases(**_: Any) -> None:
    """Leave complete database files, without a wait: the pool's processes end without closing theirs."""
    settings = load_settings()
    for url in (settings.ledger_url, settings.paper_url):
        try:
            checkpoint(url.get_secret_value(), is_last=False)
        except Transient as error:
            logger.warning("checkpoint_failed reason=%s", error)


@worker_ready.connect
def reconcile_own_symbols(sender: Any, **_: Any) -> None:
    """Compare the symbols of this worker with their venue: the last worker may have died during a send."""
    queues = sender.app.amqp.queues.consume_from
    for symbol in load_system(load_settings().config_dir).symbols:
        if symbol not in queues:
            continue
        try:
            kwargs = {"symbol": symbol, "reason": "worker start"}
            sender.app.send_task(RECONCILE, kwargs=kwargs, expires=RECONCILE_LIFE_S, retry=False)
        except OperationalError as error:  # Redis is unavailable again; beat sends the next one
            logger.warning("reconcile_unsent symbol=%s reason=%s", symbol, error)
