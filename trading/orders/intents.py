"""Orders as the ledger keeps them, and the updates that it takes."""

from msgspec import Struct

from trading.orders.orders import OrderRequest, OrderState
from trading.structs import EqualIgnoringLastField


class Intent(EqualIgnoringLastField, frozen=True, eq=False):
    """An order that was decided on, and how it stands.

    Attributes:
        attempt: How often it was claimed to be sent; 0 for never.
        filled_units: What the fills written down add up to.
        claimed_ago_s: Seconds of real time since the last claim; 0.0 when never. Two that differ in it alone are equal.
    """

    request: OrderRequest
    state: OrderState
    venue_order_id: str | None = None
    attempt: int = 0
    filled_units: float = 0.0
    claimed_ago_s: float = 0.0


class OrderUpdate(Struct, frozen=True):
    """How an order stands from now on.

    Attributes:
        reason: Why, where a person may ask.
        claims: The number of the attempt that a step to SUBMITTING begins. It is one more than the intent's own, else
            somebody else has claimed the order in between, and none of the marks that came with it is written.
    """

    client_order_id: str
    state: OrderState
    venue_order_id: str | None = None
    reason: str = ""
    claims: int | None = None
