"""Record the prices by which a decision valued the open positions.

Revision: 0010, after 0009. A row without them was decided by a version that limited no leverage, and is replayed so.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0009 to 0010."""
    comment = "latest price by symbol of the positions open then; null before 0010, when no leverage was limited"
    op.add_column("decisions", sa.Column("prices", sa.JSON(none_as_null=True), comment=comment))


def downgrade() -> None:
    """Go back from 0010 to 0009."""
    op.drop_column("decisions", "prices")
