"""The settings of a venue: the base for every kind, and those of the paper venue."""

from typing import Annotated, Literal

from pydantic import Field

from configs.fault_injection import Faults
from configs.services import ConfigModel
from trading.orders.fill_terms import FillTerms

NonNegative = Annotated[float, Field(strict=True, ge=0)]


class VenueConfig(ConfigModel):
    """Base of the settings of a venue; the members below are what is needed of it without opening it.

    Attributes:
        kind: Name of its entry point; a subclass narrows it to a `Literal`.
    """

    kind: str

    def backtest_fills(self, symbol: str) -> FillTerms:
        """Return the costs of each fill of a symbol in a backtest or replay."""
        return FillTerms(symbol=symbol)

    @property
    def replay_note(self) -> str:
        """A limitation of the comparison of a replay with a run on this venue; empty for none."""
        return f"the fills of its venue ({self.kind}) are simulated in the replay, and may differ from the real ones"


class PaperVenue(VenueConfig):
    """A venue with its own books that fills orders by the candles."""

    kind: Literal["paper"] = Field(description="paper: simulated fills, no money.")
    fill_at: Literal["next_open", "close"] = Field(
        default="next_open",
        description="Price of a market order: "
        "the open of the candle after the decision, or the close of the decided one.",
    )
    spread: NonNegative = Field(
        default=0.0,
        description="Spread (ask price minus bid price), in quote currency; each fill pays half of it.",
    )
    slippage: NonNegative = Field(
        default=0.0, description="Worse price at each market or stop fill, in quote currency."
    )
    commission_bps: NonNegative = Field(
        default=0.0,
        description="Commission of each fill, in basis points of its value; the parts of a commission are added.",
    )
    commission_per_unit: NonNegative = Field(
        default=0.0, description="Commission for each unit (share, contract) of a fill, in quote currency."
    )
    commission_per_order: NonNegative = Field(
        default=0.0, description="Commission for each order that fills, in quote currency."
    )
    min_commission: NonNegative = Field(
        default=0.0, description="Least commission of an order that fills, in quote currency."
    )
    faults: Faults | None = Field(
        default=None, description="Faults that the venue injects on purpose, for tests; none when left out."
    )

    def backtest_fills(self, symbol: str) -> FillTerms:
        return FillTerms(
            fill_at=self.fill_at,
            spread=self.spread,
            slippage=self.slippage,
            commission_bps=self.commission_bps,
            commission_per_unit=self.commission_per_unit,
            commission_per_order=self.commission_per_order,
            min_commission=self.min_commission,
            symbol=symbol,
            sizes_at_fill=self.fill_at == "next_open" and self.faults is None,
        )

    @property
    def replay_note(self) -> str:
        if self.faults is None:
            return ""
        return "the faults of its venue are not replayed; their effects are shown as differences"
