"""The holder of a symbol: a change of the configuration, its removal, or nothing.

Revision: 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_REASONS = {
    "config_change": "its configuration changes",
    "removal": "it was removed from the configuration",
}
"""What held a symbol until 0005, by the reason that its row then had."""


def upgrade() -> None:
    """Go from 0005 to 0006; until 0005 the reason of the row said that it was held."""
    held_by = sa.Column(
        "held_by", sa.String, nullable=False, server_default="", comment="config_change or removal; empty: a person"
    )
    op.add_column("symbols", held_by)
    symbols = sa.table("symbols", sa.column("desired"), sa.column("reason"), sa.column("held_by"))
    for holder, reason in _REASONS.items():
        is_held = (symbols.c.reason == reason) & (symbols.c.desired != "running")
        op.execute(symbols.update().where(is_held).values(held_by=holder))


def downgrade() -> None:
    """Go back from 0006 to 0005; the reason of a held symbol still says what holds it."""
    op.drop_column("symbols", "held_by")
