"""Why the stop of a position rests elsewhere than its entry said.

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0004 to 0005."""
    op.create_table(
        "stop_moves",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column(
            "open_ms",
            sa.BigInteger,
            nullable=False,
            autoincrement=False,
            comment="of the candle that was decided on",
        ),
        sa.Column(
            "entry_id",
            sa.String,
            nullable=False,
            comment="client_order_id of the entry whose stop it is; empty for none",
        ),
        sa.Column("price_before", sa.Double, comment="null where there was no stop"),
        sa.Column("price_after", sa.Double, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("refusal", sa.String, comment="why it was not moved; null when it was"),
        sa.Column("correlation_id", sa.String, nullable=False),
        sa.Column("written_at_ms", sa.BigInteger, nullable=False, comment="wall clock"),
        sa.PrimaryKeyConstraint("account", "symbol", "strategy", "open_ms", name=op.f("pk_stop_moves")),
        comment="Why the stop of a position is to rest where it does: one row at most for each candle",
    )
    op.create_index("ix_stop_moves_entry", "stop_moves", ["account", "entry_id", "open_ms"])


def downgrade() -> None:
    """Go back from 0005 to 0004; moved stops stay where they are, and nothing says why."""
    op.drop_index("ix_stop_moves_entry", table_name="stop_moves")
    op.drop_table("stop_moves")
