"""Closed trades and the high-water mark of the balance, computed from rows that are read under the account's lock."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from adapters.ledger.queries.reads import FOLDED, REALISED, mine
from adapters.ledger.rows import fill_of
from adapters.ledger.tables import accounts, fills, positions
from adapters.ledger.transaction import Reader
from trading.orders.orders import Leg, Side
from trading.portfolio.drawdown import HighWaterMark
from trading.portfolio.trades import ClosedTrade, TradeFold
from trading.tolerance import net_units


def _newest(alias: str, *conditions: Callable[[sa.FromClause], sa.ColumnElement[bool]]) -> sa.ScalarSelect[int]:
    """Select the sequence number of the newest fill of a row of `positions` that meets all conditions."""
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


def _since(*names: str, is_lateral: bool) -> sa.Select[Any]:
    """Select the fills of each position of the account, or of the parameters `names`, from one trade on.

    The positions come first, with the sequence number after which their fills begin: a join that the database may turn
    around reads every fill of the account, and looks for that number once for each of them.

    Args:
        is_lateral: Look up the fills of one position after the other, as SQLite does without being told.
    """
    beginning = (
        sa.select(
            positions.c.account,
            positions.c.symbol,
            positions.c.strategy,
            positions.c.units.label("held"),
            sa.func.coalesce(_EXIT_BEFORE_IT, -1).label("after"),
        )
        .where(mine(positions, *names))
        .cte("beginning")
        .prefix_with("MATERIALIZED")
    )
    is_own = (fills.c[name] == beginning.c[name] for name in ("account", "symbol", "strategy"))
    condition = sa.and_(*is_own, fills.c.sequence > beginning.c.after)
    if is_lateral:
        own = sa.select(fills).where(condition).order_by(*FOLDED).lateral("own")
        folded = (own.c[column.name] for column in FOLDED)
        return sa.select(*own.c, beginning.c.held).join_from(beginning, own, sa.true()).order_by(*folded)
    return sa.select(fills, beginning.c.held).join_from(beginning, fills, condition).order_by(*FOLDED)


TRADES_SINCE = {name: _since(is_lateral=name == "postgresql") for name in ("sqlite", "postgresql")}
_SINCE_OF_SYMBOL = {name: _since("symbol", is_lateral=name == "postgresql") for name in ("sqlite", "postgresql")}
_FILLS_A_PAGE = 64
_EARLIER = (
    sa.select(fills)
    .where(
        mine(fills, "symbol", "strategy"),
        sa.or_(
            fills.c.sequence < bindparam("before"),
            sa.and_(fills.c.sequence == bindparam("before"), fills.c.adjustment < bindparam("before_adjustment")),
        ),
    )
    .order_by(*(column.desc() for column in FOLDED))
    .limit(_FILLS_A_PAGE)
)
HIGH_WATER = (
    sa.select(accounts.c.peak_realised).where(mine(accounts)).scalar_subquery().label("peak_realised"),
    sa.select(accounts.c.drawdown).where(mine(accounts)).scalar_subquery().label("drawdown"),
    REALISED.scalar_subquery().label("realised"),
)


def trades_since(reader: Reader, since_ms: int, symbol: str | None) -> Sequence[ClosedTrade]:
    """Return the trades that were closed after `since_ms`, of one symbol or of all.

    One statement reads each strategy's fills from its last trade that had begun by then. Where a trade had a partial
    exit before another entry, those fills begin in the middle of it: then the earlier ones are read too.
    """
    chosen = TRADES_SINCE if symbol is None else _SINCE_OF_SYMBOL
    rows = reader.execute(chosen[reader.connection.dialect.name], since_ms=since_ms, symbol=symbol).all()
    by_owner: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows:
        by_owner[row.symbol, row.strategy].append(row)
    trades = [one for own in by_owner.values() for one in _folded(*_whole(reader, own))]
    return [one for one in trades if one.closed_ms > since_ms]


def _folded(units: float, rows: Iterable[Any]) -> list[ClosedTrade]:
    fold = TradeFold(units)
    return [trade for row in rows if (trade := fold.add(fill_of(row._mapping), row.realised)) is not None]


def _whole(reader: Reader, rows: Sequence[Any]) -> tuple[float, Sequence[Any]]:
    """Return the units held before the first trade of `rows`, and `rows` with the fills of it that precede them."""
    held, gross = _held_before(rows)
    earlier: list[Any] = []
    before = _before(reader, rows[0])
    while held and (row := next(before, None)) is not None:
        gross = max(gross, abs(held), abs(row.units))
        after, held = held, net_units(held, -_signed(row), gross=gross)
        if after * held < 0:
            return after, [*reversed(earlier), *rows]  # this fill closed a trade and opened the one that follows
        earlier.append(row)
    return held, [*reversed(earlier), *rows]


def _held_before(rows: Sequence[Any]) -> tuple[float, float]:
    """Return the units held before the first of `rows`, which end at the present, and the largest part of that sum."""
    held: float = rows[0].held
    gross = abs(held)
    for row in reversed(rows):
        gross = max(gross, abs(held), abs(row.units))
        held = net_units(held, -_signed(row), gross=gross)
    return held, gross


def _before(reader: Reader, row: Any) -> Iterator[Any]:
    """Yield the fills of the same position before a fill, newest first."""
    page: Sequence[Any] = [row]
    while page:
        last = page[-1]
        place = {"before": last.sequence, "before_adjustment": last.adjustment}
        page = reader.execute(_EARLIER, symbol=last.symbol, strategy=last.strategy, **place).all()
        yield from page


def _signed(row: Any) -> float:
    return Side(row.side).sign * float(row.units)


def high_water_of(row: Any, starting_balance: float) -> HighWaterMark:
    """Return the high-water mark of a row with the columns of `HIGH_WATER`.

    An account without one has the balance as its peak, at least the starting balance.
    """
    peak_realised = max(0.0, row.realised) if row.peak_realised is None else row.peak_realised
    return HighWaterMark(starting_balance + peak_realised, row.drawdown or 0.0)
