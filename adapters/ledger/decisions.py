"""Decisions and the orders that they plan, as rows."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapters.clock import now_ms as wall_ms
from adapters.ledger.orders import LedgerOrders
from adapters.ledger.queries.reads import mine
from adapters.ledger.tables import Origin, decisions, intents
from trading.execution.fill_booking import initial_intent
from trading.orders.orders import Leg
from trading.ports.ledger import DecisionResult
from trading.risk.verdict import AccountSnapshot, Check, PlannedOrder, RiskDecision

_NEW_DECISION = sa.insert(decisions).returning(decisions.c.id)
_NEW_INTENT = sa.insert(intents)
_NEWEST = sa.select(sa.func.max(decisions.c.open_ms)).where(mine(decisions, "symbol", "strategy"))


class LedgerPlanning(LedgerOrders):
    """Writes decisions, under the account's lock."""

    def _next_decision_ms(self, connection: Connection, key: dict[str, Any], after_ms: int) -> int:
        """Return a time for a decision without a candle: no candle opens in the milliseconds after another one."""
        newest_ms: int | None = connection.execute(_NEWEST, key).scalar()
        return max(after_ms, newest_ms or 0) + 1

    def _plan(
        self, connection: Connection, key: dict[str, Any], decision: dict[str, Any], planned: Sequence[dict[str, Any]]
    ) -> None:
        """Write a decision of (symbol, strategy), and the orders that it plans."""
        decision_id = connection.execute(_NEW_DECISION, key | decision).scalar_one()
        if planned:
            cause = decision["correlation_id"]
            common = {"account": self._account, "decision_id": decision_id, "correlation_id": cause}
            connection.execute(_NEW_INTENT, [row | common for row in planned])


def decided(verdict: RiskDecision, planned: Sequence[PlannedOrder]) -> DecisionResult:
    return DecisionResult(verdict, tuple(initial_intent(order.request, place) for place, order in enumerate(planned)))


def decision_row(
    verdict: RiskDecision,
    open_ms: int,
    correlation_id: str,
    origin: Origin,
    view: AccountSnapshot | None = None,
    *,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Return a decision as a row.

    Args:
        view: The account as the decision saw it; None where it depended on nothing.
    """
    return {
        "open_ms": open_ms,
        "outcome": "dry" if dry_run else "accepted" if verdict.is_accepted else "refused",
        "rule": verdict.rule,
        "reason": verdict.reason,
        "breached": verdict.breached,
        "correlation_id": correlation_id,
        "written_at_ms": wall_ms(),
        "origin": origin.value,
        "checks": check_rows(verdict.checks),
        "exit_rule": verdict.exit_rule or None,
        "desired": view.desired.value if view else None,
        "halted": view.halted if view else None,
        "quarantined": view.quarantined if view else None,
    }


def verdict_of(row: Any) -> RiskDecision:
    """Return the verdict of a row, without its orders and checks."""
    return RiskDecision(row.rule, row.reason, breached=row.breached, exit_rule=row.exit_rule or "")


def check_rows(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Return the rules that were asked, JSON-safe."""
    return [{"rule": one.rule, "is_met": one.is_met, "reason": one.reason} for one in checks]


def intent_rows(planned: Sequence[PlannedOrder]) -> list[dict[str, Any]]:
    return [_intent_row(order, place) for place, order in enumerate(planned)]


def _intent_row(planned: PlannedOrder, place: int) -> dict[str, Any]:
    request, intent = planned.request, initial_intent(planned.request, place)
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
        "state": intent.state.value,
        "is_final": False,
        "filled_units": 0.0,
        "risk": planned.risk,
        "risk_reserved": planned.risk if is_entry else None,
        "notional_reserved": planned.notional if is_entry else None,
        "sequence": place,
        "attempt": intent.attempt,
        "claimed_at_ms": wall_ms() if intent.attempt else None,
    }
