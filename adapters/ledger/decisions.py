"""Decisions, each made once under the account's lock, and the orders that they plan."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import structs
from sqlalchemy import bindparam

from adapters.clock import now_ms as wall_ms
from adapters.ledger import incidents
from adapters.ledger.queries.account_snapshot import account_row, snapshot_of
from adapters.ledger.queries.reads import mine
from adapters.ledger.tables import Origin, decisions, fences, intents
from adapters.ledger.transaction import Transaction
from trading.execution.fill_booking import initial_intent
from trading.orders.orders import Leg
from trading.ports.ledger import NO_PRICES, DecisionResult
from trading.risk.fence import check_fence
from trading.risk.open_book import prices_of
from trading.risk.verdict import AccountSnapshot, Check, PlannedOrder, RiskDecision

SHORTEST_CANDLE_MS = 60_000
_NEW_DECISION = sa.insert(decisions).returning(decisions.c.id)
_NEW_INTENT = sa.insert(intents)
_NEWEST = sa.select(sa.func.max(decisions.c.open_ms)).where(
    mine(decisions, "symbol", "strategy"), decisions.c.open_ms < bindparam("before_ms")
)
_FENCE = sa.select(fences.c.open_ms).where(mine(fences, "symbol", "strategy"))
_EARLIER = sa.select(decisions.c.rule, decisions.c.reason, decisions.c.breached, decisions.c.exit_rule).where(
    mine(decisions, "symbol", "strategy", "open_ms")
)


def decide(
    tx: Transaction,
    symbol: str,
    strategy: str,
    open_ms: int,
    evaluate: Callable[[AccountSnapshot], RiskDecision],
    *,
    correlation_id: str,
    dry_run: bool,
    prices: Mapping[str, float],
    latest_ms: int | None,
    at_ms: int | None,
) -> DecisionResult:
    """Decide on one candle's signal, once; an error of `evaluate` undoes the transaction."""
    row = account_row(tx, symbol, strategy, open_ms, open_ms if at_ms is None else at_ms)
    check_fence(row.fence, open_ms, latest_ms)
    if row.is_decided or (row.fence is not None and row.fence >= open_ms):
        return DecisionResult(None, earlier=_earlier(tx, symbol, strategy, open_ms))
    snapshot = snapshot_of(tx, row, symbol, strategy, prices)
    verdict = evaluate(snapshot)
    planned = () if dry_run else verdict.planned
    decision = decision_row(verdict, open_ms, correlation_id, Origin.SIGNAL, snapshot, dry_run=dry_run)
    record_decision(tx, symbol, strategy, decision, intent_rows(planned))
    fence = {"account": tx.account, "symbol": symbol, "strategy": strategy, "open_ms": open_ms}
    tx.write(tx.upserts.fences, fence)
    if verdict.incident is not None and not dry_run:
        incidents.open_incidents(tx, [verdict.incident])
    return _result(verdict, planned)


def flatten(
    tx: Transaction,
    symbol: str,
    strategy: str,
    after_ms: int,
    evaluate: Callable[[AccountSnapshot, int], RiskDecision],
    *,
    correlation_id: str,
) -> DecisionResult:
    """Decide to close a strategy's position without a signal; a rejection is not recorded."""
    decision_ms = next_decision_ms(tx, symbol, strategy, after_ms)
    snapshot = snapshot_of(tx, account_row(tx, symbol, strategy, decision_ms, decision_ms), symbol, strategy, NO_PRICES)
    verdict = evaluate(snapshot, decision_ms)
    if verdict.is_accepted:
        decision = decision_row(verdict, decision_ms, correlation_id, Origin.FLATTEN, snapshot)
        record_decision(tx, symbol, strategy, decision, intent_rows(verdict.planned))
    return _result(verdict, verdict.planned)


def next_decision_ms(tx: Transaction, symbol: str, strategy: str, after_ms: int) -> int:
    """Return a time for a decision without a candle: no candle opens in the milliseconds after another one."""
    fence_ms: int | None = tx.execute(_FENCE, symbol=symbol, strategy=strategy).scalar()
    # later ones are of a fence that an operator has set back
    before_ms = max(after_ms, fence_ms or 0) + SHORTEST_CANDLE_MS
    newest_ms: int | None = tx.execute(_NEWEST, symbol=symbol, strategy=strategy, before_ms=before_ms).scalar()
    return max(after_ms, newest_ms or 0) + 1


def record_decision(
    tx: Transaction, symbol: str, strategy: str, decision: dict[str, Any], planned: Sequence[dict[str, Any]]
) -> None:
    """Record a decision, and the orders that it plans."""
    decision_id = tx.execute(_NEW_DECISION, symbol=symbol, strategy=strategy, **decision).scalar_one()
    if planned:
        cause = decision["correlation_id"]
        common = {"account": tx.account, "decision_id": decision_id, "correlation_id": cause}
        tx.write(_NEW_INTENT, [row | common for row in planned])


def _earlier(tx: Transaction, symbol: str, strategy: str, open_ms: int) -> RiskDecision | None:
    row = tx.execute(_EARLIER, symbol=symbol, strategy=strategy, open_ms=open_ms).one_or_none()
    return None if row is None else verdict_of(row)


def _result(verdict: RiskDecision, planned: Sequence[PlannedOrder]) -> DecisionResult:
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
        view: The account as the decision saw it; None where the decision did not depend on it.
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
        "prices": prices_of(view.books) if view else None,
    }


def verdict_of(row: Any) -> RiskDecision:
    """Return the verdict of a row, without its orders and checks."""
    return RiskDecision(row.rule, row.reason, breached=row.breached, exit_rule=row.exit_rule or "")


def check_rows(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Return the results of the rules, JSON-safe."""
    return [_check_row(one) for one in checks]


def _check_row(check: Check) -> dict[str, Any]:
    row = {"rule": check.rule, "is_met": check.is_met, "reason": check.reason}
    return row | {"fields": dict(check.fields)} if check.fields else row


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
        "at_fill": None if request.at_fill is None else structs.asdict(request.at_fill),
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
