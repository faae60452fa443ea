"""The schema of the ledger: the revision of a database, the required revision, and the migration."""

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.database import read_only

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0012"
"""The newest revision in `adapters/ledger/migrations`."""

_MIGRATION_LOCK = 0x7472_6164  # an arbitrary number, unique in the database


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to `head_revision()`, or to an older one; processes that start together wait for one another.

    Raises:
        Transient: The database did not answer, or another process migrates for longer than `LOCK_TIMEOUT_S`.
    """
    from alembic import command  # noqa: PLC0415  # a tenth of the start of a worker, which never migrates

    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def alembic_config() -> "Config":
    """Return Alembic's configuration of the migrations."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "adapters.ledger:migrations")
    return config


def schema_revision(engine: Engine) -> str | None:
    """Return the revision of the schema in the database, None when it was never migrated."""
    with read_only(engine).connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def head_revision() -> str:
    """Return the revision that this code needs."""
    return HEAD
