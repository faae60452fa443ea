"""Limits of positions and losses: the settings of the risk rules."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading.risk.protections import Protection

_SIZE_FIELD = {"fixed_units": "units", "fixed_notional": "notional", "risk_fraction": "risk_fraction"}


class RiskLimits(BaseModel):
    """Sizing, limits and reversal of one symbol's positions. Units are those of the base asset."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sizing: Literal["fixed_units", "fixed_notional", "risk_fraction"] = Field(
        default="fixed_units",
        description="fixed_units: `units` each time; fixed_notional: units worth `notional`; risk_fraction: that part "
        "of the balance is lost at the stop.",
    )
    units: float | None = Field(default=None, gt=0, description="Size of an entry; needed for fixed_units.")
    notional: float | None = Field(
        default=None, gt=0, description="Value of an entry, in quote currency; needed for fixed_notional."
    )
    risk_fraction: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Part of the balance lost at the stop, 0.01 is 1 %; needed for risk_fraction.",
    )
    unit_step: float = Field(
        default=1e-8, gt=0, description="Sizes are rounded down to a whole multiple of it, in units."
    )
    min_units: float = Field(default=0.0, ge=0, description="Smallest size that is traded, in units; 0 for none.")
    max_units: float | None = Field(
        default=None, gt=0, description="Largest size of a position, in units; none if absent."
    )
    min_notional: float = Field(
        default=0.0, ge=0, description="Smallest value of an entry that the venue takes, in quote currency; 0 for none."
    )
    max_notional: float | None = Field(
        default=None,
        ge=0,
        description="Value of this symbol's open positions and entries on their way, at the prices decided on, in "
        "quote currency; a reversal needs room for both sides until the old one is closed. 0 or absent for no limit.",
    )
    tick_size: float | None = Field(
        default=None,
        gt=0,
        description="Smallest step of the venue's prices, in quote currency: stop and target are rounded to it, "
        "towards the entry, and a stop that exit rules move is too. Not rounded if absent.",
    )
    min_reward_risk: float | None = Field(
        default=None,
        gt=0,
        description="Distance to the target over distance to the stop that an entry needs, 1.5 for one and a half; it "
        "needs both. None if absent.",
    )
    max_spread: float | None = Field(
        default=None,
        gt=0,
        description="Widest spread of the venue at which an entry goes out, in quote currency; none if absent.",
    )
    on_opposite_signal: Literal["close", "reverse", "ignore"] = Field(
        default="reverse", description="What an entry against an open position does to it."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if getattr(self, _SIZE_FIELD[self.sizing]) is None:
            raise ValueError(f"sizing {self.sizing} needs {_SIZE_FIELD[self.sizing]}")
        if self.max_units is not None and self.max_units < self.min_units:
            raise ValueError(f"max_units is {self.max_units:g}, below min_units {self.min_units:g}")
        if self.max_notional and self.max_notional < self.min_notional:
            raise ValueError(f"max_notional is {self.max_notional:g}, below min_notional {self.min_notional:g}")
        if self.sizing == "fixed_notional" and (self.notional or 0.0) < self.min_notional:
            raise ValueError(f"notional is {self.notional:g}, below min_notional {self.min_notional:g}")
        return self


class AccountLimits(BaseModel):
    """Limits of one account over all its symbols. Money is in the account's quote currency."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, description="Name of the account; part of the id of each order.")
    starting_balance: float = Field(gt=0, description="Balance before the first order, in quote currency.")
    max_open_positions: int | None = Field(
        default=None, ge=0, description="Positions open at the same time; 0 or absent for no limit."
    )
    max_notional: float | None = Field(
        default=None,
        ge=0,
        description="Value of all open positions and entries on their way, at the prices decided on, in quote "
        "currency; a reversal needs room for both sides until the old one is closed. 0 or absent for no limit.",
    )
    max_daily_loss: float | None = Field(
        default=None,
        ge=0,
        description="Loss of one UTC day, realised plus at all stops, in quote currency; 0 or absent for no limit.",
    )
    max_drawdown: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Part of its highest realised balance that the account may lose, 0.1 is 10 %. Once it is lost, no "
        "symbol enters until a person has resolved the incident. 0 or absent for no limit.",
    )
    protections: tuple[Protection, ...] = Field(
        default=(), description="What keeps each symbol from entering for a while; docs/reference/risk.md."
    )
