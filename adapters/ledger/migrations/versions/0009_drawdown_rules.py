"""Give the two rules about the drawdown an id of their own; both were called max_drawdown.

Revision: 0009, after 0008.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_FORMER = "max_drawdown"
_HEADROOM = " lost since the peak "
_decisions = sa.table(
    "decisions", sa.column("id", sa.Integer), sa.column("rule"), sa.column("reason"), sa.column("checks", sa.JSON)
)


def upgrade() -> None:
    """Go from 0008 to 0009: the reason of a row tells which of the two rules it names."""
    rule = sa.case((_decisions.c.reason.contains(_HEADROOM), "drawdown_headroom"), else_="drawdown_latch")
    op.execute(_decisions.update().where(_decisions.c.rule == _FORMER).values(rule=rule))
    _rename_checks(lambda check: _present(check) if check["rule"] == _FORMER else check["rule"])


def downgrade() -> None:
    """Go back from 0009 to 0008."""
    present = ("drawdown_latch", "drawdown_headroom")
    op.execute(_decisions.update().where(_decisions.c.rule.in_(present)).values(rule=_FORMER))
    _rename_checks(lambda check: _FORMER if check["rule"] in present else check["rule"])


def _present(check: dict[str, Any]) -> str:
    return "drawdown_headroom" if _HEADROOM in check["reason"] else "drawdown_latch"


def _rename_checks(name: Any) -> None:
    connection = op.get_bind()
    rows = connection.execute(
        sa.select(_decisions.c.id, _decisions.c.checks).where(
            sa.cast(_decisions.c.checks, sa.String).contains("drawdown")
        )
    ).all()
    for identity, checks in rows:
        changed = [{**check, "rule": name(check)} for check in checks]
        connection.execute(_decisions.update().where(_decisions.c.id == identity).values(checks=changed))
