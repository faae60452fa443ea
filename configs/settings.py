"""Settings of the installation: stores and folders, from environment variables named `TRADING__*`.

The trading configuration is in `services.yaml` and `symbols.yaml`. Every `celery` command imports this module, so it
imports nothing heavy.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from configs.errors import ConfigError, unknown_key
from configs.redis_url import parse_redis_url

PREFIX = "TRADING__"
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
OVERRIDE_SECTIONS = ("SERVICES", "ORCHESTRATOR", "ACCOUNT", "SYMBOLS")
"""Names that continue with one of these override the YAML files; `configs.loading` reads them."""

_PACKAGE_DIR = Path(__file__).resolve().parent
_SQL_PORT = re.compile(r"[\w+]+://(?:[^:/]*(?::[^@]*)?@)?(?:\[[^/?]+\]|[^/:?]+)?(?::(?P<port>[^/?]*))?")
"""The port in a database URL, as SQLAlchemy parses it; importing SQLAlchemy would slow down every command."""

Port = Annotated[int, Field(ge=1, le=65535)]


def project_root() -> Path:
    """Return the folder that contains `configs/`: the current one, otherwise the checkout of this package."""
    here = Path.cwd()
    is_checkout = (_PACKAGE_DIR.parent / "pyproject.toml").is_file()
    return here if (here / "configs" / "services.yaml").is_file() or not is_checkout else _PACKAGE_DIR.parent


def is_installed_config(config_dir: Path) -> bool:
    """Return whether a folder holds the shipped files of an installed package, which nobody should edit."""
    is_checkout = (_PACKAGE_DIR.parent / "pyproject.toml").is_file()
    return config_dir.resolve() == _PACKAGE_DIR and not is_checkout


def _default_config_dir() -> Path:
    beside = project_root() / "configs"
    return beside if beside.is_dir() else _PACKAGE_DIR


def _from_root(path: Path) -> Path:
    return project_root() / path.expanduser()


def _folder(path: Path) -> Path:
    found = next(one for one in (path, *path.parents) if os.path.exists(one))  # noqa: PTH110  # Path's raises
    if not os.path.isdir(found):  # noqa: PTH112
        raise ValueError("a folder, one that is there or can be made; a file has its name or that of a folder above it")
    return path


def _redis_url(url: SecretStr) -> SecretStr:
    parse_redis_url(url.get_secret_value())
    return url


def _sql_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not text.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("a SQLAlchemy URL, sqlite:///path or postgresql+psycopg://user:password@host/database")
    found = _SQL_PORT.match(text)
    if found and found["port"] and not found["port"].isdecimal():
        raise ValueError("a URL whose port is a number")
    return url


def _sqlite_in_var(name: str, validated: Mapping[str, Any]) -> SecretStr:
    return SecretStr(f"sqlite:///{validated['var_dir'] / name}")


RootPath = Annotated[Path, AfterValidator(_from_root)]
SqlUrl = Annotated[SecretStr, AfterValidator(_sql_url)]


class Settings(BaseSettings):
    """Settings of one installation. Each field is the environment variable `TRADING__` + its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    config_dir: RootPath = Field(
        default_factory=_default_config_dir, description="Folder of services.yaml and symbols.yaml."
    )
    var_dir: Annotated[RootPath, AfterValidator(_folder)] = Field(
        default=Path("var"), description="Folder for all written files: ledger, logs, the local Redis. From the root."
    )
    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = Field(
        default=None,
        description="Redis of broker and stores. None: the launcher's Redis, see resolve_redis_url.",
    )
    redis_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the Redis that the launcher starts; 0 chooses a free one."
    )
    namespace: str = Field(
        default="trading",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="Prefix of the Redis keys. Queues have no prefix: use a separate Redis database per system.",
    )
    ledger_url: SqlUrl = Field(
        default_factory=lambda validated: _sqlite_in_var("ledger.sqlite3", validated),
        description="SQLAlchemy URL of the ledger: intents, orders, fills, positions.",
    )
    paper_url: SqlUrl = Field(
        default_factory=lambda validated: _sqlite_in_var("paper.sqlite3", validated),
        description="SQLAlchemy URL of the paper venue's books: one for each account, never the ledger's file.",
    )
    message_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Key that signs the messages between the steps, at least 32 characters, the same for all workers "
        "of an account. None: a random one that the ledger keeps.",
    )
    log_format: Literal["human", "json"] = Field(
        default="human", description="human: readable lines; json: one object per line."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest level that is logged."
    )
    task_events: bool = Field(
        default=True, description="Workers report each task to Flower; false about doubles a worker's throughput."
    )
    supervised: bool = Field(
        default=False,
        description="A supervisor restarts workers that end; the launcher, Docker and systemd set this for theirs.",
    )
    worker_stuck_after_s: float = Field(
        default=60.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds after which a worker with a blocked event loop is killed; 0: never. A Redis that hangs "
        "blocks it for up to 20 s at a time, so a value below 30 would kill every worker.",
    )
    worker_max_memory_mb: int = Field(
        default=1000,
        ge=0,
        description="Peak memory of a worker's pool process in megabytes; a process above it is replaced after its "
        "step, which takes about a second. 0: no limit. A new process uses about 200.",
    )
    flower_address: str = Field(default="127.0.0.1", description="Address that Flower listens on.")
    flower_port: Port = Field(default=5555, description="Port that Flower listens on.")
    flower_user: str = Field(
        default="trader", pattern=r"^[^:\s]+$", description="User name of Flower's login; without colons or spaces."
    )
    flower_password: SecretStr | None = Field(
        default=None, description="Password of Flower's login. None: the launcher generates one and prints its path."
    )
    journal_max_len: int = Field(
        default=10_000, ge=100, description="Decisions kept in each symbol's journal stream in Redis, in entries."
    )
    events_max_len: int = Field(
        default=100_000, ge=100, description="Events kept in the Redis stream of events, in entries."
    )
    errors_kept_s: int = Field(
        default=86_400,
        ge=60,
        description="Seconds for which the last error of a symbol is shown after it passed, and for which errors are "
        "counted.",
    )
    window_max_len: int = Field(
        default=2_000, ge=100, description="Candles kept per symbol in Redis; the longest look-back of a strategy."
    )

    @property
    def redis_url_file(self) -> Path:
        """File with the URL of the launcher's Redis, readable by the owner alone (mode 0600)."""
        return self.var_dir / "redis" / "url"


