"""Alembic's entry point: run the migrations on the connection that `adapters.ledger.schema.migrate` hands over.

A developer who writes a new revision names the database instead: `alembic -x url=sqlite:///draft.db revision ...`.
"""

from alembic import context
from sqlalchemy.engine import Connection

from adapters.database import create_engine
from adapters.ledger.tables import metadata


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


if handed_over := context.config.attributes.get("connection"):
    _run(handed_over)
else:
    with create_engine(context.get_x_argument(as_dictionary=True)["url"]).begin() as opened:
        _run(opened)
