"""Every change to Celery, kombu and billiard, in one place.

Each patch names the library version that it was checked with; on another minor version it is skipped with a warning,
and the library keeps its own behaviour. `tests/unit/tasks/engine/test_celery_patches.py` fails for a patch that the
installed library no longer needs.
"""

import logging
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

import redis
from kombu.transport import redis as kombu_redis
from msgspec import Struct

logger = logging.getLogger(__name__)

_KOMBU_LOADS: Any = vars(kombu_redis)["loads"]

POOL_CHECK_S = 0.2
"""Seconds between two checks of the pool's processes."""

LAST_RESULT_TRIES = 10
"""Number of waits of 0.1 s, by an ending pool process, for its last result to be counted."""


class Patch(Struct, frozen=True):
    """Replacement of one attribute of a library.

    Attributes:
        library: Name of its distribution.
        checked: Minor version that the patch was checked with, such as `4.3`.
        path: Module, a colon, and the attribute in it, such as `billiard.pool:Pool.join`.
        value: Returns the new value, given the original.
        why: Behaviour of the library without the patch.
    """

    library: str
    checked: str
    path: str
    value: Callable[[Any], Any]
    why: str

    @property
    def fits(self) -> bool:
        """Whether the installed library has the minor version that the patch was checked with."""
        return version(self.library).startswith(f"{self.checked}.")

    def target(self) -> tuple[Any, str]:
        """Return the object that has the attribute, and the name of the attribute."""
        module, _, dotted = self.path.partition(":")
        *owners, name = dotted.split(".")
        found: Any = import_module(module)
        for owner in owners:
            found = getattr(found, owner)
        return found, name

    def apply(self) -> bool:
        """Set the attribute, and return whether it was set."""
        if not self.fits:
            logger.warning(
                "patch_left_out path=%s library=%s installed=%s checked=%s",
                self.path,
                self.library,
                version(self.library),
                self.checked,
            )
            return False
        owner, name = self.target()
        setattr(owner, name, self.value(getattr(owner, name)))
        return True


WORKER_PATCHES = (
    Patch(
        "billiard",
        "4.3",
        "billiard.pool:GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT",
        lambda _: LAST_RESULT_TRIES,
        "an ending pool process waits up to 30 s for its last result to be counted, even if that never happens",
    ),
    Patch(
        "celery",
        "5.7",
        "celery.concurrency.asynpool:AsynPool.timers",
        lambda _: property(lambda pool: {pool.maintain_pool: POOL_CHECK_S}),
        "a dead pool process is replaced after 5 s: its pipe closes before the process can be waited for, so the "
        "check at that moment finds nothing, and the next one is the timer's",
    ),
    Patch(
        "billiard",
        "4.3",
        "billiard.pool:soft_timeout_sighandler",
        lambda _: import_module("tasks.engine.task_failures").raise_soft_limit,  # which a client has no need to import
        "the exception of a step that exceeds its soft time limit names neither the step nor the limit",
    ),
)
"""Patches that a starting worker applies."""


def apply_patches(patches: Sequence[Patch] = WORKER_PATCHES) -> None:
    """Apply patches; call it once per process."""
    for patch in patches:
        patch.apply()


def call_while_connecting(callback: Callable[[], None]) -> bool:
    """Call `callback` once a second while a worker's consumer waits for an unavailable broker.

    The event loop and its timers do not run then; the consumer only checks once a second whether it must stop, and
    that check has no hook.
    """
    return _while_connecting(callback).apply()


def _while_connecting(callback: Callable[[], None]) -> Patch:
    def with_callback(check: Callable[[], None]) -> Callable[[], None]:
        def call_and_check() -> None:
            callback()
            check()

        return call_and_check

    path = "celery.worker.consumer.consumer:maybe_shutdown"
    return Patch("celery", "5.7", path, with_callback, "nothing is called while the consumer waits for its broker")


class Channel(kombu_redis.Channel):
    """A Redis channel that keeps its client as long as its pool, which ends with a fork or a lost connection.

    Without it kombu makes a client for each operation. A `redis.Redis` is a connection pool and a table of some hundred
    callbacks; building the table took 0.3 ms with redis-py 8.1, and the four steps of a chain do it some eighteen
    times. A client holds no connection of its own and serves many threads, so it is safe to keep.
    """

    _kept: redis.Redis | None = None

    def _create_client(self, asynchronous: bool = False) -> redis.Redis:
        kept = self._kept
        if asynchronous:  # kombu makes one itself, and the client then owns a connection
            return self._new_client(asynchronous=True)
        if kept is None or kept.connection_pool is not self.pool:
            kept = self._kept = self._new_client(asynchronous=False)
        return kept

    def _new_client(self, *, asynchronous: bool) -> redis.Redis:
        client: redis.Redis = super()._create_client(asynchronous)  # type: ignore[no-untyped-call]
        return client


class Transport(kombu_redis.Transport):
    """The transport of `redis://` and `rediss://` after `register_transport`.

    A message says of itself through which queue it came, and kombu believes it: to tell its task, and to give it back.
    Here the queue that it was taken from counts. What is no message is dropped; kombu's consumer would end.
    """

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if not _is_message(message):
            logger.error("message_unreadable queue=%s: what was in the queue is no message; dropped", queue)
            return
        properties = message["properties"]
        properties["delivery_info"] = {**properties["delivery_info"], "exchange": "", "routing_key": queue}
        super()._deliver(message, queue)  # type: ignore[no-untyped-call]


def _is_message(found: Any) -> bool:
    """Return whether an item of a queue has all that kombu and Celery read before they check anything."""
    if not isinstance(found, dict) or not isinstance(found.get("body"), str):
        return False
    properties, headers = found.get("properties"), found.get("headers")
    if not isinstance(properties, dict) or not isinstance(headers, dict):
        return False
    is_task = "task" not in headers or all(isinstance(headers.get(name), str) for name in ("task", "id"))
    is_delivered = isinstance(properties.get("delivery_info"), dict)
    return is_task and is_delivered and isinstance(properties.get("delivery_tag"), str)


def _loads_or_none(loads: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode(item: Any) -> Any:
        try:
            return loads(item)
        except ValueError:
            return None

    return decode


def _with_transport(aliases: dict[str, Any]) -> dict[str, Any]:
    aliases.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:{Transport.__qualname__}"))
    return aliases  # the same dictionary: kombu holds other references to it


TRANSPORT = Patch(
    "kombu",
    "5.7",
    "kombu.transport:TRANSPORT_ALIASES",
    _with_transport,
    "a Redis channel makes a client for each operation",
)


DECODER = Patch(
    "kombu",
    "5.7",
    "kombu.transport.redis:loads",
    _loads_or_none,
    "the consumer of a worker ends at an item of a queue that is no JSON",
)


def register_transport() -> None:
    """Make this process open broker addresses of Redis with `Transport`."""
    if TRANSPORT.apply() and vars(kombu_redis)["loads"] is _KOMBU_LOADS:
        DECODER.apply()
