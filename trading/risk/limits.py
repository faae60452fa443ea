"""Limits of positions and losses: the settings of the risk rules."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading.currencies import DEFAULT_CURRENCY, CurrencyCode, decimals_of
from trading.lifecycle import UnprotectedPolicy
from trading.market.trading_days import UTC_DAY, TradingDay
from trading.risk.protections import Protection

MOST_LEVERAGE = 1_000.0
"""Far above what a venue grants: a larger value is a mistake."""

MOST_DECIMALS = 12
"""More digits than a double holds of a usual balance."""

_SIZE_FIELD = {
    "fixed_units": "units",
    "fixed_notional": "notional",
    "risk_fraction": "risk_fraction",
    "equity_fraction": "equity_fraction",
}


class RiskLimits(BaseModel):
    """Sizing, limits and reversal of one symbol's positions. Units are those of the base asset."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sizing: Literal["fixed_units", "fixed_notional", "risk_fraction", "equity_fraction"] = Field(
        default="fixed_units",
        description="fixed_units: `units` per entry; fixed_notional: units worth `notional`; risk_fraction: the stop "
        "and the known costs lose that fraction of the balance; equity_fraction: invest that fraction of the equity.",
    )
    units: float | None = Field(default=None, gt=0, description="Size of an entry; required for fixed_units.")
    notional: float | None = Field(
        default=None, gt=0, description="Value of an entry, in quote currency; required for fixed_notional."
    )
    risk_fraction: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Fraction of the balance lost at the stop, 0.01 is 1 %; required for risk_fraction.",
    )
    equity_fraction: float | None = Field(
        default=None,
        gt=0,
        le=MOST_LEVERAGE,
        description="Fraction of the equity that an entry invests, its fee included, after the exit of the same "
        "decision: 1.0 for all of it, more only up to `max_leverage`; required for equity_fraction.",
    )
    unit_step: float = Field(
        default=1e-8,
        gt=0,
        description="Sizes are rounded down to a whole multiple of this step, in units; 1 for whole shares.",
    )
    min_units: float = Field(default=0.0, ge=0, description="Smallest size that is traded, in units; 0 for no limit.")
    max_units: float | None = Field(
        default=None, gt=0, description="Largest size of a position, in units; absent: no limit."
    )
    min_notional: float = Field(
        default=0.0, ge=0, description="Smallest entry value that the venue accepts, in quote currency; 0 for no limit."
    )
    max_notional: float | None = Field(
        default=None,
        ge=0,
        description="Value of this symbol's open positions and entries on their way, at the prices decided on, in "
        "quote currency; a reversal needs room for both sides until the old one is closed. 0 or absent for no limit.",
    )
    max_leverage: float = Field(
        default=1.0,
        gt=0,
        le=MOST_LEVERAGE,
        description="Value of this symbol's open positions and pending entries as a multiple of the account's equity; "
        "1.0 for no more than the account is worth. It cannot be switched off.",
    )
    tick_size: float | None = Field(
        default=None,
        gt=0,
        description="Smallest price step of the venue, in quote currency: stop and target are rounded to it, towards "
        "the entry, as are stops moved by exit rules. Absent: no rounding.",
    )
    min_reward_risk: float | None = Field(
        default=None,
        gt=0,
        description="Minimum ratio of target distance to stop distance for an entry, 1.5 for one and a half; requires "
        "both prices. Absent: no minimum.",
    )
    min_stop_ticks: float | None = Field(
        default=None,
        ge=0,
        description="Least distance from the price to the stop of an entry, in steps of `tick_size`. Without it and "
        "`min_stop_fraction`: the spread plus twice the slippage of the venue.",
    )
    min_stop_fraction: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The same as a fraction of the price, 0.001 for 0.1 %; with both keys the larger distance counts. "
        "0 allows any stop away from the price.",
    )
    max_spread: float | None = Field(
        default=None,
        gt=0,
        description="Widest venue spread at which an entry is sent, in quote currency; absent: no limit.",
    )
    on_opposite_signal: Literal["close", "reverse", "ignore"] = Field(
        default="reverse", description="Effect of an entry signal on an open position in the other direction."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if getattr(self, _SIZE_FIELD[self.sizing]) is None:
            raise ValueError(f"sizing {self.sizing} requires {_SIZE_FIELD[self.sizing]}")
        if self.max_units is not None and self.max_units < self.min_units:
            raise ValueError(f"max_units is {self.max_units:g}, below min_units {self.min_units:g}")
        if self.max_notional and self.max_notional < self.min_notional:
            raise ValueError(f"max_notional is {self.max_notional:g}, below min_notional {self.min_notional:g}")
        if self.sizing == "fixed_notional" and (self.notional or 0.0) < self.min_notional:
            raise ValueError(f"notional is {self.notional:g}, below min_notional {self.min_notional:g}")
        if self.sizing == "equity_fraction" and (self.equity_fraction or 0.0) > self.max_leverage:
            raise ValueError(f"equity_fraction {self.equity_fraction:g} is above max_leverage {self.max_leverage:g}")
        if self.min_stop_ticks is not None and self.tick_size is None:
            raise ValueError("min_stop_ticks requires tick_size")
        return self

    def least_stop_distance(self, price: float, price_cost: float) -> float:
        """Return the least distance from the price to a stop, in quote currency.

        Args:
            price_cost: Spread and slippage of an entry and a stop fill, per unit; the default distance.
        """
        if self.min_stop_ticks is None and self.min_stop_fraction is None:
            return price_cost
        ticks = (self.min_stop_ticks or 0.0) * (self.tick_size or 0.0)
        return max(ticks, (self.min_stop_fraction or 0.0) * abs(price))


class AccountLimits(BaseModel):
    """Limits of one account over all its symbols. Money is in the account's currency."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(
        pattern=r"^\w[\w .@-]{0,63}$",
        description="Name of the account, 1 to 64 characters; part of the id of each order.",
    )
    starting_balance: float = Field(gt=0, description="Balance before the first order, in the account's currency.")
    currency: CurrencyCode = Field(
        default=DEFAULT_CURRENCY,
        description="Currency of the account, such as USD or BTC. The quote currency of each symbol must be the same, "
        "because profits are added without a conversion.",
    )
    decimals: int | None = Field(
        default=None,
        ge=0,
        le=MOST_DECIMALS,
        description="Decimals of money in tables, pages and texts; absent for those of the currency: 2 of USD, 0 of "
        "JPY, 8 of BTC.",
    )
    max_open_positions: int | None = Field(
        default=None, ge=0, description="Largest number of positions open at the same time; 0 or absent for no limit."
    )
    max_notional: float | None = Field(
        default=None,
        ge=0,
        description="Value of all open positions and entries on their way, at the prices decided on, in quote "
        "currency; a reversal needs room for both sides until the old one is closed. 0 or absent for no limit.",
    )
    max_leverage: float = Field(
        default=1.0,
        gt=0,
        le=MOST_LEVERAGE,
        description="Value of all open positions and pending entries as a multiple of the account's equity; 1.0 for no "
        "more than the account is worth. It cannot be switched off; a symbol has its own, `risk.max_leverage`.",
    )
    day: TradingDay = Field(
        default=UTC_DAY,
        description="Begin of the account's day, for max_daily_loss and the daily returns of reports; absent: UTC "
        "days.",
    )
    max_daily_loss: float | None = Field(
        default=None,
        ge=0,
        description="Largest loss per day of the account, in quote currency: realised, plus of each open position its "
        "present loss or the one at its stop, without a stop its whole value; 0 or absent for no limit.",
    )
    max_drawdown: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Fraction of its highest realised balance that the account may lose, 0.1 is 10 %. Once lost, no "
        "symbol enters until an operator has resolved the incident. 0 or absent for no limit.",
    )
    on_unprotected: UnprotectedPolicy = Field(
        default="alert",
        description="Treatment of a position whose stop is not at the venue, after it was placed once more. alert: an "
        "incident, and its symbol opens nothing; flatten: it is also closed at the market.",
    )
    protections: tuple[Protection, ...] = Field(
        default=(), description="Rules that temporarily stop entries of each symbol; see docs/reference/risk.md."
    )

    @property
    def money_decimals(self) -> int:
        """Decimals of money in texts and tables: the configured ones, otherwise those of the currency."""
        return decimals_of(self.currency) if self.decimals is None else self.decimals
