"""Adoption of the venue's position by the ledger, on an operator's request."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from adapters.ledger.decisions import decision_row, intent_rows, next_decision_ms, record_decision
from adapters.ledger.fills import POSITIONS_OF_SYMBOL, newest_sequence, read_booking, record_balance, write_booking
from adapters.ledger.incident_resolution import resolve
from adapters.ledger.queries.reads import IS_OPEN, mine
from adapters.ledger.rows import position_of
from adapters.ledger.tables import Origin, fills, incidents
from adapters.ledger.transaction import Transaction
from trading.errors import Rejected
from trading.execution.adoption import EXPLAINED, Adjustment, Adoption, AdoptionRequest, Holdings
from trading.orders.orders import Fill, OrderRequest, adoption_id
from trading.risk.verdict import PlannedOrder, RiskDecision

_NEWEST_ADJUSTMENT = sa.select(sa.func.max(fills.c.adjustment)).where(mine(fills))
_OPEN = sa.select(incidents).where(mine(incidents, "symbol"), IS_OPEN).order_by(incidents.c.id)
_NEVER_SENT = {"attempt": 0, "claimed_at_ms": None}


def adopt(
    tx: Transaction, identity: int, adoption: Adoption, holdings: Holdings, request: AdoptionRequest
) -> Sequence[dict[str, Any]]:
    """Book an adoption, resolve the incidents that it explains, and return them.

    Raises:
        Rejected: The ledger's positions differ from `holdings`.
    """
    symbol, strategy = holdings.symbol, adoption.strategy
    rows = tx.execute(_OPEN, symbol=symbol).mappings().all()
    incident = next((row for row in rows if row["id"] == identity), None)
    if incident is None:
        return []
    _check_as_seen(tx, holdings)
    decision_ms = next_decision_ms(tx, symbol, strategy, holdings.last_open_ms)
    planned = [_planned(tx.account, one, decision_ms, holdings, strategy) for one in adoption.adjustments]
    verdict = RiskDecision("adopted", f"{request.words} (incident {identity})", tuple(planned))
    decision = decision_row(verdict, decision_ms, f"adoption:{identity}", Origin.ADOPTION)
    orders = [row | _NEVER_SENT | {"note": request.words} for row in intent_rows(planned)]
    record_decision(tx, symbol, strategy, decision, orders)
    _book(tx, [order.request for order in planned], holdings)
    explained = [row for row in rows if row is incident or {incident["kind"], row["kind"]} <= EXPLAINED]
    return [resolve(tx, row, request.words) for row in explained]


def _check_as_seen(tx: Transaction, holdings: Holdings) -> None:
    now = [position_of(row) for row in tx.execute(POSITIONS_OF_SYMBOL, symbol=holdings.symbol)]
    if {position.strategy: position.units for position in now} != holdings.our_units_by_strategy:
        raise Rejected(
            "changed", f"a fill of {holdings.symbol} was recorded since: read the positions again, and retry"
        )


def _planned(account: str, one: Adjustment, decision_ms: int, holdings: Holdings, strategy: str) -> PlannedOrder:
    identity = adoption_id(account, holdings.symbol, strategy, decision_ms, one.leg)
    request = OrderRequest(
        identity,
        holdings.symbol,
        strategy,
        one.leg,
        one.side,
        one.units,
        one.price,
        holdings.market_ms,
        one.stop_loss,
        one.take_profit,
    )
    return PlannedOrder(request)


def _book(tx: Transaction, requests: Sequence[OrderRequest], holdings: Holdings) -> None:
    """Fill the orders of an adoption, after all recorded fills."""
    sequence = newest_sequence(tx, holdings.symbol)
    number: int = (tx.execute(_NEWEST_ADJUSTMENT).scalar() or 0) + 1
    filled = [_fill(one, sequence, number + at, holdings.market_ms) for at, one in enumerate(requests)]
    booking = read_booking(tx, holdings.symbol, filled)
    booked = [(fill, *booking.add(fill)) for fill in filled]
    write_booking(tx, booking, booked, adjustment=number)
    record_balance(tx, booked)


def _fill(one: OrderRequest, sequence: int, number: int, market_ms: int) -> Fill:
    return Fill(
        sequence,
        f"adoption-{number}",
        one.client_order_id,
        one.symbol,
        one.strategy,
        one.leg,
        one.side,
        one.units,
        one.reference_price,
        0.0,
        market_ms,
    )
