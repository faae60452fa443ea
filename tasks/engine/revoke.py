"""End a hung step, drop the messages queued behind it, and restart the worker that runs it."""

from typing import cast

import redis
from celery import Celery
from kombu.transport.redis import Channel

from adapters.redis.client import talking_to_redis
from tasks.engine.routing import PRIORITY_STEPS

ANSWER_S = 2.0
"""Time limit of a main process's reply, in seconds; a worker addressed by name replies within milliseconds."""

END_SUPERVISED = "end_supervised"
"""Remote-control command that `worker.remote_control` registers."""


def end_step(app: Celery, task_id: str, node: str) -> bool:
    """Kill the process that runs a step, and drop its message; the pool replaces the process at once.

    Returns:
        Whether the worker did so; False if it does not run the task or does not reply.
    """
    replies = app.control.revoke(
        task_id, terminate=True, signal="SIGKILL", destination=[node], reply=True, timeout=ANSWER_S
    )
    return any(task_id in answer.get("ok", "") for reply in replies or () for answer in reply.values())


def restart_worker(app: Celery, node: str) -> bool:
    """Shut a worker down after its running step, so that its supervisor starts another one.

    An unsupervised worker rejects the command, because nothing would restart it.

    Returns:
        Whether it shuts down; False if it is not supervised or does not reply.
    """
    replies = app.control.broadcast(END_SUPERVISED, destination=[node], reply=True, timeout=ANSWER_S)
    return any("ok" in answer for reply in replies or () for answer in reply.values())


def drop_queued(client: redis.Redis, symbol: str) -> int:
    """Remove the messages in a symbol's queue, and return their number.

    They only wake the symbol, so the next tick replaces them. Messages that a worker has reserved stay.

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
    """Return the number of messages in a symbol's queue.

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
