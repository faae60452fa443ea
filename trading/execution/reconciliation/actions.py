"""The output of reconciliation: the actions that are due."""

from msgspec import Struct

from trading.formatting import format_units
from trading.incidents.descriptions import describe_order, describe_stop_move
from trading.incidents.incident import Incident
from trading.orders.intents import Intent
from trading.orders.orders import OpenOrder, OrderState, VenueOrder
from trading.portfolio.positions import StopMove


class UpdateOrder(Struct, frozen=True):
    """Record the state of an order at the venue.

    Attributes:
        dependents: Orders of the same decision that are given up with it, because it ended unfilled.
    """

    intent: Intent
    order: VenueOrder
    state: OrderState
    dependents: tuple[Intent, ...] = ()


class SubmitOrder(Struct, frozen=True):
    """Claim an order and send it: it was never sent, or the venue is sure that it has no such order.

    Attributes:
        dependents: Orders of the same decision that are given up when the venue rejects it.
    """

    intent: Intent
    dependents: tuple[Intent, ...] = ()


class AbandonOrder(Struct, frozen=True):
    """Give up an order that is not at the venue, and the orders of the same decision that depend on it."""

    intent: Intent
    state: OrderState
    reason: str
    dependents: tuple[Intent, ...] = ()


class WaitForVenue(Struct, frozen=True):
    """Wait, because the outcome of this order is not known yet; the symbol opens no position until it is."""

    intent: Intent
    reason: str


class CancelOrder(Struct, frozen=True):
    """Cancel an order that rests at the venue although we gave it up."""

    order: OpenOrder
    state: OrderState


class RaiseIncident(Struct, frozen=True):
    """Notify an operator, if the difference lasts over further comparisons."""

    incident: Incident


class ResendStop(Struct, frozen=True):
    """Send a recorded stop move again: the stop at the venue rests at an earlier price.

    Attributes:
        naked: The incident to raise if the stop still rests elsewhere afterwards.
    """

    move: StopMove
    naked: Incident


class WaitForStop(Struct, frozen=True):
    """Wait, because a misplaced stop cannot be moved now.

    Attributes:
        naked: The incident to raise if it stays there; None for none.
    """

    move: StopMove
    reason: str
    naked: Incident | None = None


class EndIncident(Struct, frozen=True):
    """Resolve an incident of a position without its stop, because no position lacks that stop any more."""

    incident: Incident
    reason: str


Action = (
    UpdateOrder
    | SubmitOrder
    | AbandonOrder
    | WaitForVenue
    | CancelOrder
    | ResendStop
    | WaitForStop
    | RaiseIncident
    | EndIncident
)


def describe(action: Action) -> dict[str, str]:
    """Describe an action, JSON-safe."""
    match action:
        case UpdateOrder(intent, order, state):
            found = (
                f"the venue has {describe_order(intent.request)}: {state.value}, "
                f"{format_units(order.filled_units)} filled"
            )
        case SubmitOrder(intent):
            found = f"the venue has no such order, so {describe_order(intent.request)} is sent"
        case AbandonOrder(intent, _, reason) | WaitForVenue(intent, reason):
            found = f"{describe_order(intent.request)}: {reason}"
        case CancelOrder(resting, state):
            found = f"{resting.client_order_id} rests at the venue although it is {state.value}: cancelled there"
        case ResendStop(move, _):
            found = f"the venue does not have the stop where it shall rest, so {describe_stop_move(move)} is sent"
        case WaitForStop(move, reason, _):
            found = f"{describe_stop_move(move)}: {reason}"
        case RaiseIncident(incident):
            found = incident.reason
        case EndIncident(incident, reason):
            found = f"{reason}: {incident.reason}"
    return {"action": type(action).__name__, "found": found}
