"""The contract of a venue: subclass `VenueContract`, and define the fixture `market` that returns a `Market`."""

from trading_orchestrator.testing.contracts.venue.orders import OrderContract
from trading_orchestrator.testing.contracts.venue.resting_orders import RestingOrderContract
from trading_orchestrator.testing.contracts.venue.stop_moves import StopMoveContract
from trading_orchestrator.testing.contracts.venue.subject import Market
from trading_orchestrator.testing.contracts.venue.terms import TermsContract

__all__ = ["Market", "VenueContract"]


class VenueContract(OrderContract, RestingOrderContract, StopMoveContract, TermsContract):
    """The promises of `trading.ports.venue.Venue`, on a venue that trades the symbols `SYMBOL` and `OTHER`."""
