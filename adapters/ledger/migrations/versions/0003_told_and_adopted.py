"""Which incidents were told, who asked for a decision, and what a person took over from the venue.

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0002 to 0003."""
    told = sa.Column("told_at_ms", sa.BigInteger, comment="wall clock; null until its event has left the worker")
    op.add_column("incidents", told)
    op.execute("UPDATE incidents SET told_at_ms = opened_at_ms")
    op.add_column(
        "decisions",
        sa.Column(
            "origin",
            sa.String,
            nullable=False,
            server_default="signal",
            comment="signal; flatten or adoption: a person, or a policy, asked",
        ),
    )
    op.add_column(
        "fills",
        sa.Column(
            "adjustment",
            sa.Integer,
            nullable=False,
            server_default="0",
            comment="0 for a fill of the venue; else the number of an adoption's row",
        ),
    )


def downgrade() -> None:
    """Go back from 0003 to 0002; what only 0003 knows is lost, and adopted positions look like traded ones."""
    op.drop_column("fills", "adjustment")
    op.drop_column("decisions", "origin")
    op.drop_column("incidents", "told_at_ms")
