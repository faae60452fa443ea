"""Tables of the ledger. Times named `*_ms` are milliseconds since the epoch, UTC; money is in quote currency."""

from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import Column, Table

metadata = sa.MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"},
)

_Text = sa.String
_Ms = sa.BigInteger
_Number = sa.Double  # float64 on both databases
_RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows only in an INTEGER key


accounts = Table(
    "accounts",
    metadata,
    Column("account", _Text, primary_key=True),
    Column("peak_realised", _Number, comment="highest profit realised since the last drawdown was cleared"),
    Column("drawdown", _Number, comment="deepest fall of the balance since then, as a fraction of its peak"),
    comment="One row for each account: what PostgreSQL locks while a decision is made",
)

symbols = Table(
    "symbols",
    metadata,
    Column("account", _Text, primary_key=True),
    Column("symbol", _Text, primary_key=True),
    Column("desired", _Text, nullable=False),
    Column("reason", _Text, nullable=False),
    Column("changed_at_ms", _Ms, nullable=False, comment="wall clock"),
    Column("held_by", _Text, nullable=False, server_default="", comment="config_change or removal; empty: a person"),
)

fences = Table(
    "fences",
    metadata,
    Column("account", _Text, primary_key=True),
    Column("symbol", _Text, primary_key=True),
    Column("strategy", _Text, primary_key=True),
    Column("open_ms", _Ms, nullable=False, comment="open time of the newest candle decided on"),
)

fence_resets = Table(
    "fence_resets",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("account", _Text, nullable=False),
    Column("symbol", _Text, nullable=False),
    Column("strategy", _Text, nullable=False, comment="empty: the cursor of the symbol"),
    Column("before_ms", _Ms, comment="null where there was no fence"),
    Column("after_ms", _Ms, nullable=False),
    Column("reason", _Text, nullable=False),
    Column("by", _Text, nullable=False, comment="who asked"),
    Column("written_at_ms", _Ms, nullable=False, comment="wall clock"),
    comment="Fences and cursors that an operator has set",
)

message_keys = Table(
    "message_keys",
    metadata,
    Column("account", _Text, primary_key=True),
    Column("key", _Text, nullable=False, comment="signs the messages between the steps; hexadecimal"),
    Column("created_at_ms", _Ms, nullable=False, comment="wall clock"),
    comment="The secret that all workers of an account share, and Redis does not have",
)


class Origin(StrEnum):
    """The origin of a decision."""

    SIGNAL = "signal"
    FLATTEN = "flatten"
    ADOPTION = "adoption"


decisions = Table(
    "decisions",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("account", _Text, nullable=False),
    Column("symbol", _Text, nullable=False),
    Column("strategy", _Text, nullable=False),
    Column("open_ms", _Ms, nullable=False),
    Column("outcome", _Text, nullable=False, comment="accepted, refused or dry"),
    Column("rule", _Text, nullable=False),
    Column("reason", _Text, nullable=False),
    Column("breached", sa.Boolean, nullable=False),
    Column("correlation_id", _Text, nullable=False),
    Column("written_at_ms", _Ms, nullable=False, comment="wall clock"),
    Column("origin", _Text, nullable=False, comment="signal; flatten or adoption: a person, or a policy, asked"),
    Column("checks", sa.JSON(none_as_null=True), comment="each rule that was asked, in order; null before 0004"),
    Column("exit_rule", _Text, comment="exit rule that asked for it; null for none"),
    Column("desired", _Text, comment="desired state that it was decided in; null where it is not known"),
    Column("halted", _Text, comment="why the symbol was halted then; null when it was not"),
    Column("quarantined", _Text, comment="why the symbol was quarantined then; null when it was not"),
    Column(
        "prices",
        sa.JSON(none_as_null=True),
        comment="latest price by symbol of the positions open then; null before 0010, when no leverage was limited",
    ),
    sa.UniqueConstraint("account", "symbol", "strategy", "open_ms", name="uq_decisions_candle"),
)

intents = Table(
    "intents",
    metadata,
    Column("client_order_id", _Text, primary_key=True),
    Column("decision_id", sa.ForeignKey("decisions.id", name="fk_intents_decision"), nullable=False),
    Column("account", _Text, nullable=False),
    Column("symbol", _Text, nullable=False),
    Column("strategy", _Text, nullable=False),
    Column("leg", _Text, nullable=False),
    Column("side", _Text, nullable=False),
    Column("units", _Number, nullable=False),
    Column("reference_price", _Number, nullable=False),
    Column("decided_ms", _Ms, nullable=False),
    Column("stop_loss", _Number),
    Column("take_profit", _Number),
    Column(
        "at_fill",
        sa.JSON(none_as_null=True),
        comment="part of the equity that an entry invests, sized by the venue when it fills; null: `units` are ordered",
    ),
    Column("state", _Text, nullable=False),
    Column("is_final", sa.Boolean, nullable=False),
    Column("venue_order_id", _Text),
    Column("filled_units", _Number, nullable=False, comment="what the fills written down add up to"),
    Column("risk", _Number, nullable=False, comment="loss at the stop when all of it fills"),
    Column("risk_reserved", _Number, comment="an entry's place in the account; null once it holds none"),
    Column("notional_reserved", _Number, comment="value of an entry that holds a place; else null"),
    Column("attempt", sa.Integer, nullable=False, comment="number of claims to send it"),
    Column("claimed_at_ms", _Ms, comment="wall clock of the last claim"),
    Column("note", _Text, comment="why it stands as it does"),
    Column("sequence", sa.Integer, nullable=False, comment="place in its decision"),
    Column("correlation_id", _Text, nullable=False),
    sa.Index("ix_intents_symbol", "account", "symbol", "decided_ms"),
)
_is_live = sa.or_(sa.not_(intents.c.is_final), intents.c.risk_reserved.is_not(None))
sa.Index("ix_intents_live", intents.c.account, intents.c.symbol, sqlite_where=_is_live, postgresql_where=_is_live)

