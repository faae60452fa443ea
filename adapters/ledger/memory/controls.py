"""Incidents and desired states of the ledger in memory, and the actions that they permit."""

from collections.abc import Sequence

from adapters.ledger.memory.stops import MemoryStops
from adapters.ledger.memory.symbol_books import SymbolBooks
from trading.errors import Broken
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState, PositionPolicy
from trading.orders.orders import Leg, OrderRequest
from trading.trading_state import Permissions, permissions


class MemoryControls(MemoryStops):
    """`trading.ports.ledger.IncidentLog` and `SymbolControls`, without an operator: nothing is quarantined."""

    def open_incidents(self, incidents: Sequence[Incident]) -> Sequence[Incident]:
        news = []
        for one in incidents:
            known = self._of(one.symbol).incidents
            if not any((one.kind, one.key) == (other.kind, other.key) for other in known):
                known.append(one)
                news.append(one)
        return news

    def incidents_of(self, symbol: str) -> Sequence[Incident]:
        return list(self._of(symbol).incidents)

    def unpublished(self, symbol: str) -> Sequence[Incident]:
        return ()

    def end_incidents(self, incidents: Sequence[Incident], resolution: str) -> None:
        for one in incidents:
            at = self._of(one.symbol)
            at.incidents = [other for other in at.incidents if (other.kind, other.key) != (one.kind, one.key)]

    def mark_published(self, incidents: Sequence[Incident]) -> None:
        """Do nothing: no event leaves a replay."""

    def desired(self, symbol: str) -> DesiredState:
        return self._of(symbol).desired

    def set_desired(self, symbol: str, state: DesiredState, *, reason: str) -> None:
        self._of(symbol).desired = state

    def quarantine(self, symbol: str) -> PositionPolicy | None:
        return None

    def set_quarantine(self, symbol: str, policy: PositionPolicy, *, cause: str, reason: str) -> bool:
        raise Broken(f"{symbol} cannot be quarantined in a replay, which has no operator ({cause}: {reason})")

    def clear_quarantine(self, symbol: str, *, reason: str) -> bool:
        return False

    def permissions(self, symbol: str) -> Permissions:
        return self._permissions(self._of(symbol))

    def _permissions(self, at: SymbolBooks) -> Permissions:
        return permissions(at.desired, halted=at.halted, unprotected=at.unprotected, latched=self._latched())

    def _may_be_sent(self, at: SymbolBooks, request: OrderRequest) -> bool:
        permitted = self._permissions(at)
        return permitted.entries if request.leg is Leg.ENTRY else permitted.exits

    def _latched(self) -> str | None:
        """Return the reason why no symbol may enter: a drawdown that no operator has cleared."""
        incidents = (one for at in self._symbols.values() for one in at.incidents)
        return min((one.reason for one in incidents if one.kind is IncidentKind.MAX_DRAWDOWN), default=None)
