"""Which rules a decision asked, and how far the balance of an account has fallen from its peak.

Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0003 to 0004."""
    checks = sa.Column(
        "checks", sa.JSON(none_as_null=True), comment="each rule that was asked, in order; null before 0004"
    )
    op.add_column("decisions", checks)
    for column in (
        sa.Column("peak_realised", sa.Double, comment="highest profit realised since the last drawdown was cleared"),
        sa.Column("drawdown", sa.Double, comment="deepest fall of the balance since then, as a fraction of its peak"),
    ):
        op.add_column("accounts", column)


def downgrade() -> None:
    """Go back from 0004 to 0003; what only 0004 knows is lost."""
    op.drop_column("accounts", "drawdown")
    op.drop_column("accounts", "peak_realised")
    op.drop_column("decisions", "checks")
