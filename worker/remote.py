"""Remote-control commands of our own, answered by a worker's main process: `celery -A tasks inspect config_seen`."""

from typing import Any

from celery.worker.control import inspect_command

from configs.errors import ConfigError
from configs.loading import load_system
from configs.settings import load_settings
from configs.snapshot import content_of, fingerprint


@inspect_command()  # type: ignore[untyped-decorator]  # Celery ships no types
def config_seen(state: Any) -> dict[str, Any]:
    """Tell which queues this worker consumes, and what its own files say of those symbols."""
    queues = sorted(state.app.amqp.queues.consume_from)
    try:
        folder = load_settings().config_dir
        content = content_of(load_system(folder), folder)
    except ConfigError as error:
        return {"queues": queues, "fingerprints": {}, "faults": list(error.faults)}
    own = [name for name in queues if name in content["symbols"]]
    return {"queues": queues, "fingerprints": {name: fingerprint(content, name) for name in own}, "faults": []}
