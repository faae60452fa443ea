"""Check Redis: version, eviction policy, memory, persistence, clock and password."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

from adapters.clock import now_ms
from adapters.redis.applied_config import AppliedConfig
from adapters.redis.heartbeats import read_heartbeats
from configs.redis_url import parse_redis_url
from configs.settings import PREFIX
from worker.checks.check import Check, Health
from worker.checks.clock import clock_check, measure

About = Mapping[str, Any]
"""Reply to INFO."""

OLDEST_REDIS = (6, 2)
MUCH_MEMORY, FULL_MEMORY = 0.8, 0.95
SILENT_S = 15.0
"""Age of a heartbeat after which its worker does not run any more."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def title(about: About) -> str:
    """Return name and version, as `Valkey 9.1.2`."""
    if about.get("server_name") == "valkey":
        return f"Valkey {about['valkey_version']}"
    return f"Redis {about['redis_version']}"


def version(about: About) -> Check:
    speaks = str(about["redis_version"])
    oldest = ".".join(map(str, OLDEST_REDIS))
    if tuple(int(part) for part in speaks.split(".")[:2]) < OLDEST_REDIS:
        return Check("redis version", Health.FAIL, title(about), f"use Redis {oldest} or newer, or Valkey")
    return Check("redis version", Health.OK, f"{title(about)} (compatible with Redis {speaks})")


def eviction(about: About) -> Check:
    policy = str(about["maxmemory_policy"])
    if policy == "noeviction":
        return Check("redis maxmemory-policy", Health.OK, policy)
    remedy = (
        "a full server would evict queues and state: redis-cli CONFIG SET maxmemory-policy noeviction, and in its file"
    )
    return Check("redis maxmemory-policy", Health.FAIL, policy, remedy, endangers_orders=True)


def memory(about: About) -> Check:
    """Check the used memory: a full server rejects every write, including acknowledgements, and workers exit."""
    used, limit = int(about["used_memory"]), int(about["maxmemory"])
    if not limit:
        return Check("redis memory", Health.OK, f"{used / 1e6:,.0f} MB used, no limit")
    found = f"{used / 1e6:,.0f} MB of {limit / 1e6:,.0f} MB used"
    if used < MUCH_MEMORY * limit:
        return Check("redis memory", Health.OK, found)
    health = Health.FAIL if used >= FULL_MEMORY * limit else Health.WARN
    remedy = (
        "a full server rejects all writes: raise maxmemory (redis-cli CONFIG SET, and its file), or keep less data: "
        f"{PREFIX}EVENTS_MAX_LEN, {PREFIX}JOURNAL_MAX_LEN, {PREFIX}WINDOW_MAX_LEN"
    )
    return Check("redis memory", health, found, remedy)


def append_only(about: About) -> Check:
    if about["aof_enabled"]:
        return Check("redis appendonly", Health.OK, "yes")
    remedy = "a restart loses queues and candle windows; they are rebuilt, slowly: redis-cli CONFIG SET appendonly yes"
    return Check("redis appendonly", Health.WARN, "no", remedy)


def persistence_check(about: About) -> Check:
    """Check the results of the last writes to disk."""
    looked_at = ["rdb_last_bgsave_status"]
    if about["aof_enabled"]:
        looked_at += ["aof_last_write_status", "aof_last_bgrewrite_status"]
    failed = [name for name in looked_at if about.get(name, "ok") != "ok"]
    if not failed:
        return Check("redis persistence", Health.OK, "the last write succeeded")
    health = Health.FAIL if "aof_last_write_status" in failed else Health.WARN
    remedy = "check the server's log and the disk of its folder; until it can write, it may reject all writes"
    return Check("redis persistence", health, ", ".join(f"{name}: {about[name]}" for name in failed), remedy)


def clock(client: redis.Redis) -> Check:
    """Compare the local clock with the server's.

    Raises:
        redis.RedisError: The server did not answer.
    """

    def server_s() -> float:
        seconds, microseconds = client.time()
        return float(seconds) + float(microseconds) / 1e6

    return clock_check("redis", measure(server_s))


def other_system(client: redis.Redis, namespace: str, folder: Path) -> Check:
    """Check that no launcher and no worker that was started in another folder runs on this Redis.

    Raises:
        Transient: The server did not answer.
    """
    name, here = "redis system", str(folder)
    launcher = AppliedConfig(client, namespace).launcher()
    found = [str(launcher)] if launcher and launcher.folder not in ("", here) else []
    for beat in read_heartbeats(client, namespace):
        if beat.folder not in ("", here) and beat.age_s(now_ms()) <= SILENT_S and not (launcher and found):
            found.append(f"worker {beat.node}, process {beat.pid} on {beat.host} in {beat.folder}")
    if not found:
        return Check(name, Health.OK, f"no system of another folder than {here}")
    remedy = f"both share symbols and orders; if that is not wanted, give this one its own {PREFIX}REDIS_URL"
    return Check(name, Health.WARN, f"another system runs here: {'; '.join(found)}", remedy)


def password(client: redis.Redis, url: str) -> Check:
    """Check for a password: anyone who reaches an open server can place orders. The client must decode responses."""
    name = "redis password"
    address = parse_redis_url(url)
    if address.password:
        return Check(name, Health.OK, "set")
    if address.path:
        return Check(name, Health.OK, "none; a socket on this machine")
    try:
        bind = str(client.config_get("bind").get("bind", "")).replace("-", " ").split()
    except redis.ResponseError as error:
        return Check(name, Health.WARN, f"none, and its listen addresses are unknown: {error}", "set requirepass")
    if bind and LOOPBACK.issuperset(bind):
        return Check(name, Health.OK, f"none; it listens on {' '.join(bind)} only")
    remedy = f"set requirepass and put the password into {PREFIX}REDIS_URL, or bind it to 127.0.0.1"
    return Check(name, Health.FAIL, f"none, and it listens on {' '.join(bind) or 'every address'}", remedy)
