"""Claims on orders, reserved value, and incidents.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go from 0001 to 0002."""
    for column in (
        sa.Column("notional_reserved", sa.Double, comment="value of an entry that holds a place; else null"),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="1", comment="number of claims to send it"),
        sa.Column("claimed_at_ms", sa.BigInteger, comment="wall clock of the last claim"),
        sa.Column("note", sa.String, comment="why it stands as it does"),
    ):
        op.add_column("intents", column)
    # a planned intent may have been sent before there were claims: the venue is asked
    op.execute("UPDATE intents SET state = 'submitting' WHERE state = 'planned'")
    op.execute("UPDATE intents SET notional_reserved = units * reference_price WHERE risk_reserved IS NOT NULL")
    op.create_table(
        "incidents",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False, comment="names it among those of its kind and symbol"),
        sa.Column("halts", sa.Boolean, nullable=False, comment="the symbol sends no orders until it is resolved"),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger, nullable=False, comment="wall clock"),
        sa.Column("resolved_at_ms", sa.BigInteger, comment="wall clock; null while it is open"),
        sa.Column("resolution", sa.String, comment="what a person said when resolving it"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_index(
        "uq_incidents_open",
        "incidents",
        ["account", "symbol", "kind", "key"],
        unique=True,
        sqlite_where=sa.text("resolved_at_ms IS NULL"),
        postgresql_where=sa.text("resolved_at_ms IS NULL"),
    )


def downgrade() -> None:
    """Go back from 0002 to 0001; what only 0002 knows is lost."""
    op.drop_index("uq_incidents_open", table_name="incidents")
    op.drop_table("incidents")
    for name in ("note", "claimed_at_ms", "attempt", "notional_reserved"):
        op.drop_column("intents", name)
