"""Orders and fills as values, order states, and the id that prevents duplicate orders."""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from trading.errors import Broken
from trading.orders.equity_size import EquitySize


class Side(StrEnum):
    """Buy or sell; `sign` is 1 or -1."""

    BUY = "buy"
    SELL = "sell"

    def __init__(self, name: str) -> None:
        self.sign = 1 if name == "buy" else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self.sign > 0 else Side.BUY


class Leg(StrEnum):
    """The role of an order for its position."""

    ENTRY = "entry"
    EXIT = "exit"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"


class OrderState(StrEnum):
    """The state of an order, as far as known."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED})

ENDED_OTHERWISE = _FINAL - {OrderState.FILLED}
"""Final states of an order that did not fill completely."""

_NEXT: Mapping[OrderState, frozenset[OrderState]] = {
    # never sent: the claim to send it is the transition to SUBMITTING
    OrderState.PLANNED: frozenset({OrderState.SUBMITTING, OrderState.CANCELED, OrderState.EXPIRED}),
    # sent, or about to be; back to SUBMITTING when the venue confirms that it has no such order
    OrderState.SUBMITTING: frozenset(OrderState) - {OrderState.PLANNED},
    OrderState.UNKNOWN: frozenset(OrderState) - {OrderState.PLANNED},
    OrderState.ACCEPTED: _FINAL | {OrderState.PARTIALLY_FILLED, OrderState.UNKNOWN},
    OrderState.PARTIALLY_FILLED: _FINAL | {OrderState.UNKNOWN},
    # a fill is a fact: it overrides any earlier state
    OrderState.FILLED: frozenset(),
    OrderState.CANCELED: frozenset({OrderState.FILLED}),
    OrderState.REJECTED: frozenset({OrderState.FILLED}),
    OrderState.EXPIRED: frozenset({OrderState.FILLED}),
}
"""The allowed transitions. A final state can only change to FILLED."""


def next_order_state(current: OrderState, wanted: OrderState) -> OrderState:
    """Return `wanted` if an order may change to it from `current`; staying in a state is always allowed.

    Raises:
        Broken: The transition does not exist.
    """
    if wanted is current or wanted in _NEXT[current]:
        return wanted
    allowed = ", ".join(sorted(_NEXT[current])) or "nothing"
    raise Broken(f"transition of an order from {current} to {wanted} is not allowed; allowed from {current}: {allowed}")


_LEG_CODE = {Leg.ENTRY: "e", Leg.EXIT: "x", Leg.STOP_LOSS: "s", Leg.TAKE_PROFIT: "t"}
_PROTECTIVE_CODE = {Leg.STOP_LOSS: "s", Leg.TAKE_PROFIT: "t"}
PROTECTIVE_LEGS = frozenset(_PROTECTIVE_CODE)
_PROTECTIVE = re.compile(r"-[st]-(?=[0-9a-f]{10}$)")
_PLAIN = re.compile(r"[^A-Za-z0-9]")


def client_order_id(account: str, symbol: str, strategy: str, open_ms: int, leg: Leg) -> str:
    """Derive the id of the only order that a decision may create.

    The same decision gives the same id in any process, so a venue can reject a duplicate. The id has at most 32
    characters, only letters, digits and dashes, as the strictest venues require: `XAUUSD-1774360800-e-3f9a61c04b`.
    """
    identity = "\x1f".join((account, symbol, strategy, str(open_ms), leg))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    return f"{_plain(symbol)}-{open_ms // 1000}-{_LEG_CODE[leg]}-{digest}"


@lru_cache(maxsize=4096)
def _plain(symbol: str) -> str:
    return _PLAIN.sub("", symbol)[:8]


def adoption_id(account: str, symbol: str, strategy: str, open_ms: int, leg: Leg) -> str:
    """Derive the id of a row by which an operator adopts a venue's position: as an order's id, with the code a."""
    head, _, digest = client_order_id(account, symbol, strategy, open_ms, leg).rpartition(f"-{_LEG_CODE[leg]}-")
    return f"{head}-a-{digest}"


def protective_order_id(entry_id: str, leg: Leg) -> str:
    """Derive the id of an entry's stop or target: the leg code changes, the hash stays, so it is unique and as short.

    An id of another form than `client_order_id` produces gets the leg code appended.
    """
    code = _PROTECTIVE_CODE[leg]
    head, found, digest = entry_id.rpartition("-e-")
    return f"{head}-{code}-{digest}" if found else f"{entry_id}-{code}"


def decided_id(identity: str) -> str:
    """Return the id of the decided order: for a protective order its entry's id, otherwise the same id."""
    return identity if identity[-13:-10] == "-e-" else _PROTECTIVE.sub("-e-", identity)


def decided_open_ms(identity: str) -> int:
    """Return the open time of the decided candle from a `client_order_id` or the id of its protective order."""
    return int(identity.split("-")[1]) * 1000


class OrderRequest(Struct, frozen=True):
    """A market order, and the protective orders sent to the venue with it.

    Attributes:
        units: Size, positive, in units of the base asset.
        reference_price: Close of the decided candle, in quote currency.
        decided_ms: Close time of that candle, milliseconds since the epoch, UTC.
        stop_loss: Price of the stop to hold at the venue; None for none.
        take_profit: Price of the target to hold at the venue; None for none.
        at_fill: Size of an entry as a part of the equity, computed by the venue at the price of its fill; `units` is
            then its size at the reference price. None for an order of `units`. Only a venue whose
            `FillTerms.sizes_at_fill` is set gets one.
    """

    client_order_id: str
    symbol: str
    strategy: str
    leg: Leg
    side: Side
    units: float
    reference_price: float
    decided_ms: int
    stop_loss: float | None = None
    take_profit: float | None = None
    at_fill: EquitySize | None = None

    @property
    def notional(self) -> float:
        """Value of the order at the decision price, in quote currency; with `at_fill` the value that it may reach."""
        return self.units * self.reference_price if self.at_fill is None else self.at_fill.value()


class VenueOrder(Struct, frozen=True):
    """An order as the venue reports it."""

    client_order_id: str
    venue_order_id: str
    state: OrderState
    filled_units: float = 0.0


class OpenOrder(Struct, frozen=True):
    """An order that rests at the venue: not filled yet, or protecting a position.

    Attributes:
        units: Remaining units to fill, positive, in units of the base asset.
        price: Price of a stop or a target; None for a market order that waits.
    """

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    units: float
    price: float | None = None


class Fill(Struct, frozen=True):
    """One execution as the venue reports it.

    Attributes:
        sequence: Ascending number of the fill at this venue, unique.
        fill_id: Unique at this venue over all its symbols; for a venue that counts per symbol, the adapter prefixes the
            symbol.
        client_order_id: Id of the filled order; protective orders have ids of their own.
        units: Positive, in units of the base asset.
        price: In quote currency, after spread and slippage.
        fee: Commission in quote currency, not negative.
        market_ms: Market time: the open time of the candle in which it was filled.
    """

    sequence: int
    fill_id: str
    client_order_id: str
    symbol: str
    strategy: str
    leg: Leg
    side: Side
    units: float
    price: float
    fee: float
    market_ms: int


class VenuePosition(Struct, frozen=True):
    """The venue's position of one strategy on one symbol; `units` is negative when short."""

    symbol: str
    strategy: str
    units: float
    average_price: float
