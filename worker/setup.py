"""What a plain `celery -A tasks worker -Q XAUUSD` needs of us: a name of its own, an ear for control, its logs."""

from collections.abc import Mapping
from typing import Any

import billiard.pool
from celery.signals import after_setup_logger, after_setup_task_logger, celeryd_after_setup, celeryd_init
from celery.utils.nodenames import nodesplit

from tasks.routing import CONTROL_QUEUE
from worker.logs import format_as_set

# When it ends, a pool process waits for its last result to be counted, and may do so in vain: 1 s of it is enough.
billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10

after_setup_logger.connect(format_as_set)
after_setup_task_logger.connect(format_as_set)


@celeryd_init.connect
def name_by_queues(instance: Any, options: Mapping[str, Any] | None = None, **_: Any) -> None:
    """Name a worker after its queues: two plain workers on one host would otherwise share one name."""
    given = (options or {}).get("queues") or ()
    queues = given.split(",") if isinstance(given, str) else list(given)
    name, host = nodesplit(instance.hostname)
    if queues and name == "celery":
        instance.hostname = f"{'-'.join(queues)}@{host}"


@celeryd_after_setup.connect
def listen_to_control(instance: Any, **_: Any) -> None:
    """Have every worker consume the control queue too, so that control works with any one worker."""
    instance.app.amqp.queues.select_add(CONTROL_QUEUE)
