"""Record the part of the equity that an entry invests, where the venue computes its units when it fills.

Revision: 0012, after 0011. An entry without it has the units of its row, as all had before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0011 to 0012."""
    comment = "part of the equity that an entry invests, sized by the venue when it fills; null: `units` are ordered"
    op.add_column("intents", sa.Column("at_fill", sa.JSON(none_as_null=True), comment=comment))


def downgrade() -> None:
    """Go back from 0012 to 0011."""
    op.drop_column("intents", "at_fill")
