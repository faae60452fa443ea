"""Closed trades and the height of the balance, as the ledger's rows tell them under the account's lock."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from adapters.ledger.queries.reads import FOLDED, REALISED, mine
from adapters.ledger.rows import fill_of
from adapters.ledger.tables import accounts, fills, positions
from trading.orders.orders import Leg
from trading.portfolio.drawdown import HighWaterMark
from trading.portfolio.trades import ClosedTrade, TradeFold


def _newest(alias: str, *conditions: Callable[[sa.FromClause], sa.ColumnElement[bool]]) -> sa.ScalarSelect[int]:
    """Choose the sequence number of the newest fill of a row of `positions` that fulfils conditions."""
    fill = fills.alias(alias)
    is_own = (fill.c[name] == positions.c[name] for name in ("account", "symbol", "strategy"))
    chosen = sa.select(fill.c.sequence).where(*is_own, *(one(fill) for one in conditions))
    return chosen.order_by(fill.c.sequence.desc()).limit(1).correlate(positions).scalar_subquery()


_LAST_ENTRY = _newest(
    "entered", lambda fill: fill.c.leg == Leg.ENTRY.value, lambda fill: fill.c.market_ms <= bindparam("since_ms")
)
_EXIT_BEFORE_IT = _newest(
    "left", lambda fill: fill.c.leg != Leg.ENTRY.value, lambda fill: fill.c.sequence < sa.func.coalesce(_LAST_ENTRY, 0)
)
_SINCE = (
    sa.select(fills, positions.c.units.label("held"))
    .select_from(
        positions.join(
            fills,
            sa.and_(
                fills.c.account == positions.c.account,
                fills.c.symbol == positions.c.symbol,
                fills.c.strategy == positions.c.strategy,
                fills.c.sequence > sa.func.coalesce(_EXIT_BEFORE_IT, -1),
            ),
        )
    )
    .where(mine(positions))
    .order_by(*FOLDED)
)
_SINCE_OF_SYMBOL = _SINCE.where(positions.c.symbol == bindparam("symbol"))
HIGH_WATER = (
    sa.select(accounts.c.peak_realised).where(mine(accounts)).scalar_subquery().label("peak_realised"),
    sa.select(accounts.c.drawdown).where(mine(accounts)).scalar_subquery().label("drawdown"),
    REALISED.scalar_subquery().label("realised"),
)


def trades_since(connection: Connection, account: str, since_ms: int, symbol: str | None) -> Sequence[ClosedTrade]:
    """Return the trades that were closed after `since_ms`, of one symbol or of all.

    Of each strategy the fills are read from its last trade that had begun by then, so that each trade has all of them.
    """
    chosen = _SINCE if symbol is None else _SINCE_OF_SYMBOL
    rows = connection.execute(chosen, {"account": account, "since_ms": since_ms, "symbol": symbol}).all()
    by_owner: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows:
        by_owner[row.symbol, row.strategy].append(row)
    trades = [one for own in by_owner.values() for one in _folded(own)]
    return [one for one in trades if one.closed_ms > since_ms]


def _folded(rows: Sequence[Any]) -> list[ClosedTrade]:
    booked = [(fill_of(row._mapping), row.realised) for row in rows]
    fold = TradeFold(rows[0].held - sum(fill.side.sign * fill.units for fill, _ in booked))
    return [trade for fill, realised in booked if (trade := fold.add(fill, realised)) is not None]


def high_water_of(row: Any, starting_balance: float) -> HighWaterMark:
    """Make it of a row with the columns of `HIGH_WATER`; of an account without one the balance is the highest known."""
    peak_realised = max(0.0, row.realised) if row.peak_realised is None else row.peak_realised
    return HighWaterMark(starting_balance + peak_realised, row.drawdown or 0.0)
