"""Invariants between the rows of a ledger."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapters.backup.snapshot import BATCH_ROWS
from adapters.ledger.audit.recompute import Findings, count_of
from adapters.ledger.tables import (
    Origin,
    decisions,
    fence_resets,
    fences,
    fills,
    intents,
    orders,
    positions,
    stop_moves,
)
from trading.orders.orders import PROTECTIVE_LEGS, Leg, OrderState, Side, decided_id, protective_order_id
from trading.portfolio.positions import Position

_STATES = frozenset(OrderState)
_OWNER = ("account", "client_order_id", "symbol", "strategy", "leg", "side")
_MAY_COST = sa.or_(sa.not_(intents.c.is_final), intents.c.filled_units > 0, intents.c.state == OrderState.FILLED.value)
_TWINS = (
    sa.select(intents.c.decision_id, intents.c.leg, sa.func.count().label("number"))
    .where(_MAY_COST)
    .group_by(intents.c.decision_id, intents.c.leg)
    .having(sa.func.count() > 1)
)
_IS_ADOPTED = sa.func.coalesce(decisions.c.origin, "") == Origin.ADOPTION.value
_MISLABELLED = (
    sa.select(fills.c.fill_id, fills.c.adjustment, decisions.c.origin)
    .select_from(
        fills.outerjoin(intents, intents.c.client_order_id == fills.c.client_order_id).outerjoin(
            decisions, decisions.c.id == intents.c.decision_id
        )
    )
    .where((fills.c.adjustment > 0) != _IS_ADOPTED)
)
_IS_SET_BACK = (
    sa.exists()
    .where(*(fence_resets.c[name] == decisions.c[name] for name in ("account", "symbol", "strategy")))
    .where(fence_resets.c.written_at_ms >= decisions.c.written_at_ms, fence_resets.c.after_ms < decisions.c.open_ms)
)
_NEWEST_DECISIONS = (
    sa.select(
        decisions.c.account, decisions.c.symbol, decisions.c.strategy, sa.func.max(decisions.c.open_ms).label("open_ms")
    )
    .where(decisions.c.origin == Origin.SIGNAL.value)  # the others are not on a candle
    .where(sa.not_(_IS_SET_BACK))  # an operator set the fence before it
    .group_by(decisions.c.account, decisions.c.symbol, decisions.c.strategy)
)
_FILLED_LAST = (
    sa.select(fills.c.client_order_id)
    .where(
        *(fills.c[name] == stop_moves.c[name] for name in ("account", "symbol", "strategy")),
        fills.c.leg == Leg.ENTRY.value,
    )
    .order_by(fills.c.sequence.desc())
    .limit(1)
    .scalar_subquery()
    .label("filled_last")
)
_MOVED = (
    sa.select(stop_moves, intents.c.leg, intents.c.stop_loss, intents.c.side, positions.c.units)
    .add_columns(positions.c.stop_loss.label("rests"), _FILLED_LAST)
    .select_from(
        stop_moves.outerjoin(
            intents,
            sa.and_(
                intents.c.client_order_id == stop_moves.c.entry_id,
                *(intents.c[name] == stop_moves.c[name] for name in ("account", "symbol", "strategy")),
            ),
        ).outerjoin(
            positions,
            sa.and_(*(positions.c[name] == stop_moves.c[name] for name in ("account", "symbol", "strategy"))),
        )
    )
    .where(stop_moves.c.refusal.is_(None))
    .order_by(stop_moves.c.account, stop_moves.c.symbol, stop_moves.c.strategy, stop_moves.c.open_ms)
)


def check_rules(connection: Connection, findings: Findings, progress: Callable[[int], None]) -> None:
    """Note each row that breaks a rule in `findings`, which hold the positions that follow from the fills."""
    for what, table in (("fill", fills), ("order", orders)):
        for batch in _batches(connection, _without_like_intent(table)):
            known = _intents_of(connection, batch)
            for row in batch:
                _owned(what, row, known, findings)
        progress(count_of(connection, table))
    _adjustments_are_adopted(connection, findings)
    _decisions_have_one_order(connection, findings)
    _fences_stand(connection, findings)
    _stops_are_explained(connection, findings)
    _intents_are_sound(connection, findings, progress)


def _without_like_intent(table: sa.Table) -> sa.Select[Any]:
    """Choose the rows that no intent of the same order agrees with: protective ones, and those that are wrong."""
    columns = [table.c[name] for name in _OWNER]
    is_like = sa.and_(*(intents.c[name] == table.c[name] for name in _OWNER))
    joined = table.outerjoin(intents, intents.c.client_order_id == table.c.client_order_id)
    is_only_strategy = sa.or_(intents.c.client_order_id.is_(None), sa.not_(is_like))
    return sa.select(*columns).distinct().select_from(joined).where(is_only_strategy)


def _owned(what: str, row: Any, known: dict[tuple[str, str], Any], findings: Findings) -> None:
    """Check that a fill or an order belongs to an intent, or protects a position of one."""
    identity = row.client_order_id
    is_protective = row.leg in PROTECTIVE_LEGS
    intent = known.get((row.account, _entry_of(identity) if is_protective else identity))
    if intent is None:
        findings.differ(f"{what}: intent", identity, "none", "an intent, or one that it protects")
        return
    expected = (intent.symbol, intent.strategy, intent.leg, intent.side)
    if is_protective:
        side = Side.SELL.value if intent.side == Side.BUY.value else Side.BUY.value
        expected = (intent.symbol, intent.strategy, row.leg, side)
        findings.compare(f"{what}: protects an", identity, intent.leg, Leg.ENTRY.value)
        protective = protective_order_id(intent.client_order_id, Leg(row.leg))
        findings.compare(f"{what}: order id", identity, identity, protective)
    findings.compare(f"{what}: as its intent", identity, (row.symbol, row.strategy, row.leg, row.side), expected)


def _entry_of(identity: str) -> str:
    """Return the id of the entry that a protective order of any form belongs to."""
    decided = decided_id(identity)
    return decided if decided != identity else identity.removesuffix("-s").removesuffix("-t")


def _adjustments_are_adopted(connection: Connection, findings: Findings) -> None:
    for row in connection.execute(_MISLABELLED):
        found = f"adjustment {row.adjustment} of a decision by {row.origin or 'nobody'}"
        findings.differ("fill: adjustment", row.fill_id, found, "a number where it was adopted, else 0")


def _decisions_have_one_order(connection: Connection, findings: Findings) -> None:
    for row in connection.execute(_TWINS):
        where = f"decision {row.decision_id} {row.leg}"
        findings.differ("decision: orders that are alive or filled", where, row.number, 1)


def _fences_stand(connection: Connection, findings: Findings) -> None:
    stored = {(row.account, row.symbol, row.strategy): row.open_ms for row in connection.execute(sa.select(fences))}
    for row in connection.execute(_NEWEST_DECISIONS):
        place = (row.account, row.symbol, row.strategy)
        fence_ms = stored.get(place)
        if fence_ms is None or fence_ms < row.open_ms:
            found = "no fence" if fence_ms is None else fence_ms
            findings.differ("fence", place, found, f"{row.open_ms} or later")


def _stops_are_explained(connection: Connection, findings: Findings) -> None:
    """Check that each move begins where the previous one ended, and that a position's stop is that of the last move."""
    before: Any = None
    for row in connection.execute(_MOVED):
        where = (row.account, row.symbol, row.strategy, row.open_ms)
        findings.compare("stop move: of an", where, row.leg, Leg.ENTRY.value)
        if before is not None and before.entry_id == row.entry_id:
            findings.compare("stop move: begins", where, row.price_before, before.price_after)
        else:
            _compare_rest(before, findings)
            findings.compare("stop move: begins", where, row.price_before, row.stop_loss)
        before = row
    _compare_rest(before, findings)


