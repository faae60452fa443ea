"""Rows by which the ledger takes over what the venue holds, because a person asked for it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from adapters.ledger.decisions import decision_row, intent_rows
from adapters.ledger.incident_resolution import LedgerResolution
from adapters.ledger.incidents import IS_OPEN
from adapters.ledger.orders import NEWEST_FILL, POSITIONS_OF_SYMBOL
from adapters.ledger.queries.reads import mine
from adapters.ledger.rows import position_of
from adapters.ledger.tables import Origin, fills, incidents
from trading.errors import Rejected
from trading.execution.adoption import EXPLAINED, Adjustment, Adoption, AdoptionRequest, Holdings
from trading.incidents.incident import Incident, IncidentKind
from trading.orders.orders import Fill, OrderRequest, adoption_id
from trading.risk.verdict import PlannedOrder, RiskDecision

_NEWEST_ADJUSTMENT = sa.select(sa.func.max(fills.c.adjustment)).where(mine(fills))
_OPEN = sa.select(incidents).where(mine(incidents, "symbol"), IS_OPEN).order_by(incidents.c.id)
_BY_NUMBER = sa.select(incidents).where(mine(incidents), incidents.c.id == bindparam("id"), IS_OPEN)
_NEVER_SENT = {"attempt": 0, "claimed_at_ms": None}


class LedgerAdoption(LedgerResolution):
    """Books adoptions."""

    def incident(self, identity: int) -> Incident | None:
        """Return an open incident by its number."""
        with self._reading.connect() as connection:
            row = connection.execute(_BY_NUMBER, {"account": self._account, "id": identity}).one_or_none()
        return None if row is None else Incident(IncidentKind(row.kind), row.symbol, row.key, row.reason, row.details)

    def adopt(
        self, identity: int, adoption: Adoption, holdings: Holdings, request: AdoptionRequest
    ) -> Sequence[dict[str, Any]]:
        """Book an adoption, and close the incidents that it explains, in one transaction.

        Its rows are fills with a number in `adjustment`, of intents that were never sent, of a decision whose origin
        says so. They stand behind all fills that are known now, and count in market time `holdings.market_ms`.

        Returns:
            The incidents that were closed; none, and nothing is booked, when no open one has this number.

        Raises:
            Rejected: The ledger holds something else than `holdings` says.
        """
        symbol, strategy = holdings.symbol, adoption.strategy
        key = {"account": self._account, "symbol": symbol, "strategy": strategy}
        with self._writing() as connection:
            rows = connection.execute(_OPEN, {"account": self._account, "symbol": symbol}).mappings().all()
            asked = next((row for row in rows if row["id"] == identity), None)
            if asked is None:
                return []
            self._check_as_seen(connection, holdings)
            decision_ms = self._next_decision_ms(connection, key, holdings.last_open_ms)
            planned = [self._planned(one, decision_ms, holdings, strategy) for one in adoption.adjustments]
            verdict = RiskDecision("adopted", f"{request.words} (incident {identity})", tuple(planned))
            decision = decision_row(verdict, decision_ms, f"adoption:{identity}", Origin.ADOPTION)
            orders = [row | _NEVER_SENT | {"note": request.words} for row in intent_rows(planned)]
            self._plan(connection, key, decision, orders)
            self._book_adoption(connection, [order.request for order in planned], holdings)
            ended = [row for row in rows if row is asked or {asked["kind"], row["kind"]} <= EXPLAINED]
            return [self._resolve(connection, row, request.words) for row in ended]

    def _check_as_seen(self, connection: Connection, holdings: Holdings) -> None:
        chosen = {"account": self._account, "symbol": holdings.symbol}
        now = [position_of(row) for row in connection.execute(POSITIONS_OF_SYMBOL, chosen)]
        if {position.strategy: position.units for position in now} != holdings.our_units_by_strategy:
            raise Rejected("changed", f"a fill of {holdings.symbol} was written down meanwhile: look again, then ask")

    def _planned(self, one: Adjustment, decision_ms: int, holdings: Holdings, strategy: str) -> PlannedOrder:
        identity = adoption_id(self._account, holdings.symbol, strategy, decision_ms, one.leg)
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

    def _book_adoption(self, connection: Connection, requests: Sequence[OrderRequest], holdings: Holdings) -> None:
        """Fill the orders of an adoption, behind all fills that are written down."""
        place = {"account": self._account, "symbol": holdings.symbol}
        sequence: int = connection.execute(NEWEST_FILL, place).scalar() or 0
        number: int = (connection.execute(_NEWEST_ADJUSTMENT, {"account": self._account}).scalar() or 0) + 1
        filled = [
            Fill(
                sequence,
                f"adoption-{number + at}",
                one.client_order_id,
                one.symbol,
                one.strategy,
                one.leg,
                one.side,
                one.units,
                one.reference_price,
                0.0,
                holdings.market_ms,
            )
            for at, one in enumerate(requests)
        ]
        booking = self._booking(connection, holdings.symbol, filled)
        booked = [(fill, *booking.add(fill)) for fill in filled]
        self._write_booking(connection, booking, booked, adjustment=number)
        self._note_balance(connection, booked)
