"""Steps that could not tell of their end themselves, as their worker's main process saw it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import cast

import redis

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from trading.services.status import ErrorKind, ServiceStatus


class TroubleKind(StrEnum):
    HUNG = "hung"
    LOST = "lost"


_ERROR_KIND: Mapping[TroubleKind, ErrorKind] = {
    TroubleKind.HUNG: ErrorKind.TIME_LIMIT,
    TroubleKind.LOST: ErrorKind.PROCESS_LOST,
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last time that a symbol's step hung until its process was killed, or that its process died.

    Attributes:
        service: The one that the step runs.
        stage: The task's name.
        at_ms: Wall time, milliseconds since the epoch, UTC.
        count: How often this service was in trouble since somebody last called `forget_troubles`.
    """

    kind: TroubleKind
    service: str
    stage: str
    at_ms: int
    text: str
    task_id: str
    count: int = 1


def note_trouble(client: redis.Redis, namespace: str, symbol: str, trouble: Trouble) -> None:
    """Write a trouble down, and put the service into ERROR where its status is kept: its process no longer can.

    `trouble.count` is passed over; it is counted here. One writer for each symbol at a time: the worker of its queue.

    Raises:
        Transient: Redis did not answer.
    """
    troubles, services = keys.trouble(namespace, symbol), keys.service(namespace, symbol)
    with talking_to_redis(), client.pipeline(transaction=True) as pipe:
        pipe.hget(troubles, trouble.service)
        pipe.hget(services, trouble.service)
        before, status = pipe.execute()
        count = json.loads(before)["count"] + 1 if before else 1
        pipe.hset(troubles, trouble.service, json.dumps({**asdict(trouble), "count": count}))
        pipe.hset(services, trouble.service, _in_error(status, symbol, trouble).to_json())
        pipe.execute()


def read_troubles(client: redis.Redis, namespace: str, symbols: Sequence[str]) -> dict[str, list[Trouble]]:
    """Return the troubles of each symbol, oldest first, in one round trip.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis(), client.pipeline(transaction=False) as pipe:
        for symbol in symbols:
            pipe.hvals(keys.trouble(namespace, symbol))
        answers = cast("list[list[bytes]]", pipe.execute())
    return {
        symbol: sorted((_trouble(text) for text in texts), key=lambda trouble: trouble.at_ms)
        for symbol, texts in zip(symbols, answers, strict=True)
    }


def forget_troubles(client: redis.Redis, namespace: str, symbol: str) -> None:
    """Forget a symbol's troubles: it is well again, or begins anew.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis():
        client.delete(keys.trouble(namespace, symbol))


def _trouble(text: bytes) -> Trouble:
    fields = json.loads(text)
    return Trouble(**{**fields, "kind": TroubleKind(fields["kind"])})


def _in_error(stored: bytes | None, symbol: str, trouble: Trouble) -> ServiceStatus:
    """Return the stored status of a service, or that of one that never reported, with this error in it."""
    status = ServiceStatus.from_json(stored) if stored else ServiceStatus(service_name=trouble.service, symbol=symbol)
    return status.with_error(trouble.text, _ERROR_KIND[trouble.kind]).reported(trouble.at_ms)