def load_settings(overrides: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment.

    Args:
        overrides: Names and values that take precedence over the environment, for example `TRADING__REDIS_URL`; names
            other than `TRADING__*` are ignored.

        Raises:
            ConfigError: A value is not allowed, or a name with the prefix `TRADING__` is unknown; no value is printed.
    """
    given = {name.upper(): value for name, value in (overrides or {}).items() if name.upper().startswith(PREFIX)}
    faults = _unknown_names({**os.environ, **given})
    fields: dict[str, Any] = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
    try:
        settings = Settings(**{name: value for name, value in fields.items() if name in Settings.model_fields})
    except ValidationError as error:
        wrong = [fault for fault in error.errors(include_input=False) if fault["type"] != "default_factory_not_called"]
        raise ConfigError([*faults, *(f"{PREFIX}{str(at['loc'][0]).upper()}: {_text(at)}" for at in wrong)]) from None
    if faults:
        raise ConfigError(faults)
    return settings


def _text(fault: ErrorDetails) -> str:
    """Describe the allowed values, or return pydantic's message for its own rules."""
    return f"expected {fault['ctx']['error']}" if fault["type"] == "value_error" else fault["msg"]


def resolve_redis_url(settings: Settings) -> str:
    """Return the Redis URL: `TRADING__REDIS_URL`, else the content of `<var_dir>/redis/url`, else the default.

    Raises:
        ConfigError: The launcher's file contains no Redis URL.
    """
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    try:
        url = settings.redis_url_file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return DEFAULT_REDIS_URL
    try:
        parse_redis_url(url)
    except ValueError:
        fault = f"{settings.redis_url_file}: holds no Redis URL; remove the file or set {PREFIX}REDIS_URL"
        raise ConfigError([fault]) from None
    return url


def _unknown_names(environ: Mapping[str, str]) -> list[str]:
    """Return a line for each `TRADING__` name that is neither a setting nor an override."""
    known = {name.upper() for name in Settings.model_fields}
    names = [name for name in environ if name.upper().startswith(PREFIX)]
    heads = {name: name.upper().removeprefix(PREFIX).split("__")[0] for name in names}
    return [
        f"environment: {unknown_key([name], [PREFIX + key for key in known])}"
        for name in names
        if name.upper().removeprefix(PREFIX) not in known and heads[name] not in OVERRIDE_SECTIONS
    ]
