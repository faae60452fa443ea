"""What a worker looks at before it works: it ends, with a line for each reason, where its orders would not be safe.

Two moments. Before it forks it looks at what is on this machine and at the ledger; a ledger that does not answer may
come back, so that is only told. Each time it has connected to Redis it looks at that: a worker that comes up while
Redis is away waits for it, and one whose Redis came back with other settings ends.
"""

import logging
from collections.abc import Iterable
from typing import Any

import redis
from celery import bootsteps

from adapters.redis.client import connect
from configs.settings import Settings, load_settings, resolve_redis_url
from worker.checks import redis as redis_checks
from worker.checks.check import Check, Health
from worker.checks.clock import venue_clock_checks
from worker.checks.config import config_check
from worker.checks.database import ledger_checks
from worker.checks.machine import disks, file_systems, sqlite_files

logger = logging.getLogger(__name__)

REFUSED = 1
"""Exit code of a worker that does not start."""


def check_before_start(queues: Iterable[str]) -> None:
    """Look at what a worker of these queues stands on, Redis apart.

    Raises:
        SystemExit: Orders would be in danger.
    """
    settings = load_settings()
    config, system = config_check(settings)
    served = {name: system.symbols[name] for name in queues if name in system.symbols} if system else {}
    files = sqlite_files(settings)
    _judge(
        [
            config,
            *ledger_checks(settings, system, is_start=True),
            *venue_clock_checks(served),
            *file_systems(settings),
            *(disks(file.parent for file in files)),
        ],
        tells_warnings=True,
    )


class RedisFitness(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Looks at Redis after each connect, before the worker takes its first message."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._is_first = True

    def start(self, consumer: Any) -> None:
        checks = redis_start_checks(load_settings())
        _judge(checks, tells_warnings=self._is_first)
        self._is_first = not checks and self._is_first


def redis_start_checks(settings: Settings) -> list[Check]:
    """Look at Redis; nothing is found where it has gone again, which the worker itself will notice."""
    client = connect(resolve_redis_url(settings))
    try:
        about = client.info()
        return [
            redis_checks.eviction(about),
            redis_checks.memory(about),
            redis_checks.append_only(about),
            redis_checks.written_down(about),
            redis_checks.clock(client),
        ]
    except redis.RedisError as error:
        logger.warning("redis_unchecked reason=%s", error)
        return []
    finally:
        client.close()


def _judge(checks: Iterable[Check], *, tells_warnings: bool) -> None:
    """Tell what is wrong, and end the worker where it must not work."""
    faults = [check for check in checks if check.health is not Health.OK]
    refusals = [check for check in faults if check.is_refusal]
    if tells_warnings:
        for check in faults:
            if not check.is_refusal:
                logger.warning("start_check %s", check)
    for check in refusals:
        logger.critical("will not work: %s", check)
    if refusals:
        raise SystemExit(REFUSED)