orders = Table(
    "orders",
    metadata,
    Column("account", _Text, primary_key=True),
    Column("client_order_id", _Text, primary_key=True),
    Column("symbol", _Text, nullable=False),
    Column("strategy", _Text, nullable=False),
    Column("leg", _Text, nullable=False),
    Column("side", _Text, nullable=False),
    Column("venue_order_id", _Text),
    Column("state", _Text, nullable=False),
    Column("filled_units", _Number, nullable=False),
    Column("market_ms", _Ms, nullable=False, comment="of the decision; of the first fill for a protective order"),
    sa.Index("ix_orders_symbol", "account", "symbol", "market_ms"),
    comment="What the venue acknowledged; protective orders appear by their first fill",
)

fills = Table(
    "fills",
    metadata,
    Column("account", _Text, primary_key=True),
    Column("fill_id", _Text, primary_key=True),
    Column("sequence", sa.BigInteger, nullable=False),
    Column("client_order_id", _Text, nullable=False),
    Column("symbol", _Text, nullable=False),
    Column("strategy", _Text, nullable=False),
    Column("leg", _Text, nullable=False),
    Column("side", _Text, nullable=False),
    Column("units", _Number, nullable=False),
    Column("price", _Number, nullable=False),
    Column("fee", _Number, nullable=False),
    Column("market_ms", _Ms, nullable=False),
    Column("realised", _Number, nullable=False, comment="profit that this fill realised, after its fee"),
    Column(
        "correlation_id", _Text, comment="of the decision; for a protective order, of the one that opened the position"
    ),
    Column(
        "adjustment",
        sa.Integer,
        nullable=False,
        comment="0 for a fill of the venue; else the number of an adoption's row",
    ),
    sa.Index("ix_fills_symbol", "account", "symbol", "sequence"),
)

positions = Table(
    "positions",
    metadata,
    Column("account", _Text, primary_key=True),
    Column("symbol", _Text, primary_key=True),
    Column("strategy", _Text, primary_key=True),
    Column("units", _Number, nullable=False),
    Column("average_price", _Number, nullable=False),
    Column("opened_ms", _Ms, nullable=False),
    Column("realised", _Number, nullable=False),
    Column("stop_loss", _Number),
    Column("take_profit", _Number),
)

stop_moves = Table(
    "stop_moves",
    metadata,
    Column("account", _Text, primary_key=True),
    Column("symbol", _Text, primary_key=True),
    Column("strategy", _Text, primary_key=True),
    Column("open_ms", _Ms, primary_key=True, autoincrement=False, comment="of the candle that was decided on"),
    Column("entry_id", _Text, nullable=False, comment="client_order_id of the entry whose stop it is; empty for none"),
    Column("price_before", _Number, comment="null where there was no stop"),
    Column("price_after", _Number, nullable=False),
    Column("rule", _Text, comment="exit rule that asked for it; null for none"),
    Column("reason", _Text, nullable=False),
    Column("refusal", _Text, comment="why it was not moved; null when it was"),
    Column("correlation_id", _Text, nullable=False),
    Column("written_at_ms", _Ms, nullable=False, comment="wall clock"),
    sa.Index("ix_stop_moves_entry", "account", "entry_id", "open_ms"),
    comment="Why the stop of a position is to rest where it does: one row at most for each candle",
)

account_days = Table(
    "account_days",
    metadata,
    Column("account", _Text, primary_key=True),
    Column("day", sa.Date, primary_key=True, comment="UTC market day"),
    Column("realised", _Number, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("account", _Text, nullable=False),
    Column("symbol", _Text, nullable=False),
    Column("kind", _Text, nullable=False),
    Column("key", _Text, nullable=False, comment="names it among those of its kind and symbol"),
    Column("halts", sa.Boolean, nullable=False, comment="the symbol sends no orders until it is resolved"),
    Column("reason", _Text, nullable=False),
    Column("details", sa.JSON, nullable=False),
    Column("opened_at_ms", _Ms, nullable=False, comment="wall clock"),
    Column("resolved_at_ms", _Ms, comment="wall clock; null while it is open"),
    Column("resolution", _Text, comment="what a person said when resolving it"),
    Column("published_at_ms", _Ms, comment="wall clock; null until its event has left the worker"),
)
_is_open = incidents.c.resolved_at_ms.is_(None)
sa.Index(
    "uq_incidents_open",
    incidents.c.account,
    incidents.c.symbol,
    incidents.c.kind,
    incidents.c.key,
    unique=True,
    sqlite_where=_is_open,
    postgresql_where=_is_open,
)
