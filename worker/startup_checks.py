"""Start-up checks of a worker: it exits, with one log line per reason, when its orders would not be safe.

Checks run at two moments. Before the fork, the worker checks the machine and the ledger; a ledger that does not answer
may recover, so it only causes a warning. After each connect, it checks Redis: a worker that starts without Redis waits
for it, and a worker whose Redis returns with unsafe settings exits.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis
from celery import bootsteps

from adapters.redis.client import connect
from configs.settings import Settings, load_settings, resolve_redis_url
from trading.errors import Transient
from worker.checks import redis as redis_checks
from worker.checks.check import Check, Health
from worker.checks.clock import venue_clock_checks
from worker.checks.config import config_check
from worker.checks.database import ledger_checks
from worker.checks.machine import disks, file_systems, private_folder_checks, sqlite_files

logger = logging.getLogger(__name__)

REFUSED = 1
"""Exit code of a worker that fails its start-up checks."""


def check_before_start(queues: Iterable[str]) -> None:
    """Check everything that a worker of these queues depends on, except Redis.

    Raises:
        SystemExit: Orders would not be safe.
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
            *private_folder_checks(settings),
            *(disks(file.parent for file in files)),
        ],
        logs_warnings=True,
    )


class RedisFitness(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Checks Redis after each connect, before the worker takes its first message."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._is_first = True

    def start(self, consumer: Any) -> None:
        checks = redis_start_checks(load_settings())
        _judge(checks, logs_warnings=self._is_first)
        self._is_first = not checks and self._is_first


def redis_start_checks(settings: Settings) -> list[Check]:
    """Check Redis; empty when the connection is lost again, which the worker itself detects."""
    client = connect(resolve_redis_url(settings))
    try:
        about = client.info()
        return [
            redis_checks.eviction(about),
            redis_checks.memory(about),
            redis_checks.append_only(about),
            redis_checks.persistence_check(about),
            redis_checks.clock(client),
            redis_checks.other_system(client, settings.namespace, Path.cwd()),
        ]
    except (redis.RedisError, Transient) as error:
        logger.warning("redis_unchecked reason=%s", error)
        return []
    finally:
        client.close()


def _judge(checks: Iterable[Check], *, logs_warnings: bool) -> None:
    """Log failed checks, and exit the worker when orders would not be safe."""
    faults = [check for check in checks if check.health is not Health.OK]
    refusals = [check for check in faults if check.is_refusal]
    if logs_warnings:
        for check in faults:
            if not check.is_refusal:
                logger.warning("start_check %s", check)
    for check in refusals:
        logger.critical("start-up check failed, worker exits: %s", check)
    if refusals:
        raise SystemExit(REFUSED)
