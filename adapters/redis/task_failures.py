"""Failures of steps whose process hung or died, recorded by the worker's main process."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import cast

import redis
from msgspec import Struct

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from trading.services.status import ErrorKind, ServiceStatus
from trading.structs import asdict


class TaskFailureKind(StrEnum):
    HUNG = "hung"
    LOST = "lost"


ERROR_KIND: Mapping[TaskFailureKind, ErrorKind] = {
    TaskFailureKind.HUNG: ErrorKind.TIME_LIMIT,
    TaskFailureKind.LOST: ErrorKind.PROCESS_LOST,
}


class TaskFailure(Struct, frozen=True):
    """The last hang or death of the process of a symbol's step.

    Attributes:
        service: Service that the step runs.
        stage: Name of the task.
        at_ms: Wall time, milliseconds since the epoch, UTC.
        count: Failures of this service since the last call of `forget_task_failures`.
    """

    kind: TaskFailureKind
    service: str
    stage: str
    at_ms: int
    text: str
    task_id: str
    count: int = 1


def record_task_failure(client: redis.Redis, namespace: str, symbol: str, failure: TaskFailure) -> None:
    """Record a failure and set the stored status of the service to ERROR, because its process no longer can.

    `failure.count` is ignored and counted here. Each symbol has one writer at a time: the worker of its queue.

    Raises:
        Transient: Redis did not answer.
    """
    failures, services = keys.task_failures(namespace, symbol), keys.service(namespace, symbol)
    with talking_to_redis(), client.pipeline(transaction=True) as pipe:
        pipe.hget(failures, failure.service)
        pipe.hget(services, failure.service)
        before, status = pipe.execute()
        count = json.loads(before)["count"] + 1 if before else 1
        pipe.hset(failures, failure.service, json.dumps({**asdict(failure), "count": count}))
        pipe.hset(services, failure.service, _in_error(status, symbol, failure).to_json())
        pipe.execute()


def read_task_failures(client: redis.Redis, namespace: str, symbols: Sequence[str]) -> dict[str, list[TaskFailure]]:
    """Return the failures of each symbol, oldest first, in one round trip.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis(), client.pipeline(transaction=False) as pipe:
        for symbol in symbols:
            pipe.hvals(keys.task_failures(namespace, symbol))
        answers = cast("list[list[bytes]]", pipe.execute())
    return {
        symbol: sorted((_parse(text) for text in texts), key=lambda failure: failure.at_ms)
        for symbol, texts in zip(symbols, answers, strict=True)
    }


def forget_task_failures(client: redis.Redis, namespace: str, symbol: str) -> None:
    """Delete a symbol's failures, because it has recovered or restarts.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis():
        client.delete(keys.task_failures(namespace, symbol))


def _parse(text: bytes) -> TaskFailure:
    fields = json.loads(text)
    return TaskFailure(**{**fields, "kind": TaskFailureKind(fields["kind"])})


def _in_error(stored: bytes | None, symbol: str, failure: TaskFailure) -> ServiceStatus:
    """Return the stored status of a service, or a new one, with this error."""
    status = ServiceStatus.from_json(stored) if stored else ServiceStatus(service_name=failure.service, symbol=symbol)
    return status.with_error(failure.text, ERROR_KIND[failure.kind]).reported(failure.at_ms)
