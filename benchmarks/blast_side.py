"""Make one symbol's worker misbehave: imported into it with `-I`, controlled through Redis."""

import ctypes
import logging
import signal
from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.redis.client import connect
from benchmarks.names import HARM, HARM_COUNT, HELD_BYTES
from configs.settings import load_settings, resolve_redis_url
from trading.services.base import Service

logger = logging.getLogger(__name__)

_client = connect(resolve_redis_url(load_settings()))
_handle = Service.handle
_held: list[Any] = []
_LINES_AT_ONCE = 500


def ordered_fault() -> bytes:
    """Return the present fault, as `WHAT:SERVICE`; empty for none."""
    found: Any = _client.get(HARM)
    return found or b""


def _hang(is_on: Callable[[], bool]) -> None:
    """Sleep in C without reacting to signals, like code that waits for a lock or an answer forever."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    libc = ctypes.CDLL(None)
    while is_on():
        libc.usleep(250_000)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(signal.Signals))


def _spin(is_on: Callable[[], bool]) -> None:
    """Calculate without end and without reacting to signals."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    while is_on():
        sum(range(5_000_000))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(signal.Signals))


def _log(is_on: Callable[[], bool]) -> None:
    """Write log lines without end."""
    while is_on():
        for at in range(_LINES_AT_ONCE):
            logger.warning("line %s of an endless log: %s", at, "x" * 200)


def _hold(_: Callable[[], bool]) -> None:
    """Allocate memory, once in each process, and never free it."""
    if not _held:
        _held.append(np.ones(HELD_BYTES // 8))


_FAULTS = {b"hang": _hang, b"spin": _spin, b"log": _log, b"hold": _hold}


def _handle_with_fault(self: Service[Any, Any], message: Any) -> Any:
    order = ordered_fault()
    what, _, where = order.partition(b":")
    if where.decode() == self.name:
        _client.incr(HARM_COUNT)
        _FAULTS[what](lambda: ordered_fault() == order)
    return _handle(self, message)


Service.handle = _handle_with_fault  # type: ignore[method-assign]  # what each step calls
