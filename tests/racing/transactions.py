"""The stakes of a race, and the reports of its processes."""

from dataclasses import dataclass, field
from typing import Literal

from trading.orders.orders import Fill, Leg, OrderRequest
from trading.risk.rules import AccountLimits

DAY_MS = 86_400_000
T0_MS = 20_000 * DAY_MS
TRIES_A_DAY = 40


@dataclass(frozen=True, slots=True)
class Sums:
    """The stakes of an account.

    Attributes:
        places: Symbols with a position or with an entry on its way.
        notional: Value of the positions at their entries and of the entries on their way, in quote currency.
        loss: Lost on the day and lost at all stops together, in quote currency.
    """

    places: int
    notional: float
    loss: float

    def of(self, limit: str) -> float:
        """Return what a limit of `AccountLimits` is about."""
        return {"max_open_positions": self.places, "max_notional": self.notional, "max_daily_loss": self.loss}[limit]


@dataclass(frozen=True, slots=True)
class Contest:
    """A race.

    Attributes:
        tries: Entries that all processes together ask for, in days of `TRIES_A_DAY`.
    """

    url: str
    account: AccountLimits
    tries: int
    seed: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction that was committed.

    Attributes:
        number: Its place among the transactions of all processes.
        wants_entry: It was a try.
        ended: The `client_order_id` of an order that fills no more.
    """

    number: int
    racer: int
    kind: Literal["decided", "marked", "filled"]
    symbol: str
    day: int
    rule: str = ""
    wants_entry: bool = False
    planned: tuple[OrderRequest, ...] = ()
    ended: str = ""
    fills: tuple[Fill, ...] = ()

    @property
    def is_accepted(self) -> bool:
        return any(request.leg is Leg.ENTRY for request in self.planned)


@dataclass(slots=True)
class Report:
    """The actions of one process.

    Attributes:
        seen: Sum of the rows after each accepted entry of its own.
        timeouts: Locks that were not given in time; each was asked for again.
    """

    transactions: list[Transaction] = field(default_factory=list)
    seen: list[Sums] = field(default_factory=list)
    timeouts: int = 0
