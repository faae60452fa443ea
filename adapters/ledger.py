"""The ledger in SQL: what must never be lost of one account, on SQLite or PostgreSQL."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from adapters.clock import now_ms as wall_ms
from adapters.database import upsert
from adapters.ledger_incidents import LedgerIncidents
from adapters.ledger_orders import day_of
from adapters.ledger_reads import REALISED, mine
from adapters.tables import account_days, decisions, fences, incidents, intents, positions, symbols
from trading.lifecycle import DesiredState
from trading.orders import Leg, OrderRequest, OrderState
from trading.ports import Decided, Intent
from trading.positions import Position
from trading.risk import LedgerView, Planned, Verdict

_PLACES = sa.union(
    sa.select(positions.c.symbol, positions.c.strategy).where(mine(positions), positions.c.units != 0),
    sa.select(intents.c.symbol, intents.c.strategy).where(mine(intents), intents.c.risk_reserved.is_not(None)),
).subquery("places")
_IS_UNSETTLED = sa.or_(
    sa.not_(intents.c.is_final),
    # filled by the venue's word, but no fill is written down yet: the position is not what it seems
    sa.and_(intents.c.state == OrderState.FILLED.value, intents.c.filled_units == 0),
)
_IS_OPEN = incidents.c.resolved_at_ms.is_(None)
_VIEW = sa.select(
    sa.select(fences.c.open_ms).where(mine(fences, "symbol", "strategy")).scalar_subquery().label("fence"),
    sa.select(symbols.c.desired).where(mine(symbols, "symbol")).scalar_subquery().label("desired"),
    sa.exists().where(mine(intents, "symbol"), _IS_UNSETTLED).label("has_unsettled"),
    sa.exists()
    .where(mine(intents, "symbol"), _IS_UNSETTLED, intents.c.leg == Leg.EXIT.value)
    .label("has_unsettled_exit"),
    sa.select(sa.func.min(incidents.c.reason))
    .where(mine(incidents, "symbol"), _IS_OPEN, incidents.c.halts)
    .scalar_subquery()
    .label("halted"),
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
    REALISED.scalar_subquery().label("realised"),
)
_DECISION = sa.insert(decisions).returning(decisions.c.id)
_INTENT = sa.insert(intents)
_EARLIER = sa.select(decisions.c.rule, decisions.c.reason, decisions.c.breached).where(
    mine(decisions, "symbol", "strategy", "open_ms")
)


class SqlLedger(LedgerIncidents):
    """`trading.ports.Ledger` on SQLite or PostgreSQL.

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
        judge: Callable[[LedgerView], Verdict],
        *,
        correlation_id: str,
        dry_run: bool = False,
    ) -> Decided:
        """Decide on one candle's signal, once; see `trading.ports.Ledger`. What `judge` raises undoes all of it."""
        key = {"account": self._account, "symbol": symbol, "strategy": strategy}
        with self._writing() as connection:
            row = connection.execute(_VIEW, {**key, "day": day_of(open_ms)}).one()
            if row.fence is not None and row.fence >= open_ms:
                return Decided(None, earlier=self._earlier(connection, {**key, "open_ms": open_ms}))
            verdict = judge(self._view(row, self._position(connection, symbol, strategy)))
            planned = () if dry_run else verdict.planned
            decision = _decision_row(verdict, open_ms, correlation_id, dry_run=dry_run)
            decision_id = connection.execute(_DECISION, key | decision).scalar_one()
            connection.execute(self._put_fence, {**key, "open_ms": open_ms})
            if planned:
                common = {"account": self._account, "decision_id": decision_id, "correlation_id": correlation_id}
                self._plan(connection, common, planned)
        return Decided(verdict, tuple(_intent(order.request, place) for place, order in enumerate(planned)))

    def set_desired(self, symbol: str, state: DesiredState, *, reason: str) -> None:
        """Write down what the user wants; see `trading.ports.Ledger`."""
        key = {"account": self._account, "symbol": symbol}
        with self._writing() as connection:
            row = {**key, "desired": state.value, "reason": reason, "changed_at_ms": wall_ms()}
            connection.execute(self._put_symbol, row)

    def _view(self, row: Any, position: Position) -> LedgerView:
        return LedgerView(
            desired=DesiredState(row.desired or DesiredState.RUNNING),
            position=position,
            has_unsettled=bool(row.has_unsettled),
            has_unsettled_exit=bool(row.has_unsettled_exit),
            halted=row.halted,
            open_positions=row.open_positions,
            open_risk=row.open_risk or 0.0,
            open_notional=row.open_notional or 0.0,
            day_realised=row.day_realised or 0.0,
            balance=self._starting_balance + row.realised,
        )

    def _earlier(self, connection: Connection, key: dict[str, Any]) -> Verdict | None:
        row = connection.execute(_EARLIER, key).one_or_none()
        return row and Verdict(row.rule, row.reason, breached=row.breached)

    def _plan(self, connection: Connection, common: dict[str, Any], planned: Sequence[Planned]) -> None:
        rows = [_intent_row(order, place) | common for place, order in enumerate(planned)]
        connection.execute(_INTENT, rows)


def _decision_row(verdict: Verdict, open_ms: int, correlation_id: str, *, dry_run: bool) -> dict[str, Any]:
    return {
        "open_ms": open_ms,
        "outcome": "dry" if dry_run else "accepted" if verdict.is_accepted else "refused",
        "rule": verdict.rule,
        "reason": verdict.reason,
        "breached": verdict.breached,
        "correlation_id": correlation_id,
        "written_at_ms": wall_ms(),
    }


def _intent(request: OrderRequest, place: int) -> Intent:
    """Return an intent as it is born: the first one of a decision is claimed by who decided."""
    return Intent(request, OrderState.PLANNED) if place else Intent(request, OrderState.SUBMITTING, attempt=1)


def _intent_row(planned: Planned, place: int) -> dict[str, Any]:
    request, born = planned.request, _intent(planned.request, place)
    is_entry = request.leg is Leg.ENTRY
    return {
        "client_order_id": request.client_order_id,
        "symbol": request.symbol,
        "strategy": request.strategy,
        "leg": request.leg.value,
        "side": request.side.value,
        "units": request.units,
        "reference_price": request.reference_price,
        "decided_ms": request.decided_ms,
        "stop_loss": request.stop_loss,
        "take_profit": request.take_profit,
        "state": born.state.value,
        "is_final": False,
        "filled_units": 0.0,
        "risk": planned.risk,
        "risk_reserved": planned.risk if is_entry else None,
        "notional_reserved": planned.notional if is_entry else None,
        "sequence": place,
        "attempt": born.attempt,
        "claimed_at_ms": wall_ms() if born.attempt else None,
    }
