"""Positions that are to be closed: an exit is sent at each candle until none of them is open.

Two open incidents demand it: an exit ended and left its position open, and a position lacks its stop at the venue while
the policy is to flatten it. The ledger keeps the incident, so a restart continues, and it ends with the position; an
operator who resolves it before ends the attempts.
"""

from collections.abc import Mapping
from typing import Protocol

from trading.execution.order_manager import OrderManager
from trading.execution.position_closer import PositionCloser
from trading.execution.terms import ExecutionTerms
from trading.exits.exposure import SymbolExposure
from trading.incidents.incident import Incident, IncidentKind
from trading.market.candles import Candles
from trading.orders.orders import Leg, client_order_id
from trading.ports.ledger import IncidentLog, OrderLog


class StandingLedger(IncidentLog, OrderLog, Protocol):
    """The parts of the ledger that standing exits need."""


class StandingExits:
    """The positions of one symbol that are to be closed."""

    def __init__(
        self,
        terms: ExecutionTerms,
        order_manager: OrderManager,
        closer: PositionCloser,
        ledger: StandingLedger,
        exposure: SymbolExposure,
    ) -> None:
        self._terms = terms
        self._order_manager = order_manager
        self._closer = closer
        self._ledger = ledger
        self._exposure = exposure
        self.forget()

    def forget(self) -> None:
        """Drop the cache: a fill, an order or another process may have opened or ended an incident."""
        self._found: list[Incident] | None = None

    def is_due(self) -> bool:
        """Return whether each candle is processed alone, because a position is to be closed or lacks its stop."""
        return bool(self._incidents())

    def execute(self, candle: Candles, as_of_ms: int | None, *, closed_ms: int) -> None:
        """Send an exit for each position that is to be closed, unless one was decided at this candle.

        Ledger and venue are compared before: an exit whose outcome is unknown, or whose fill came late, is settled
        first, so none is sent twice. The ledger knows the exits of this candle, so a candle that is delivered again
        after a crash sends no more of them than one that is delivered once.

        Args:
            candle: Candles whose fills are recorded; the last one gives time and price.
            as_of_ms: Market time; None when the source does not tell it.
            closed_ms: End of the last candle, milliseconds since the epoch, UTC.
        """
        if not self.is_due():
            return
        self._compare(as_of_ms)
        if self._order_manager.is_settled:
            for strategy, reason in self._demands().items():
                if not self._has_exit(strategy, candle.last_open_ms):
                    self._closer.close_at(strategy, reason, candle, as_of_ms, closed_ms=closed_ms)
        self._forget_all()

    def flatten_unprotected(self, as_of_ms: int | None) -> None:
        """Close the positions without a stop at once, where the policy says so and ledger and venue agree."""
        self.forget()
        if self._order_manager.is_settled:
            for incident in self._incidents():
                if self._is_to_flatten(incident):
                    self._closer.close_at(incident.key, _reason(incident), None, as_of_ms)
        self._forget_all()

    def _has_exit(self, strategy: str, open_ms: int) -> bool:
        """Return whether a signal or a rule of this candle decided an exit, whatever became of it."""
        identity = client_order_id(self._terms.account, self._terms.symbol, strategy, open_ms, Leg.EXIT)
        return identity in self._ledger.order_states([identity])

    def _compare(self, as_of_ms: int | None) -> None:
        self._order_manager.settle(as_of_ms)
        self._forget_all()

    def _forget_all(self) -> None:
        self.forget()
        self._exposure.forget()

    def _demands(self) -> Mapping[str, str]:
        """Return the reason of each exit that is to be sent, by strategy."""
        demands = (one for one in self._incidents() if one.kind is IncidentKind.EXIT_FAILED or self._is_to_flatten(one))
        return {one.key: _reason(one) for one in demands}

    def _is_to_flatten(self, incident: Incident) -> bool:
        return incident.kind is IncidentKind.UNPROTECTED and self._terms.on_unprotected == "flatten"

    def _incidents(self) -> list[Incident]:
        if self._found is None:
            found = self._ledger.incidents_of(self._terms.symbol) if self._may_send() else ()
            self._found = [one for one in found if one.kind in (IncidentKind.EXIT_FAILED, IncidentKind.UNPROTECTED)]
        return self._found

    def _may_send(self) -> bool:
        return not self._terms.is_dry_run and self._exposure.exists()


def _reason(incident: Incident) -> str:
    if incident.kind is IncidentKind.UNPROTECTED:
        return "its stop is not at the venue, and on_unprotected is flatten"
    return f"sent again, because exit {incident.details['client_order_id']} failed"
