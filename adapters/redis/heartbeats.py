"""Heartbeats that each worker writes every two seconds, in one hash for all workers."""

import json
import logging
from collections.abc import Mapping
from typing import Any, cast

import redis
from msgspec import Struct

from adapters.clock import now_ms as wall_ms
from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from trading.structs import asdict

logger = logging.getLogger(__name__)

BEAT_S = 2.0
FORGOTTEN_AFTER_S = 3600.0
"""Age at which a heartbeat is deleted, because a killed worker cannot remove its own."""


class RunningStep(Struct, frozen=True):
    """A task that a worker's pool is running; `symbol` is empty for a task that is no step of a symbol."""

    task_id: str
    name: str
    symbol: str
    started_ms: int


class WorkerBeat(Struct, frozen=True):
    """One heartbeat. Times are of the worker's wall clock, milliseconds since the epoch, UTC.

    Attributes:
        node: Celery node name, `XAUUSD@host`.
        pid: Process id of the main process.
        queues: Queues that it consumes.
        at_ms: Time of the heartbeat.
        started_ms: Start time of the worker.
        is_supervised: A supervisor restarts the worker when it ends.
        running: Tasks that its pool is running; a hung step stays here.
        folder: Folder in which it was started; empty for a worker of an older version.
    """

    node: str
    host: str
    pid: int
    queues: tuple[str, ...]
    at_ms: int
    started_ms: int
    is_supervised: bool
    running: tuple[RunningStep, ...] = ()
    folder: str = ""

    def age_s(self, now_ms: int) -> float:
        """Return the seconds since the heartbeat; 0 when the worker's clock is ahead of the local one."""
        return max(0.0, (now_ms - self.at_ms) / 1000)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, JSON-safe."""
        return asdict(self)


def write_heartbeat(client: redis.Redis, namespace: str, beat: WorkerBeat) -> None:
    """Replace a worker's heartbeat.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis():
        client.hset(keys.workers(namespace), beat.node, json.dumps(beat.as_dict()))


def forget_heartbeat(client: redis.Redis, namespace: str, node: str) -> None:
    """Delete the heartbeat of a worker that ends.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis():
        client.hdel(keys.workers(namespace), node)


def read_heartbeats(client: redis.Redis, namespace: str) -> list[WorkerBeat]:
    """Return the newest heartbeat of each worker, by node name; delete those older than an hour.

    Raises:
        Transient: Redis did not answer.
    """
    key, now_ms = keys.workers(namespace), wall_ms()
    with talking_to_redis():
        entries = cast("dict[bytes, bytes]", client.hgetall(key))
        beats = {node: _beat(text) for node, text in entries.items()}
        dead = [node for node, beat in beats.items() if beat is None or beat.age_s(now_ms) > FORGOTTEN_AFTER_S]
        if dead:
            client.hdel(key, *dead)
    alive = [beat for node, beat in beats.items() if beat is not None and node not in dead]
    return sorted(alive, key=lambda beat: beat.node)


def _beat(text: bytes) -> WorkerBeat | None:
    """Parse a heartbeat; None for one of another program version."""
    try:
        fields: Mapping[str, Any] = json.loads(text)
        running = tuple(RunningStep(**step) for step in fields["running"])
        return WorkerBeat(**{**fields, "queues": tuple(fields["queues"]), "running": running})
    except (ValueError, TypeError, KeyError) as error:
        logger.warning("heartbeat_unread reason=%s: %s", type(error).__name__, error)
        return None
