"""The account as a decision sees it, in one statement under the account's lock."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import sqlalchemy as sa

from adapters.ledger.queries.reads import mine, position
from adapters.ledger.queries.restrictions import (
    DESIRED,
    HALTED,
    IS_UNPROTECTED,
    LATCHED,
    QUARANTINED,
    UNPROTECTED,
    desired_of,
)
from adapters.ledger.queries.trades import HIGH_WATER, high_water_of, trades_since
from adapters.ledger.tables import account_days, decisions, fences, fills, intents, positions
from adapters.ledger.transaction import Transaction
from trading.execution.fill_booking import day_of
from trading.orders.orders import Leg, OrderState, Side
from trading.risk.open_book import OpenBook, merged, part_of_entry
from trading.risk.verdict import AccountSnapshot

_PLACES = sa.union(
    sa.select(positions.c.symbol, positions.c.strategy).where(mine(positions), positions.c.units != 0),
    sa.select(intents.c.symbol, intents.c.strategy).where(mine(intents), intents.c.risk_reserved.is_not(None)),
).subquery("places")
_IS_UNSETTLED = sa.or_(
    sa.not_(intents.c.is_final),
    # the venue reports it as filled, but no fill is recorded yet: the recorded position is out of date
    sa.and_(intents.c.state == OrderState.FILLED.value, intents.c.filled_units == 0),
)
_RESERVED = (
    sa.select(sa.func.coalesce(sa.func.sum(intents.c.risk_reserved), 0.0))
    .where(
        intents.c.risk_reserved.is_not(None),
        intents.c.filled_units > 0,
        *(intents.c[name] == positions.c[name] for name in ("account", "symbol", "strategy")),
    )
    .correlate(positions)
    .scalar_subquery()
)
_VALUE = sa.func.abs(positions.c.units) * positions.c.average_price
_UNCOVERED = sa.case((_VALUE > _RESERVED, _VALUE - _RESERVED), else_=0.0)
"""Part of a position's value that its entries do not reserve as risk."""
_OF_UTC_DAY = sa.select(account_days.c.realised).where(mine(account_days, "day"))
_OF_DAY = sa.select(sa.func.sum(fills.c.realised)).where(
    mine(fills), fills.c.market_ms >= sa.bindparam("from_ms"), fills.c.market_ms < sa.bindparam("until_ms")
)
_SNAPSHOT = sa.select(
    sa.select(fences.c.open_ms).where(mine(fences, "symbol", "strategy")).scalar_subquery().label("fence"),
    # a fence that an operator set back lies before decisions that are recorded
    sa.exists().where(mine(decisions, "symbol", "strategy", "open_ms")).label("is_decided"),
    DESIRED,
    sa.exists().where(mine(intents, "symbol"), _IS_UNSETTLED).label("has_unsettled"),
    sa.exists()
    .where(mine(intents, "symbol", "strategy"), _IS_UNSETTLED, intents.c.leg == Leg.EXIT.value)
    .label("has_unsettled_exit"),
    HALTED,
    QUARANTINED,
    UNPROTECTED,
    sa.select(sa.func.sum(_UNCOVERED))
    .where(mine(positions), IS_UNPROTECTED)
    .scalar_subquery()
    .label("unprotected_risk"),
    sa.select(sa.func.count()).select_from(_PLACES).scalar_subquery().label("open_positions"),
    sa.select(sa.func.sum(intents.c.risk_reserved))
    .where(mine(intents), intents.c.risk_reserved.is_not(None))
    .scalar_subquery()
    .label("open_risk"),
    sa.select(sa.func.sum(intents.c.notional_reserved))
    .where(mine(intents), intents.c.risk_reserved.is_not(None))
    .scalar_subquery()
    .label("open_notional"),
    sa.select(sa.func.sum(intents.c.notional_reserved))
    .where(mine(intents, "symbol"), intents.c.risk_reserved.is_not(None))
    .scalar_subquery()
    .label("symbol_notional"),
    LATCHED,
    *HIGH_WATER,
)
_WITH_UTC_DAY = _SNAPSHOT.add_columns(_OF_UTC_DAY.scalar_subquery().label("day_realised"))
_WITH_DAY = _SNAPSHOT.add_columns(_OF_DAY.scalar_subquery().label("day_realised"))


_PARTS = sa.union_all(
    sa.select(
        positions.c.symbol,
        positions.c.strategy,
        positions.c.units,
        positions.c.average_price,
        sa.case((IS_UNPROTECTED, None), else_=positions.c.stop_loss).label("stop_loss"),
        sa.null().label("side"),
        sa.literal(0.0).label("risk"),
        sa.literal(0.0).label("notional"),
        sa.literal(0.0).label("filled_units"),
        sa.literal(False).label("ended"),
    ).where(mine(positions), positions.c.units != 0),
    sa.select(
        intents.c.symbol,
        intents.c.strategy,
        intents.c.units,
        sa.literal(0.0),
        sa.null(),
        intents.c.side,
        intents.c.risk_reserved,
        # an entry that waits reserves all of its value
        sa.func.coalesce(intents.c.notional_reserved, intents.c.units * intents.c.reference_price),
        intents.c.filled_units,
        sa.not_(_IS_UNSETTLED),
    ).where(mine(intents), intents.c.risk_reserved.is_not(None)),
)
"""Positions, and the entries with a place in the account; only these have a side."""


def account_row(tx: Transaction, symbol: str, strategy: str, open_ms: int, at_ms: int) -> Any:
    """Return fence, restrictions and sums as a row; its `fence` decides whether the candle is new.

    Args:
        open_ms: Open time of the candle.
        at_ms: Market time of the decision; the profit is that of its day.
    """
    candle = {"symbol": symbol, "strategy": strategy, "open_ms": open_ms}
    if tx.day.is_utc:
        return tx.execute(_WITH_UTC_DAY, **candle, day=day_of(at_ms)).one()
    from_ms, until_ms = tx.day.bounds(at_ms)
    return tx.execute(_WITH_DAY, **candle, from_ms=from_ms, until_ms=until_ms).one()


def snapshot_of(tx: Transaction, row: Any, symbol: str, strategy: str, prices: Mapping[str, float]) -> AccountSnapshot:
    """Return the account as a decision of a strategy sees it, from `account_row` and the latest known prices."""
    high = high_water_of(row, tx.starting_balance)
    return AccountSnapshot(
        desired=desired_of(row),
        position=position(tx, symbol, strategy),
        has_unsettled=bool(row.has_unsettled),
        has_unsettled_exit=bool(row.has_unsettled_exit),
        halted=row.halted,
        quarantined=row.quarantined,
        unprotected=row.unprotected,
        open_positions=row.open_positions,
        open_risk=(row.open_risk or 0.0) + (row.unprotected_risk or 0.0),
        open_notional=row.open_notional or 0.0,
        day_realised=row.day_realised or 0.0,
        balance=tx.starting_balance + row.realised,
        symbol_notional=row.symbol_notional or 0.0,
        peak_balance=high.peak,
        drawdown=high.drawdown,
        latched=row.latched,
        books=merged(map(_part, tx.execute(_PARTS)), prices),
        trades_since=partial(trades_since, tx),
    )


def _part(row: Any) -> OpenBook:
    if row.side is None:
        return OpenBook(row.symbol, row.strategy, row.units, row.average_price, row.stop_loss)
    return part_of_entry(
        row.symbol,
        row.strategy,
        Side(row.side).sign,
        risk=row.risk,
        notional=row.notional,
        units=row.units,
        filled_units=row.filled_units,
        ended=row.ended,
    )
