"""The ledger.

Revision: 0001, after nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go from nothing to 0001."""
    op.create_table(
        "account_days",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("day", sa.Date, nullable=False, comment="UTC market day"),
        sa.Column("realised", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("account", "day", name=op.f("pk_account_days")),
    )
    op.create_table(
        "accounts",
        sa.Column("account", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_accounts")),
        comment="One row for each account: what PostgreSQL locks while a decision is made",
    )
    op.create_table(
        "decisions",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("open_ms", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String, nullable=False, comment="accepted, refused or dry"),
        sa.Column("rule", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("breached", sa.Boolean, nullable=False),
        sa.Column("correlation_id", sa.String, nullable=False),
        sa.Column("written_at_ms", sa.BigInteger, nullable=False, comment="wall clock"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("account", "symbol", "strategy", "open_ms", name="uq_decisions_candle"),
    )
    op.create_table(
        "fences",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("open_ms", sa.BigInteger, nullable=False, comment="open time of the newest candle decided on"),
        sa.PrimaryKeyConstraint("account", "symbol", "strategy", name=op.f("pk_fences")),
    )
    op.create_table(
        "fills",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("fill_id", sa.String, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("client_order_id", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("leg", sa.String, nullable=False),
        sa.Column("side", sa.String, nullable=False),
        sa.Column("units", sa.Double, nullable=False),
        sa.Column("price", sa.Double, nullable=False),
        sa.Column("fee", sa.Double, nullable=False),
        sa.Column("market_ms", sa.BigInteger, nullable=False),
        sa.Column("realised", sa.Double, nullable=False, comment="profit that this fill realised, after its fee"),
        sa.Column(
            "correlation_id",
            sa.String,
            nullable=True,
            comment="of the decision; for a protective order, of the one that opened the position",
        ),
        sa.PrimaryKeyConstraint("account", "fill_id", name=op.f("pk_fills")),
    )
    op.create_index("ix_fills_symbol", "fills", ["account", "symbol", "sequence"])
    op.create_table(
        "orders",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("client_order_id", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("leg", sa.String, nullable=False),
        sa.Column("side", sa.String, nullable=False),
        sa.Column("venue_order_id", sa.String, nullable=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("filled_units", sa.Double, nullable=False),
        sa.Column(
            "market_ms",
            sa.BigInteger,
            nullable=False,
            comment="of the decision; of the first fill for a protective order",
        ),
        sa.PrimaryKeyConstraint("account", "client_order_id", name=op.f("pk_orders")),
        comment="What the venue acknowledged; protective orders appear by their first fill",
    )
    op.create_index("ix_orders_symbol", "orders", ["account", "symbol", "market_ms"])
    op.create_table(
        "positions",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("units", sa.Double, nullable=False),
        sa.Column("average_price", sa.Double, nullable=False),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("realised", sa.Double, nullable=False),
        sa.Column("stop_loss", sa.Double, nullable=True),
        sa.Column("take_profit", sa.Double, nullable=True),
        sa.PrimaryKeyConstraint("account", "symbol", "strategy", name=op.f("pk_positions")),
    )
    op.create_table(
        "symbols",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("desired", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger, nullable=False, comment="wall clock"),
        sa.PrimaryKeyConstraint("account", "symbol", name=op.f("pk_symbols")),
    )
    op.create_table(
        "intents",
        sa.Column("client_order_id", sa.String, nullable=False),
        sa.Column("decision_id", _ROW_ID, nullable=False),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("leg", sa.String, nullable=False),
        sa.Column("side", sa.String, nullable=False),
        sa.Column("units", sa.Double, nullable=False),
        sa.Column("reference_price", sa.Double, nullable=False),
        sa.Column("decided_ms", sa.BigInteger, nullable=False),
        sa.Column("stop_loss", sa.Double, nullable=True),
        sa.Column("take_profit", sa.Double, nullable=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("is_final", sa.Boolean, nullable=False),
        sa.Column("venue_order_id", sa.String, nullable=True),
        sa.Column("filled_units", sa.Double, nullable=False, comment="what the fills written down add up to"),
        sa.Column("risk", sa.Double, nullable=False, comment="loss at the stop when all of it fills"),
        sa.Column(
            "risk_reserved",
            sa.Double,
            nullable=True,
            comment="an entry's place in the account; null once it holds none",
        ),
        sa.Column("sequence", sa.Integer, nullable=False, comment="place in its decision"),
        sa.Column("correlation_id", sa.String, nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_intents_decision"),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_intents")),
    )
    op.create_index("ix_intents_symbol", "intents", ["account", "symbol", "decided_ms"])
    op.create_index(
        "ix_intents_live",
        "intents",
        ["account", "symbol"],
        sqlite_where=sa.text("is_final = 0 OR risk_reserved IS NOT NULL"),
        postgresql_where=sa.text("NOT is_final OR risk_reserved IS NOT NULL"),
    )


def downgrade() -> None:
    """Go back from 0001 to nothing."""
    for table in (
        "intents",
        "symbols",
        "positions",
        "orders",
        "fills",
        "fences",
        "decisions",
        "accounts",
        "account_days",
    ):
        op.drop_table(table)
