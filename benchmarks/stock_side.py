"""Make a worker use kombu's own transport: importing this module removes ours."""

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Transport

from tasks import app

TRANSPORT_ALIASES["redis"] = f"{Transport.__module__}:{Transport.__qualname__}"
if (found := type(app.connection_for_write().transport)) is not Transport:
    raise RuntimeError(f"expected kombu's own transport, found {found}: import this module before any connection")
