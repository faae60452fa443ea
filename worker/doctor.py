"""Look at everything a running system stands on, and say what to do about what is wrong."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
import sqlalchemy as sa

from adapters.database import create_engine, head_revision, schema_revision
from configs.errors import ConfigError
from configs.load import load_system
from configs.settings import PREFIX, Settings, resolve_redis_url
from trading.errors import TradingError
from worker.embedded_redis import connect

OLDEST_REDIS = (6, 2)
LITTLE_DISK_BYTES = 1_000_000_000
NO_DISK_BYTES = 200_000_000
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
UP = "celery -A tasks trading up"


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found, and what to do about it; `remedy` is empty when all is well."""

    name: str
    health: Health
    found: str
    remedy: str = ""


def examine(settings: Settings) -> list[Check]:
    """Look at configuration, Redis, ledger and disk; nothing is changed and nothing raises for what is found."""
    return [_config(settings), *_redis(settings), _ledger(settings), _disk(settings)]


def is_fit(checks: list[Check]) -> bool:
    """Return whether nothing failed; warnings do not count."""
    return all(check.health is not Health.FAIL for check in checks)


def _config(settings: Settings) -> Check:
    try:
        system = load_system(settings.config_dir)
    except ConfigError as error:
        return Check("config", Health.FAIL, "; ".join(error.faults), f"correct the files in {settings.config_dir}")
    return Check("config", Health.OK, f"{len(system.symbols)} symbols: {', '.join(system.symbols)}")


def _redis(settings: Settings) -> list[Check]:
    try:
        url = resolve_redis_url(settings)
    except ConfigError as error:
        return [Check("redis", Health.FAIL, str(error), f"set {PREFIX}REDIS_URL, or start one: {UP}")]
    client = connect(url)
    try:
        about: Mapping[str, Any] = client.info()
        checks = [_reachable(about, url), _version(about), _eviction(about), _append_only(about)]
        return [*checks, _password(client, url)]
    except redis.RedisError as error:
        found = f"{urlsplit(url).hostname or url}:{urlsplit(url).port or 6379} does not answer: {error}"
        return [Check("redis", Health.FAIL, found, f"start it ({UP} starts one), or correct {PREFIX}REDIS_URL")]
    finally:
        client.close()


def _reachable(about: Mapping[str, Any], url: str) -> Check:
    parts = urlsplit(url)
    return Check("redis", Health.OK, f"{_title(about)} on {parts.hostname or parts.path}:{parts.port or 6379}")


def _version(about: Mapping[str, Any]) -> Check:
    speaks = str(about["redis_version"])
    oldest = ".".join(map(str, OLDEST_REDIS))
    if tuple(int(part) for part in speaks.split(".")[:2]) < OLDEST_REDIS:
        return Check("redis version", Health.FAIL, _title(about), f"use Redis {oldest} or newer, or Valkey")
    return Check("redis version", Health.OK, f"{_title(about)} (speaks Redis {speaks})")


def _eviction(about: Mapping[str, Any]) -> Check:
    policy = str(about["maxmemory_policy"])
    if policy == "noeviction":
        return Check("redis maxmemory-policy", Health.OK, policy)
    remedy = (
        "a full server would drop queues and state: redis-cli CONFIG SET maxmemory-policy noeviction, and in its file"
    )
    return Check("redis maxmemory-policy", Health.FAIL, policy, remedy)


def _append_only(about: Mapping[str, Any]) -> Check:
    if about["aof_enabled"]:
        return Check("redis appendonly", Health.OK, "yes")
    remedy = "a restart loses queues and candle windows; they are rebuilt, slowly: redis-cli CONFIG SET appendonly yes"
    return Check("redis appendonly", Health.WARN, "no", remedy)


def _password(client: redis.Redis, url: str) -> Check:
    """Whoever reaches an open server can place orders through its queues."""
    name = "redis password"
    if urlsplit(url).password:
        return Check(name, Health.OK, "set")
    if urlsplit(url).scheme == "unix":
        return Check(name, Health.OK, "none; a socket on this machine")
    try:
        bind = str(client.config_get("bind").get("bind", "")).replace("-", " ").split()
    except redis.ResponseError as error:
        return Check(name, Health.WARN, f"none, and where it listens is not told: {error}", "set requirepass")
    if bind and LOOPBACK.issuperset(bind):
        return Check(name, Health.OK, f"none; it listens on {' '.join(bind)} only")
    remedy = f"set requirepass and put the password into {PREFIX}REDIS_URL, or bind it to 127.0.0.1"
    return Check(name, Health.FAIL, f"none, and it listens on {' '.join(bind) or 'every address'}", remedy)


def _ledger(settings: Settings) -> Check:
    url = settings.ledger_url.get_secret_value()
    shown = sa.make_url(url).render_as_string(hide_password=True)
    file = _sqlite_file(url)
    if file is not None and not file.exists():
        return Check("ledger", Health.WARN, f"{shown}: not made yet", f"{UP} makes it")
    engine = create_engine(url)
    try:
        revision = schema_revision(engine)
    except (TradingError, sa.exc.SQLAlchemyError) as error:
        return Check("ledger", Health.FAIL, f"{shown}: {error}", f"start the database, or correct {PREFIX}LEDGER_URL")
    finally:
        engine.dispose()
    if revision != head_revision():
        found = f"{shown}: schema at {revision or 'no revision'}, this code needs {head_revision()}"
        return Check("ledger", Health.FAIL, found, f"{UP} migrates it; make a copy of it first")
    return Check("ledger", Health.OK, f"{shown}: schema at {revision}")


def _sqlite_file(url: str) -> Path | None:
    parsed = sa.make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _disk(settings: Settings) -> Check:
    folder = next(path for path in (settings.var_dir, *settings.var_dir.parents) if path.exists())
    free_bytes = shutil.disk_usage(folder).free
    found = f"{free_bytes / 1e9:.1f} GB free in {folder}"
    if free_bytes >= LITTLE_DISK_BYTES:
        return Check("disk", Health.OK, found)
    health = Health.WARN if free_bytes >= NO_DISK_BYTES else Health.FAIL
    return Check("disk", health, found, f"make room, or move the folder: {PREFIX}VAR_DIR=/another/folder")


def _title(about: Mapping[str, Any]) -> str:
    if about.get("server_name") == "valkey":
        return f"Valkey {about['valkey_version']}"
    return f"Redis {about['redis_version']}"
