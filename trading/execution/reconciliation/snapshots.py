"""The input of reconciliation: the state of one symbol in the ledger and at the venue."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.intents import Intent
from trading.orders.orders import OpenOrder, OrderState, VenueOrder
from trading.portfolio.positions import Position, StopMove
from trading.tolerance import total_units
from trading.trading_state import Cause, Permissions, permissions


class LedgerSnapshot(Struct, frozen=True):
    """The state of one symbol in the ledger.

    Attributes:
        intents: Intents that are not settled, in the order of sending.
        positions: Of each strategy on the symbol.
        incidents: Open incidents, which are reported already.
        owners: Strategies with an entry that may have opened a position.
        states: How the orders stand that rest at the venue, by `client_order_id`; for a protective order how its entry
            stands. One that is missing is not ours.
        no_entries: Reason why no entry may be sent; empty when entries are allowed.
        moves: Stop moves of open positions, oldest first; may be empty where each stop rests at its recorded price.
        whose: Strategies of the orders that rest at the venue, by `client_order_id`; needed where several hold
            something.
        unit_step: Smallest unit step of its strategies; 0.0 where it is not known.
    """

    symbol: str
    intents: Sequence[Intent]
    positions: Sequence[Position]
    desired: DesiredState
    incidents: Sequence[Incident] = ()
    owners: frozenset[str] = frozenset()
    states: Mapping[str, OrderState] = field(default_factory=dict)
    no_entries: str = ""
    moves: Sequence[StopMove] = ()
    whose: Mapping[str, str] = field(default_factory=dict)
    unit_step: float = 0.0

    @property
    def halted(self) -> str | None:
        """The reason why no order may be sent until an operator resolves an incident; None for none."""
        return next((incident.reason for incident in self.incidents if incident.kind.halts), None)

    @property
    def quarantined(self) -> str | None:
        """The reason of the symbol's quarantine; None for none."""
        return next((one.reason for one in self.incidents if one.kind is IncidentKind.QUARANTINED), None)

    def permissions(self, order: Sequence[Cause]) -> Permissions:
        """Return what the symbol may do. The ledger applies the drawdown latch, when an entry is claimed."""
        return permissions(
            self.desired,
            halted=self.halted,
            quarantined=self.quarantined,
            unprotected=self.unprotected,
            order=order,
        )

    def is_reported(self, incident: Incident) -> bool:
        return any((one.kind, one.key) == (incident.kind, incident.key) for one in self.incidents)

    @property
    def unprotected(self) -> str | None:
        """The reason of an incident of a position without its stop at the venue; None for none."""
        return next((one.reason for one in self.incidents if one.kind is IncidentKind.UNPROTECTED), None)

    def units_of(self, strategy: str) -> float:
        """Return the position of a strategy."""
        return next((one.units for one in self.positions if one.strategy == strategy), 0.0)

    @property
    def units(self) -> float:
        return total_units(position.units for position in self.positions)


class VenueSnapshot(Struct, frozen=True):
    """The state of one symbol at the venue.

    Attributes:
        answers: For each intent asked about, None when there is no such order; missing when the venue did not answer.
        units: Its net position in the symbol; None when it was not asked, or did not answer.
        open_orders: The orders that rest there; None as with `units`.
        visibility_s: For how long after a send a "no such order" proves nothing.
    """

    answers: Mapping[str, VenueOrder | None]
    units: float | None = None
    open_orders: Sequence[OpenOrder] | None = None
    visibility_s: float = 0.0


class SignalAgeLimit(Struct, frozen=True):
    """The age from which an entry is no longer sent.

    Attributes:
        as_of_ms: Market time; None when the source does not tell it: then no entry is sent.
    """

    as_of_ms: int | None
    max_signal_age_ms: int
