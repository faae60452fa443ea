"""What each worker tells of itself, every two seconds, in one hash for all of them."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from adapters.clock import now_ms as wall_ms
from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from trading.structs import asdict

logger = logging.getLogger(__name__)

BEAT_S = 2.0
FORGOTTEN_AFTER_S = 3600.0
"""A worker that was killed cannot take its heartbeat back; after as long nobody asks for it any more."""


@dataclass(frozen=True, slots=True)
class RunningStep:
    """A task that a worker's pool runs now; `symbol` is empty for one that is no step of a symbol."""

    task_id: str
    name: str
    symbol: str
    started_ms: int


@dataclass(frozen=True, slots=True)
class WorkerBeat:
    """One heartbeat. Times are of the worker's wall clock, milliseconds since the epoch, UTC.

    Attributes:
        node: Its name among Celery's workers, `XAUUSD@host`.
        pid: Of its main process.
        queues: What it consumes.
        at_ms: When its event loop said so.
        started_ms: When it began to work.
        is_supervised: Something starts it again when it ends.
        running: What its pool runs; a step that hangs stays here.
    """

    node: str
    host: str
    pid: int
    queues: tuple[str, ...]
    at_ms: int
    started_ms: int
    is_supervised: bool
    running: tuple[RunningStep, ...] = ()

    def age_s(self, now_ms: int) -> float:
        """Return the seconds since it was told; 0 when the worker's clock is ahead of ours."""
        return max(0.0, (now_ms - self.at_ms) / 1000)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, JSON-safe."""
        return asdict(self)


def write_heartbeat(client: redis.Redis, namespace: str, beat: WorkerBeat) -> None:
    """Write a worker's newest heartbeat over the one before.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis():
        client.hset(keys.workers(namespace), beat.node, json.dumps(beat.as_dict()))


def forget_heartbeat(client: redis.Redis, namespace: str, node: str) -> None:
    """Take back what a worker told: it ends now.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis():
        client.hdel(keys.workers(namespace), node)


def read_heartbeats(client: redis.Redis, namespace: str) -> list[WorkerBeat]:
    """Return the newest heartbeat of each worker, by node name; what is older than an hour is dropped for good.

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
    """Read a heartbeat; one of another version of this program says nothing to us."""
    try:
        fields: Mapping[str, Any] = json.loads(text)
        running = tuple(RunningStep(**step) for step in fields["running"])
        return WorkerBeat(**{**fields, "queues": tuple(fields["queues"]), "running": running})
    except (ValueError, TypeError, KeyError) as error:
        logger.warning("heartbeat_unread reason=%s: %s", type(error).__name__, error)
        return None
