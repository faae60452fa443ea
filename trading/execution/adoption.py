"""Adoption of positions at the venue that the ledger does not explain, at the request of an operator only."""

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from trading.errors import Rejected
from trading.formatting import format_price, format_units
from trading.incidents.incident import Incident, IncidentKind
from trading.orders.orders import Leg, Side, VenuePosition
from trading.portfolio.positions import Position
from trading.tolerance import add_units, is_same_units, net_units, total_units

EXPLAINED = frozenset({IncidentKind.POSITION_MISMATCH, IncidentKind.FOREIGN_FILL})
"""Incidents that are resolved together, once ledger and venue agree."""

ADOPTABLE = EXPLAINED | {IncidentKind.UNOWNED_POSITION}


class Holdings(Struct, frozen=True):
    """The positions of one symbol in the ledger and at the venue at one moment.

    Attributes:
        ours: The ledger's positions of the symbol, flat ones too.
        theirs: The venue's positions of the symbol.
        last_open_ms: Open time of the last known candle, milliseconds since the epoch, UTC.
        market_ms: Market time, milliseconds since the epoch, UTC.
    """

    symbol: str
    ours: Sequence[Position]
    theirs: Sequence[VenuePosition]
    last_open_ms: int
    market_ms: int

    @property
    def our_units(self) -> float:
        return total_units(position.units for position in self.ours)

    @property
    def their_units(self) -> float:
        return total_units(position.units for position in self.theirs)

    @property
    def our_units_by_strategy(self) -> Mapping[str, float]:
        return {position.strategy: position.units for position in self.ours}


class AdoptionRequest(Struct, frozen=True):
    """An operator's request to adopt a position.

    Attributes:
        strategy: Strategy that gets the position; None if only one is possible.
        price: Price at which the difference is booked, in quote currency; None for the venue's average price.
        by: Name of the operator.
    """

    reason: str
    by: str
    strategy: str | None = None
    price: float | None = None

    @property
    def words(self) -> str:
        return f"adopted by {self.by}: {self.reason}"


class Adjustment(Struct, frozen=True):
    """One row to book like a trade: `units` positive, `price` in quote currency."""

    leg: Leg
    side: Side
    units: float
    price: float
    stop_loss: float | None = None
    take_profit: float | None = None

    def __str__(self) -> str:
        return f"{self.leg.value}: {self.side.value} {format_units(self.units)} at {format_price(self.price)}"


class Adoption(Struct, frozen=True):
    """The adjustments that make the ledger's position of one strategy equal to the venue's."""

    strategy: str
    adjustments: tuple[Adjustment, ...]


def plan_adoption(
    incident: Incident,
    open_incidents: Sequence[Incident],
    holdings: Holdings,
    request: AdoptionRequest,
    *,
    configured: Sequence[str],
) -> Adoption:
    """Return the adjustments that make the ledger's position equal to the venue's.

    Args:
        incident: The adopted incident.
        open_incidents: All open incidents of the symbol.
        configured: The symbol's configured strategies, at least one.

    Raises:
        Rejected: The incident has another kind, the difference has changed since, or the request is ambiguous.
    """
    if request.price is not None and not 0 < request.price < math.inf:
        raise Rejected("price", f"a price must be a positive number, not {request.price}")
    if incident.kind is IncidentKind.UNOWNED_POSITION:
        return _owned(incident, holdings, request)
    if incident.kind not in ADOPTABLE:
        kinds = ", ".join(sorted(ADOPTABLE))
        raise Rejected("kind", f"found an incident of kind {incident.kind.value}; only these can be adopted: {kinds}")
    _check_unchanged(incident, open_incidents, holdings)
    position = _chosen(holdings, request.strategy, configured)
    price = _price(holdings, request, open_incidents)
    return Adoption(
        position.strategy, tuple(_steps(position, add_units(holdings.their_units, -holdings.our_units), price))
    )


def _check_unchanged(incident: Incident, open_incidents: Sequence[Incident], holdings: Holdings) -> None:
    """Check that the difference is still the one that the operator saw."""
    ours, theirs = holdings.our_units, holdings.their_units
    now = f"now the ledger holds {format_units(ours)} units of {holdings.symbol} and the venue {format_units(theirs)}"
    if is_same_units(ours, theirs):
        raise Rejected("agreed", f"{now}: nothing to adopt; resolve the incident without adopting")
    reported = [one for one in (incident, *open_incidents) if one.kind is IncidentKind.POSITION_MISMATCH]
    if reported:
        ledger_units, venue_units = reported[0].details["ledger_units"], reported[0].details["venue_units"]
        is_same = is_same_units(ledger_units, ours) and is_same_units(venue_units, theirs)
        cause = (
            f"the incident says that the ledger holds {format_units(ledger_units)} "
            f"and the venue {format_units(venue_units)}"
        )
    else:
        by_hand = total_units(_signed(one) for one in open_incidents if one.kind is IncidentKind.FOREIGN_FILL)
        is_same = is_same_units(by_hand, add_units(theirs, -ours))
        cause = f"the reported foreign fills add up to {by_hand:+g} units"
    if not is_same:
        raise Rejected(
            "changed",
            f"{cause}, and {now}: resolve the incident without adopting, then reconcile",
        )


