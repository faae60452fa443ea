"""The ledger in SQL: what must never be lost of one account, on SQLite or PostgreSQL."""

from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from adapters.clock import now_ms as wall_ms
from adapters.database import upsert
from adapters.ledger.decisions import decided, decision_row, intent_rows, verdict_of
from adapters.ledger.orders import day_of
from adapters.ledger.queries.reads import mine
from adapters.ledger.queries.trades import HIGH_WATER, high_water_of, trades_since
from adapters.ledger.restrictions import DESIRED, HALTED, LATCHED, QUARANTINED, desired_of
from adapters.ledger.stops import LedgerStops
from adapters.ledger.tables import Origin, account_days, decisions, fences, intents, positions, symbols
from trading.lifecycle import DesiredState
from trading.orders.orders import Leg, OrderState
from trading.portfolio.positions import Position
from trading.ports.ledger import DecisionResult
from trading.risk.verdict import AccountSnapshot, RiskDecision

_PLACES = sa.union(
    sa.select(positions.c.symbol, positions.c.strategy).where(mine(positions), positions.c.units != 0),
    sa.select(intents.c.symbol, intents.c.strategy).where(mine(intents), intents.c.risk_reserved.is_not(None)),
).subquery("places")
_IS_UNSETTLED = sa.or_(
    sa.not_(intents.c.is_final),
    # filled by the venue's word, but no fill is written down yet: the position is not what it seems
    sa.and_(intents.c.state == OrderState.FILLED.value, intents.c.filled_units == 0),
)
_VIEW = sa.select(
    sa.select(fences.c.open_ms).where(mine(fences, "symbol", "strategy")).scalar_subquery().label("fence"),
    DESIRED,
    sa.exists().where(mine(intents, "symbol"), _IS_UNSETTLED).label("has_unsettled"),
    sa.exists()
    .where(mine(intents, "symbol", "strategy"), _IS_UNSETTLED, intents.c.leg == Leg.EXIT.value)
    .label("has_unsettled_exit"),
    HALTED,
    QUARANTINED,
    sa.select(sa.func.count()).select_from(_PLACES).scalar_subquery().label("open_positions"),
    sa.select(sa.func.sum(intents.c.risk_reserved))
    .where(mine(intents), intents.c.risk_reserved.is_not(None))
    .scalar_subquery()
    .label("open_risk"),
    sa.select(sa.func.sum(intents.c.notional_reserved))
    .where(mine(intents), intents.c.risk_reserved.is_not(None))
    .scalar_subquery()
    .label("open_notional"),
    sa.select(account_days.c.realised).where(mine(account_days, "day")).scalar_subquery().label("day_realised"),
    sa.select(sa.func.sum(intents.c.notional_reserved))
    .where(mine(intents, "symbol"), intents.c.risk_reserved.is_not(None))
    .scalar_subquery()
    .label("symbol_notional"),
    LATCHED,
    *HIGH_WATER,
)
_EARLIER = sa.select(decisions.c.rule, decisions.c.reason, decisions.c.breached, decisions.c.exit_rule).where(
    mine(decisions, "symbol", "strategy", "open_ms")
)


class SqlLedger(LedgerStops):
    """`trading.ports.ledger.Ledger` on SQLite or PostgreSQL.

    Every method may raise `Transient`: the lock was not given in time, or the connection was lost. A lost answer to a
    commit is harmless: the fence, the fill ids and the final states make each call safe to repeat.
    """

    def __init__(self, engine: Engine, account_name: str, starting_balance: float) -> None:
        super().__init__(engine, account_name, starting_balance)
        self._put_fence = upsert(engine.dialect, fences)
        self._put_symbol = upsert(engine.dialect, symbols)

    def decide(
        self,
        symbol: str,
        strategy: str,
        open_ms: int,
        evaluate: Callable[[AccountSnapshot], RiskDecision],
        *,
        correlation_id: str,
        dry_run: bool = False,
    ) -> DecisionResult:
        """Decide on one candle's signal, once; see `trading.ports.ledger.Ledger`. What `evaluate` raises undoes all of
        it."""
        key = {"account": self._account, "symbol": symbol, "strategy": strategy}
        with self._writing() as connection:
            row = connection.execute(_VIEW, {**key, "day": day_of(open_ms)}).one()
            if row.fence is not None and row.fence >= open_ms:
                return DecisionResult(None, earlier=self._earlier(connection, {**key, "open_ms": open_ms}))
            view = self._view(connection, row, self._position(connection, symbol, strategy))
            verdict = evaluate(view)
            planned = () if dry_run else verdict.planned
            decision = decision_row(verdict, open_ms, correlation_id, Origin.SIGNAL, view, dry_run=dry_run)
            self._plan(connection, key, decision, intent_rows(planned))
            connection.execute(self._put_fence, {**key, "open_ms": open_ms})
            if verdict.incident is not None and not dry_run:
                self._open(connection, [verdict.incident])
        return decided(verdict, planned)

    def flatten(
        self,
        symbol: str,
        strategy: str,
        after_ms: int,
        evaluate: Callable[[AccountSnapshot, int], RiskDecision],
        *,
        correlation_id: str,
    ) -> DecisionResult:
        """Decide to close what a strategy holds, without a signal; see `trading.ports.ledger.Ledger`."""
        key = {"account": self._account, "symbol": symbol, "strategy": strategy}
        with self._writing() as connection:
            decision_ms = self._next_decision_ms(connection, key, after_ms)
            row = connection.execute(_VIEW, {**key, "day": day_of(decision_ms)}).one()
            view = self._view(connection, row, self._position(connection, symbol, strategy))
            verdict = evaluate(view, decision_ms)
            if verdict.is_accepted:
                decision = decision_row(verdict, decision_ms, correlation_id, Origin.FLATTEN, view)
                self._plan(connection, key, decision, intent_rows(verdict.planned))
        return decided(verdict, verdict.planned)

    def set_desired(self, symbol: str, state: DesiredState, *, reason: str) -> None:
        """Write down what the user wants; see `trading.ports.ledger.Ledger`."""
        key = {"account": self._account, "symbol": symbol}
        with self._writing() as connection:
            row = {**key, "desired": state.value, "reason": reason, "changed_at_ms": wall_ms(), "held_by": ""}
            connection.execute(self._put_symbol, row)

    def _view(self, connection: Connection, row: Any, position: Position) -> AccountSnapshot:
        high = high_water_of(row, self._starting_balance)
        return AccountSnapshot(
            desired=desired_of(row),
            position=position,
            has_unsettled=bool(row.has_unsettled),
            has_unsettled_exit=bool(row.has_unsettled_exit),
            halted=row.halted,
            quarantined=row.quarantined,
            open_positions=row.open_positions,
            open_risk=row.open_risk or 0.0,
            open_notional=row.open_notional or 0.0,
            day_realised=row.day_realised or 0.0,
            balance=self._starting_balance + row.realised,
            symbol_notional=row.symbol_notional or 0.0,
            peak_balance=high.peak,
            drawdown=high.drawdown,
            latched=row.latched,
            trades_since=partial(trades_since, connection, self._account),
        )

    def _earlier(self, connection: Connection, key: dict[str, Any]) -> RiskDecision | None:
        row = connection.execute(_EARLIER, key).one_or_none()
        return None if row is None else verdict_of(row)
