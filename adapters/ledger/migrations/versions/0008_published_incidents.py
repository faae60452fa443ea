"""Name the column of incidents by what it holds: when the event was published.

Revision: 0008, after 0007.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0007 to 0008."""
    op.execute("ALTER TABLE incidents RENAME COLUMN told_at_ms TO published_at_ms")


def downgrade() -> None:
    """Go back from 0008 to 0007."""
    op.execute("ALTER TABLE incidents RENAME COLUMN published_at_ms TO told_at_ms")
