"""The exit rule behind a decision or a moved stop, and the state that a decision was made in, as columns.

Revision: 0007, after 0006. Until then they stood in the reasons alone: this is where those of old rows are read.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_EXIT_RULES = ("trailing_stop", "break_even", "manage_position")
"""Those of version 0.1.0: a reason began with the rule and a colon."""

_decisions = sa.table(
    "decisions",
    sa.column("id", sa.BigInteger),
    *(sa.column(name, sa.String) for name in ("symbol", "rule", "reason", "exit_rule")),
    *(sa.column(name, sa.String) for name in ("desired", "halted", "quarantined")),
    sa.column("checks", sa.JSON(none_as_null=True)),
)
_stop_moves = sa.table("stop_moves", sa.column("rule", sa.String), sa.column("reason", sa.String))


def upgrade() -> None:
    """Go from 0006 to 0007."""
    for column in (
        sa.Column("exit_rule", sa.String, comment="exit rule that asked for it; null for none"),
        sa.Column("desired", sa.String, comment="desired state that it was decided in; null where it is not known"),
        sa.Column("halted", sa.String, comment="why the symbol was halted then; null when it was not"),
        sa.Column("quarantined", sa.String, comment="why the symbol was quarantined then; null when it was not"),
    ):
        op.add_column("decisions", column)
    op.add_column("stop_moves", sa.Column("rule", sa.String, comment="exit rule that asked for it; null for none"))
    for rule in _EXIT_RULES:
        is_of_it = _stop_moves.c.reason.startswith(f"{rule}: ", autoescape=True)
        op.execute(sa.update(_stop_moves).where(is_of_it).values(rule=rule))
    connection = op.get_bind()
    for row_id, values in [*_exits(connection), *_states(connection)]:
        connection.execute(sa.update(_decisions).where(_decisions.c.id == row_id).values(**values))


def _exits(connection: sa.Connection) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (id, columns) of the decisions that an exit rule asked for: their first check names it."""
    has_it = sa.cast(_decisions.c.checks, sa.String).contains("exit_rule", autoescape=True)
    for row in connection.execute(sa.select(_decisions.c.id, _decisions.c.checks).where(has_it)).all():
        first = row.checks[0]
        rule = first["reason"].partition(": ")[0]
        if first["rule"] == "exit_rule" and rule in _EXIT_RULES:
            yield row.id, {"exit_rule": rule}


def _states(connection: sa.Connection) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (id, columns) of the decisions that were refused for the state of their symbol."""
    names = ("stopped", "halted", "quarantined", "paused")
    chosen = sa.select(_decisions.c.id, _decisions.c.symbol, _decisions.c.rule, _decisions.c.reason)
    for row in connection.execute(chosen.where(_decisions.c.rule.in_(names))).all():
        match row.rule:
            case "stopped":
                yield row.id, {"desired": "stopped"}
            case "halted":
                yield row.id, {"halted": row.reason.partition(": ")[2]}
            case "quarantined":
                yield row.id, {"quarantined": row.reason.rpartition("no entries: ")[2]}
            case "paused" if f"{row.symbol} is paused: no entries" in row.reason:
                yield row.id, {"desired": "paused"}


def downgrade() -> None:
    """Go back from 0007 to 0006; the reasons keep what these columns said."""
    op.drop_column("stop_moves", "rule")
    for name in ("quarantined", "halted", "desired", "exit_rule"):
        op.drop_column("decisions", name)