def _signed(foreign_fill: Incident) -> float:
    units: float = foreign_fill.details["units"]
    return Side(foreign_fill.details["side"]).sign * units


def _chosen(holdings: Holdings, strategy: str | None, configured: Sequence[str]) -> Position:
    """Return the position to which the difference is booked."""
    by_name = {position.strategy: position for position in holdings.ours}
    open_ones = sorted(position.strategy for position in holdings.ours if position.is_open)
    if strategy is None and len(open_ones) > 1:
        raise Rejected("strategy", f"several strategies hold the symbol; set strategy to one of {_list(open_ones)}")
    if strategy is None and not open_ones and len(configured) > 1:
        raise Rejected("strategy", f"no strategy holds the symbol; set strategy to one of {_list(configured)}")
    name = strategy or (open_ones[0] if open_ones else configured[0])
    if name not in {*by_name, *configured}:
        known = _list(sorted({*by_name, *configured}))
        raise Rejected("strategy", f"{holdings.symbol} has no strategy {name!r}; known are {known}")
    return by_name.get(name) or Position(holdings.symbol, name)


def _price(holdings: Holdings, request: AdoptionRequest, open_incidents: Sequence[Incident]) -> float:
    if request.price is not None:
        return request.price
    sides = {position.units > 0 for position in holdings.theirs}
    if len(sides) == 1 and (value := sum(at.units * at.average_price for at in holdings.theirs)):
        return value / holdings.their_units
    fills = [one.reason for one in open_incidents if one.kind is IncidentKind.FOREIGN_FILL]
    seen = f"; what was seen: {'; '.join(fills)}" if fills else ""
    raise Rejected("price", f"the venue reports no average price of its position: set the traded price{seen}")


def _steps(position: Position, units: float, price: float) -> list[Adjustment]:
    """Return the adjustments that change a position by `units`: first those that reduce it, then those that open."""
    side = Side.BUY if units > 0 else Side.SELL
    ended = min(abs(units), abs(position.units)) if units * position.units < 0 else 0.0
    opened = net_units(abs(units), -ended)
    steps = [Adjustment(Leg.EXIT, side, ended, price)] if ended else []
    if opened > 0 and not is_same_units(abs(units), ended):
        is_more = position.units * units > 0  # its stop and target continue to protect the whole position
        stop, target = (position.stop_loss, position.take_profit) if is_more else (None, None)
        steps.append(Adjustment(Leg.ENTRY, side, opened, price, stop, target))
    return steps


def _owned(incident: Incident, holdings: Holdings, request: AdoptionRequest) -> Adoption:
    """Close an unowned position in the ledger and reopen it at its own price: it gets an entry, and no profit."""
    if request.price is not None:
        raise Rejected("price", "an unowned position keeps its average price: omit the price")
    if not is_same_units(holdings.our_units, holdings.their_units):
        raise Rejected(
            "changed",
            f"the ledger holds {format_units(holdings.our_units)} units of {holdings.symbol} and the venue "
            f"{format_units(holdings.their_units)}: reconcile, and adopt that difference first",
        )
    units: float = incident.details["units"]
    position = next(
        (one for one in holdings.ours if str(one.opened_ms) == incident.key and is_same_units(one.units, units)), None
    )
    if position is None or request.strategy not in (None, position.strategy):
        held = (
            _list([f"{format_units(one.units)} by {one.strategy}" for one in holdings.ours if one.is_open]) or "nothing"
        )
        found = f"the incident is about {format_units(units)} units; now the ledger holds {held}"
        raise Rejected("changed", f"{found}: resolve the incident without adopting, then reconcile")
    leaving = Side.SELL if position.units > 0 else Side.BUY
    size, price = abs(position.units), position.average_price
    end = Adjustment(Leg.EXIT, leaving, size, price)
    begin = Adjustment(Leg.ENTRY, leaving.opposite, size, price, position.stop_loss, position.take_profit)
    return Adoption(position.strategy, (end, begin))


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
