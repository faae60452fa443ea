"""Remote-control commands of the project, run by a worker's main process."""

import logging
from typing import Any

from celery.platforms import EX_OK
from celery.worker import state as worker_state
from celery.worker.control import control_command, inspect_command

from configs.errors import ConfigError
from configs.loading import load_system
from configs.settings import load_settings
from configs.snapshot import content_of, fingerprint
from tasks.engine.revoke import END_SUPERVISED

logger = logging.getLogger(__name__)


@control_command(name=END_SUPERVISED)  # type: ignore[untyped-decorator]  # Celery ships no types
def end_supervised(_state: Any, **_: Any) -> dict[str, str]:
    """Shut this worker down warm if it is supervised, so that it restarts."""
    if not load_settings().supervised:
        return {"error": "not supervised: nothing would restart it"}
    logger.warning("worker_ends reason=restart requested")
    worker_state.should_stop = EX_OK
    return {"ok": "ends"}


@inspect_command()  # type: ignore[untyped-decorator]  # Celery ships no types
def config_seen(state: Any) -> dict[str, Any]:
    """Return the queues that this worker consumes, and the configuration of those symbols in its own files."""
    queues = sorted(state.app.amqp.queues.consume_from)
    try:
        folder = load_settings().config_dir
        content = content_of(load_system(folder), folder)
    except ConfigError as error:
        return {"queues": queues, "fingerprints": {}, "faults": list(error.faults)}
    own = [name for name in queues if name in content["symbols"]]
    return {"queues": queues, "fingerprints": {name: fingerprint(content, name) for name in own}, "faults": []}
