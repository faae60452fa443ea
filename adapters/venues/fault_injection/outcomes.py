"""Injected outcomes of orders, drawn from the order id alone: the same in every process, every time."""

import math
import random
import re
from decimal import Decimal

from configs.fault_injection import Faults
from trading.orders.orders import Fill, OrderRequest, OrderState, VenueOrder
from trading.structs import replace

_PROTECTIVE = re.compile(r"-[st](-|$)")
_STOP = re.compile(r"-s(-|$)")
_RENAMED = re.compile(r"-r\d+$")
_TAKEN = (0.25, 0.5, 0.75)  # exact in binary, so the part has no rounding error
_GRID_BITS = 20
_PART_DIGITS = 5


class Outcomes:
    """Computes outcomes from seed and id, without state."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def is_rejected(self, client_order_id: str) -> bool:
        return self._die("rejection", client_order_id).random() < self._faults.rejection_probability

    def is_lost(self, client_order_id: str) -> bool:
        """Return whether the venue drops this order: a stop, of those that rest."""
        is_stop = _STOP.search(client_order_id) is not None
        die = self._die("lost_stop", self.first_id(client_order_id))
        return is_stop and die.random() < self._faults.lost_stop_probability

    def taken_units(self, request: OrderRequest) -> float:
        """Return the part of an order that the venue accepts."""
        return float(Decimal(str(request.units)) * Decimal(str(self._taken(request.client_order_id))))

    def told(self, order: VenueOrder) -> VenueOrder:
        """Convert an order of the inner venue: to its first id, and to canceled if only the accepted part was
        filled.
        """
        client_order_id = self.first_id(order.client_order_id)
        is_part = order.state is OrderState.FILLED and self._taken(client_order_id) < 1
        return replace(order, client_order_id=client_order_id, state=OrderState.CANCELED if is_part else order.state)

    def first_id(self, inner_id: str) -> str:
        """Return the original id of an order, from the id of any order derived from it."""
        return _RENAMED.sub("", inner_id) if self._faults.reusable_ids else inner_id

    def delay_s(self, client_order_id: str) -> float:
        """Return the seconds for which an order is not visible."""
        return self._die("visibility", client_order_id).uniform(0, self._faults.visibility_s)

    def parts(self, fill: Fill) -> list[Fill]:
        """Return a fill, or the two or three fills as which it is reported; `Numbering` reserves their numbers."""
        die = self._die("split_fill", fill.fill_id)
        if not die.random() < self._faults.split_fill_probability:
            return [fill]
        shares = [die.uniform(0.55, 0.8)] if die.random() < 0.5 else [die.uniform(0.3, 0.45), die.uniform(0.3, 0.45)]
        units, fees = cut_units(fill.units, shares), cut(fill.fee, shares)
        if min(units) <= 0:
            return [fill]
        first = fill.sequence - len(units) + 1
        return [
            replace(fill, sequence=first + at, fill_id=f"{fill.fill_id}.{at + 1}", units=part, fee=fees[at])
            for at, part in enumerate(units)
        ]

    def _taken(self, client_order_id: str) -> float:
        if _PROTECTIVE.search(client_order_id):
            return 1.0  # it was not sent: it has the size of its position
        die = self._die("partial_order", client_order_id)
        return die.choice(_TAKEN) if die.random() < self._faults.partial_order_probability else 1.0

    def _die(self, kind: str, identity: str) -> random.Random:
        return random.Random(f"{self._faults.seed}/{kind}/{identity}")


class Numbering:
    """Reserves numbers for the parts of a fill between the sequence numbers of the inner venue.

    The last part, or an undivided fill, has the highest of the reserved numbers. The newest number therefore follows
    from that of the inner venue, without reading the fill.
    """

    def __init__(self, faults: Faults) -> None:
        self._room = 8 if faults.split_fill_probability else 1

    def outer(self, sequence: int) -> int:
        """Return the reported number for one of the inner venue; 0 stays 0."""
        return (sequence + 1) * self._room - 1 if sequence else 0

    def inner_after(self, after: int) -> int:
        """Return the inner number after which fills may have a part numbered above `after`."""
        return (after + 1) // self._room - 1


def renamed(client_order_id: str, generation: int) -> str:
    """Return the id of the inner order when an id is accepted again; the first one keeps its id."""
    return client_order_id if generation == 1 else f"{client_order_id}-r{generation}"


def cut_units(units: float, shares: list[float]) -> list[float]:
    """Cut a number of units into decimals, as a venue tells them, one more than there are shares: they add up to it."""
    whole = Decimal(str(units))
    grain = Decimal(1).scaleb(whole.adjusted() - _PART_DIGITS)
    heads = [(whole * Decimal(share)).quantize(grain) for share in shares]
    return [float(part) for part in (*heads, whole - sum(heads))]


def cut(total: float, shares: list[float]) -> list[float]:
    """Divide a number into one part more than there are shares; their sum from left to right is bit-identical.

    All but the last are multiples of a coarse grid, so their sum is exact. It is more than half of the total, so the
    rest is exact too (P. Sterbenz, 1974).
    """
    grid = math.ldexp(1.0, math.frexp(total)[1] - _GRID_BITS)
    heads = [math.floor(total * share / grid) * grid for share in shares]
    return [*heads, total - sum(heads)]
