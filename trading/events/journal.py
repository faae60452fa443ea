"""The journal of a symbol as values: one entry for each candle decided, with all that the decision came of."""

from collections.abc import Sequence

from msgspec import Struct

from trading.events.decisions import Decisions
from trading.lifecycle import DesiredState, PositionPolicy
from trading.market.candles import Candles


class Entry(Struct, frozen=True):
    """The decisions on one candle, and their inputs.

    Entries from before inputs were recorded have no candle, no times and no digest.

    Attributes:
        open_ms: Open time of the candle, milliseconds since the epoch, UTC.
        decisions: Those on the candle.
        values: Open, high, low, close in quote currency, volume in units; None in an old entry.
        close: In quote currency; None where neither kind of entry has it.
        as_of_ms: Market time at which the source showed the candle: how old its signal was.
        at_ms: Wall clock of the commit.
        desired: What the user wanted of the symbol when the candle was fetched.
        quarantine: The policy of a symbol that was quarantined; None for one that was not.
        config: Short digest of the configuration that decided; empty in an old entry.
    """

    open_ms: int
    decisions: Decisions
    regime: str
    correlation_id: str
    values: tuple[float, float, float, float, float] | None = None
    close: float | None = None
    as_of_ms: int | None = None
    at_ms: int | None = None
    timeframe: str = ""
    desired: DesiredState = DesiredState.RUNNING
    quarantine: PositionPolicy | None = None
    config: str = ""

    @property
    def is_replayable(self) -> bool:
        """Whether it holds all that the decision came of."""
        return self.values is not None and self.as_of_ms is not None


def candles_of(entries: Sequence[Entry]) -> Candles:
    """Return the candles of entries, of those that have one."""
    return Candles.from_rows([[entry.open_ms, *entry.values] for entry in entries if entry.values is not None])
