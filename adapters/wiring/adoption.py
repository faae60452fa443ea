"""Adoption of the position that the venue holds: compare both sides, plan, and book."""

from collections.abc import Sequence
from typing import Any

from adapters.ledger.ledger import SqlLedger
from trading.execution.adoption import Adoption, AdoptionRequest, plan_adoption
from trading.services.pipeline import SymbolPipeline


def adopt(
    identity: int, ledger: SqlLedger, pipeline: SymbolPipeline, request: AdoptionRequest, *, configured: Sequence[str]
) -> tuple[Adoption, Sequence[dict[str, Any]]] | None:
    """Book the position that the venue holds, and return the booking and the incidents that it resolves.

    Args:
        identity: Number of the incident.
        pipeline: Of the incident's symbol; no other process may query its venue meanwhile.
        configured: The strategies that the symbol has by its configuration.

    Returns:
        None, and nothing is booked, when no open incident has this number.

    Raises:
        Rejected: The difference differs from the incident's, or the request is ambiguous.
        Transient: The venue did not answer.
    """
    incident = ledger.incident(identity)
    if incident is None:
        return None
    holdings = pipeline.holdings()
    known = ledger.incidents_of(incident.symbol)
    adoption = plan_adoption(incident, known, holdings, request, configured=configured)
    closed = ledger.adopt(identity, adoption, holdings, request)
    return (adoption, closed) if closed else None