def _compare_rest(newest: Any, findings: Findings) -> None:
    """Compare the last move of an entry with the position, where that is the one which the entry filled last."""
    if newest is None or newest.side is None or not newest.units or newest.entry_id != newest.filled_last:
        return
    place = (newest.account, newest.symbol, newest.strategy)
    position = findings.positions.get(place) or Position(newest.symbol, newest.strategy)
    if position.opened_ms <= newest.open_ms and newest.units * Side(newest.side).sign > 0:
        findings.compare("position: stop_loss", place, newest.rests, newest.price_after)


def _intents_are_sound(connection: Connection, findings: Findings, progress: Callable[[int], None]) -> None:
    chosen = sa.select(intents, decisions.c.id.label("decision")).select_from(
        intents.outerjoin(decisions, decisions.c.id == intents.c.decision_id)
    )
    for row in connection.execute(chosen):
        progress(1)
        if row.decision is None:
            findings.differ("intent: decision", row.client_order_id, "none", f"decision {row.decision_id}")
        if row.state not in _STATES:
            findings.differ("intent: state", row.client_order_id, row.state, "a state of an order")
            continue
        findings.compare("intent: is_final", row.client_order_id, row.is_final, OrderState(row.state).is_final)
        _check_reservation(row, findings)


def _check_reservation(row: Any, findings: Findings) -> None:
    """Check that an entry holds a place in the account as long as it may fill, and none once it cannot lose."""
    is_reserved = row.risk_reserved is not None or row.notional_reserved is not None
    is_entry = row.leg == Leg.ENTRY.value
    may_fill = not OrderState(row.state).is_final or (row.state == OrderState.FILLED.value and not row.filled_units)
    if is_reserved and not (is_entry and (may_fill or _is_open(row, findings))):
        found = f"risk {row.risk_reserved}, notional {row.notional_reserved}"
        findings.differ("intent: reservation", row.client_order_id, found, "none: it can neither fill nor lose")
    if is_entry and may_fill and row.risk_reserved is None:
        findings.differ("intent: reservation", row.client_order_id, "none", f"risk {row.risk!r}: it may fill")


def _is_open(row: Any, findings: Findings) -> bool:
    position = findings.positions.get((row.account, row.symbol, row.strategy)) or Position(row.symbol, row.strategy)
    return bool(row.filled_units) and position.units * Side(row.side).sign > 0


def _batches(connection: Connection, chosen: sa.Select[Any]) -> Iterator[Sequence[Any]]:
    return connection.execute(chosen).partitions(BATCH_ROWS)


def _intents_of(connection: Connection, rows: Sequence[Any]) -> dict[tuple[str, str], Any]:
    ids = {row.client_order_id for row in rows} | {_entry_of(row.client_order_id) for row in rows}
    chosen = sa.select(*(intents.c[name] for name in _OWNER)).where(intents.c.client_order_id.in_(sorted(ids)))
    return {(row.account, row.client_order_id): row for row in connection.execute(chosen)}
