"""Order intents as the ledger stores them, and their updates."""

from msgspec import Struct

from trading.orders.orders import OrderRequest, OrderState
from trading.structs import EqualIgnoringLastField


class Intent(EqualIgnoringLastField, frozen=True, eq=False):
    """A decided order and its present state.

    Attributes:
        attempt: Number of claims to send it; 0 for none.
        filled_units: Sum of the recorded fills.
        claimed_ago_s: Seconds of real time since the last claim; 0.0 without a claim. Equality ignores this field.
    """

    request: OrderRequest
    state: OrderState
    venue_order_id: str | None = None
    attempt: int = 0
    filled_units: float = 0.0
    claimed_ago_s: float = 0.0


class OrderUpdate(Struct, frozen=True):
    """A new state of an order.

    Attributes:
        reason: Explanation for an operator, where one is needed.
        claims: Number of the attempt that a transition to SUBMITTING begins. It must be one more than the intent's own;
            otherwise another process has claimed the order in between, and no update of the same batch is stored.
    """

    client_order_id: str
    state: OrderState
    venue_order_id: str | None = None
    reason: str = ""
    claims: int | None = None
