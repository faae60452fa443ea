"""Ending from outside what does not end by itself: a step, the messages behind it, the worker that runs it."""

from typing import cast

import redis
from celery import Celery
from kombu.transport.redis import Channel

from adapters.redis.client import talking_to_redis
from tasks.engine.routing import PRIORITY_STEPS

ANSWER_S = 2.0
"""How long a worker's main process may take to answer; one that is asked by name answers within milliseconds."""

END_SUPERVISED = "end_supervised"
"""The remote-control command that `worker.remote_control` gives to every worker."""


def end_step(app: Celery, task_id: str, node: str) -> bool:
    """Kill the process that runs a step, and have its message dropped; the pool replaces the process at once.

    Returns:
        Whether the worker did so: False when it runs no such task, and when it does not answer.
    """
    replies = app.control.revoke(
        task_id, terminate=True, signal="SIGKILL", destination=[node], reply=True, timeout=ANSWER_S
    )
    return any(task_id in answer.get("ok", "") for reply in replies or () for answer in reply.values())


def restart_worker(app: Celery, node: str) -> bool:
    """Have a worker end, once its running step has, so that its supervisor starts another one.

    The worker itself decides: one that nothing would start again goes on.

    Returns:
        Whether it ends: False when it is not supervised, and when it does not answer.
    """
    replies = app.control.broadcast(END_SUPERVISED, destination=[node], reply=True, timeout=ANSWER_S)
    return any("ok" in answer for reply in replies or () for answer in reply.values())


def drop_queued(client: redis.Redis, symbol: str) -> int:
    """Remove the messages that wait in a symbol's queue, and return how many there were.

    They are wake-ups: the next tick does what they were to do. What a worker has taken already stays.

    Raises:
        Transient: Redis did not answer.
    """
    lists = queue_lists(symbol)
    with talking_to_redis(), client.pipeline(transaction=True) as pipe:
        for name in lists:
            pipe.llen(name)
        pipe.delete(*lists)
        *lengths, _ = pipe.execute()
    return sum(cast("list[int]", lengths))


def count_queued(client: redis.Redis, symbol: str) -> int:
    """Return how many messages wait in a symbol's queue.

    Raises:
        Transient: Redis did not answer.
    """
    with talking_to_redis(), client.pipeline(transaction=False) as pipe:
        for name in queue_lists(symbol):
            pipe.llen(name)
        return sum(cast("list[int]", pipe.execute()))


def queue_lists(symbol: str) -> list[str]:
    """Return the Redis lists that make up a symbol's queue, one for each priority."""
    return [f"{symbol}{Channel.sep}{step}" if step else symbol for step in PRIORITY_STEPS]
