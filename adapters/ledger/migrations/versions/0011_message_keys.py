"""Record fences that an operator sets, and keep the key that signs messages.

Revision: 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Go from 0010 to 0011."""
    op.create_table(
        "fence_resets",
        sa.Column("id", _RowId, nullable=False),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False, comment="empty: the cursor of the symbol"),
        sa.Column("before_ms", sa.BigInteger, comment="null where there was no fence"),
        sa.Column("after_ms", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False, comment="who asked"),
        sa.Column("written_at_ms", sa.BigInteger, nullable=False, comment="wall clock"),
        sa.PrimaryKeyConstraint("id", name="pk_fence_resets"),
        comment="Fences and cursors that an operator has set",
    )
    op.create_table(
        "message_keys",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False, comment="signs the messages between the steps; hexadecimal"),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False, comment="wall clock"),
        sa.PrimaryKeyConstraint("account", name="pk_message_keys"),
        comment="The secret that all workers of an account share, and Redis does not have",
    )


def downgrade() -> None:
    """Go back from 0011 to 0010."""
    op.drop_table("message_keys")
    op.drop_table("fence_resets")
