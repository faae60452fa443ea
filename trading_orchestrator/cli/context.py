"""Resources that the commands read: settings, configuration, Redis and ledger, each opened at its first use."""

from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.database import create_engine, masked_url
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import head_revision, schema_revision
from adapters.redis.client import connect
from configs.errors import ConfigError
from configs.loading import SystemConfig, load_system, symbols_file
from configs.settings import Settings, load_settings, resolve_redis_url
from trading.errors import Transient, UnknownSymbol
from trading_orchestrator.cli.exit_codes import ExitCode, Failed

MIGRATE = "celery -A tasks trading ledger migrate"


class Access:
    """Opens each resource at its first use and closes all of them at the end."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @cached_property
    def settings(self) -> Settings:
        return load_settings()

    @cached_property
    def system(self) -> SystemConfig:
        return load_system(self.settings.config_dir)

    def reload_system(self) -> None:
        """Read the configuration files again, for commands that watch; keep the former one if they are invalid."""
        with suppress(ConfigError):
            self.__dict__["system"] = load_system(self.settings.config_dir)

    @cached_property
    def redis(self) -> redis.Redis:
        client = connect(resolve_redis_url(self.settings))
        self._open.callback(client.close)
        return client

    @cached_property
    def engine(self) -> Engine:
        """The ledger's engine; the schema is not checked."""
        engine = create_engine(self.settings.ledger_url.get_secret_value())
        self._open.callback(engine.dispose)
        return engine

    @cached_property
    def ledger(self) -> SqlLedger:
        """The ledger, after a check that its schema is the one this code needs."""
        found = ledger_revision(self)
        if found != head_revision():
            fault = f"its schema is at {found}, this code needs {head_revision()}" if found else "it does not exist yet"
            raise Failed(ExitCode.OUTSIDE, f"ledger {shown_ledger(self)}: {fault}\nrun: {MIGRATE}")
        account = self.system.account
        return SqlLedger(self.engine, account.name, account.starting_balance, account.day)

    def known(self, symbol: str) -> str:
        """Return `symbol` when it is configured.

        Raises:
            UnknownSymbol: The symbol is not configured.
        """
        if symbol not in self.system.symbols:
            raise UnknownSymbol(symbol, tuple(self.system.symbols), symbols_file(self.settings))
        return symbol


def ledger_revision(access: Access) -> str | None:
    """Return the revision of the ledger's schema, None when there is none; never create a missing SQLite file."""
    url = sa.make_url(access.settings.ledger_url.get_secret_value())
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return None
    try:
        return schema_revision(access.engine)
    except sa.exc.SQLAlchemyError as error:
        reason = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        raise Transient("ledger", f"{shown_ledger(access)}: {reason}") from error


def shown_ledger(access: Access) -> str:
    """Return the ledger's URL without its password."""
    return masked_url(access.settings.ledger_url.get_secret_value())
