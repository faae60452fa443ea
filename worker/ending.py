"""The remote-control command that ends a worker, so that its supervisor starts another one; see
`tasks.engine.revoke`."""

import logging
from typing import Any

from celery.platforms import EX_OK
from celery.worker import state as worker_state
from celery.worker.control import control_command

from configs.settings import load_settings
from tasks.engine.revoke import END_SUPERVISED

logger = logging.getLogger(__name__)


@control_command(name=END_SUPERVISED)  # type: ignore[untyped-decorator]  # Celery ships no types
def end_supervised(_state: Any, **_: Any) -> dict[str, str]:
    """End this worker, warm, where something starts it again."""
    if not load_settings().supervised:
        return {"error": "not supervised: nothing would start it again"}
    logger.warning("worker_ends reason=asked for, to be started again")
    worker_state.should_stop = EX_OK
    return {"ok": "ends"}
