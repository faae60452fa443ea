"""Check everything that the system depends on, with an action for each fault."""

from pathlib import Path

import redis

from configs.errors import ConfigError
from configs.redis_url import parse_redis_url
from configs.settings import PREFIX, Settings, resolve_redis_url
from trading.errors import Transient
from trading_orchestrator.launcher.embedded_redis import connect
from worker.checks import redis as redis_checks
from worker.checks.bounds import bounds_checks
from worker.checks.check import Check, Health
from worker.checks.clock import venue_clock_checks
from worker.checks.config import config_check, plugin_checks
from worker.checks.database import ledger_checks, paper_check
from worker.checks.machine import disks, file_systems, private_folder_checks, sqlite_files

UP = "celery -A tasks trading up"


def examine(settings: Settings) -> list[Check]:
    """Check configuration, plug-ins, clocks, Redis, databases and disks; faults are returned, not raised."""
    config, system = config_check(settings)
    return [
        config,
        *plugin_checks(),
        *_redis(settings),
        *ledger_checks(settings, system),
        paper_check(settings),
        *(bounds_checks(system) if system else []),
        *(venue_clock_checks(system.symbols) if system else []),
        *file_systems(settings),
        *private_folder_checks(settings),
        *disks([settings.var_dir, *(file.parent for file in sqlite_files(settings))]),
    ]


def _redis(settings: Settings) -> list[Check]:
    try:
        url = resolve_redis_url(settings)
    except ConfigError as error:
        return [Check("redis", Health.FAIL, str(error), f"set {PREFIX}REDIS_URL, or start a server: {UP}")]
    client, place = connect(url), parse_redis_url(url).place
    try:
        about = client.info()
        where = f"{redis_checks.title(about)} on {place}"
        return [
            Check("redis", Health.OK, where),
            redis_checks.version(about),
            redis_checks.eviction(about),
            redis_checks.memory(about),
            redis_checks.append_only(about),
            redis_checks.persistence_check(about),
            redis_checks.clock(client),
            redis_checks.password(client, url),
            redis_checks.other_system(client, settings.namespace, Path.cwd()),
        ]
    except (redis.RedisError, Transient) as error:
        found = f"{place} does not answer: {error}"
        return [Check("redis", Health.FAIL, found, f"start it ({UP} starts a server), or correct {PREFIX}REDIS_URL")]
    finally:
        client.close()
