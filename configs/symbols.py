"""Models of `symbols.yaml`: the account, and each symbol's candles, venue, strategy, risk and session."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Struct
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from configs.names import SYMBOL_PATTERN, symbol_fault
from configs.plugins.entry_points import SOURCES, VENUES
from configs.plugins.kinds import KindOf
from configs.plugins.sources import SourceConfig
from configs.plugins.venues import VenueConfig
from configs.services import ConfigModel, Switch
from trading.currencies import CurrencyCode, quote_currency_of
from trading.exits.exit_rules import ExitTerms
from trading.indicators.regime import Regime
from trading.lifecycle import PositionPolicy, UnprotectedPolicy
from trading.market.feed_health import FeedTerms
from trading.market.sessions import EntryHours, Session
from trading.market.timeframes import BadTimeframe, Timeframe
from trading.orders.fill_terms import FillTerms
from trading.risk.protections import Protection
from trading.risk.rules import AccountLimits, RiskLimits
from trading.structs import replace

_FRESH_TIMEFRAMES = 3


def _is_timeframe(timeframe: str) -> str:
    try:
        Timeframe.parse(timeframe)
    except BadTimeframe as error:
        raise ValueError(error.allowed) from None
    return timeframe


def _is_free(name: str) -> str:
    if fault := symbol_fault(name):
        raise ValueError(fault)
    return name


SymbolName = Annotated[str, StringConstraints(pattern=SYMBOL_PATTERN), AfterValidator(_is_free)]
"""The name of a symbol is also the name of its queue."""


BookName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,19}$")]
"""Name of one of several strategies; without dots, so that it can be part of a key path."""


class StrategyConfig(ConfigModel):
    """A strategy and its parameters."""

    name: str = Field(min_length=1, description="Short name of a strategy, or an import path package.module:Class.")
    params: Mapping[str, Any] = Field(
        default_factory=dict,
        description="Parameters of the strategy; its own model gives their units and rejects wrong ones.",
    )


class BookConfig(StrategyConfig):
    """One of several strategies of a symbol; it has its own book."""

    risk: RiskLimits | None = Field(
        default=None, description="Size and limits of its positions; the symbol's `risk` when left out."
    )
    exits: ExitTerms | None = Field(
        default=None,
        description="Rules that end its positions or move their stops, beside its signals; the symbol's `exits` when "
        "left out, {} for nothing.",
    )


class Book(Struct, frozen=True):
    """A strategy of a symbol; its decisions, positions and orders are stored under `name`.

    Attributes:
        strategy: Short name or import path of its class.
    """

    name: str
    strategy: str
    params: Mapping[str, Any]
    risk: RiskLimits
    exits: ExitTerms


class SymbolConfig(ConfigModel):
    """One symbol."""

    model_config = ConfigDict(defer_build=True)

    timeframe: Annotated[str, AfterValidator(_is_timeframe)] = Field(
        description="Length of a candle: a whole number and m, h or d, such as 1m; 1w, 1M; days, weeks, months and "
        "hours of a time zone as 1d@America/New_York, or 1d@America/New_York,17:00 where the day begins at 17:00."
    )
    source: Annotated[SourceConfig, KindOf(SOURCES)] = Field(description="Where the candles come from.")
    venue: Annotated[VenueConfig, KindOf(VENUES)] = Field(description="Where the orders go.")
    strategy: StrategyConfig | None = Field(default=None, description="The strategy; its book has its name.")
    strategies: dict[BookName, BookConfig] = Field(
        default_factory=dict,
        validate_default=True,
        description="Several strategies in place of one, each by a name that you choose, also the name of its book; "
        "decided in this order.",
        json_schema_extra={"additionalProperties": False},
    )
    risk: RiskLimits = Field(description="Size and limits of a position, and the effect of an opposite signal.")
    exits: ExitTerms = Field(
        default=ExitTerms(),
        description="Rules that end a position or move its stop, beside the strategy's signals: trailing_stop, "
        "break_even. Nothing when left out.",
    )
    protections: tuple[Protection, ...] = Field(
        default=(),
        description="Rules that stop entries of this symbol for a while, beside those of the account.",
    )
    session: Session = Field(description="Trading hours of the market.")
    entry_hours: EntryHours | None = Field(
        default=None, description="Hours in which this symbol may enter, within the session; absent: all."
    )
    quote_currency: CurrencyCode | None = Field(
        default=None,
        description="Currency of its prices and profits, such as USD; absent: that in its name, JPY of USDJPY, USDT of "
        "BTCUSDT, otherwise the account's. It must be the account's `currency`; USD for a symbol in USDT takes them as "
        "equal.",
    )
    allow_non_positive_prices: Switch = Field(
        default=False,
        description="Whether prices may be zero or negative, as of oil in April 2020; otherwise such candles are "
        "rejected.",
    )
    max_signal_age_s: Annotated[float, Field(strict=True, gt=0)] = Field(
        default_factory=lambda valid: _FRESH_TIMEFRAMES * Timeframe.parse(valid["timeframe"]).length_ms / 1000,
        description="Seconds of market time after a candle's close during which it may lead to an entry. "
        "Absent: three timeframes.",
    )
    on_quarantine: PositionPolicy = Field(
        default="hold",
        description="Treatment of an open position when restarts do not help and the symbol is quarantined. "
        "hold: its "
        "stop and target at the venue protect it, and fills are booked; flatten: it is closed at the market; alert: "
        "nothing is done.",
    )
    on_unprotected: UnprotectedPolicy | None = Field(
        default=None,
        description="Treatment of a position whose stop is not at the venue; the account's `on_unprotected` when left "
        "out.",
    )
    allowed_regimes: tuple[Regime, ...] | None = Field(
        default=None, description="Market regimes in which entries are allowed; absent: all."
    )

    @field_validator("strategies")
    @classmethod
    def _is_one_or_several(cls, strategies: dict[str, BookConfig], info: ValidationInfo) -> dict[str, BookConfig]:
        if "strategy" not in info.data:
            return strategies  # reported by its own field
        if info.data["strategy"] is not None and strategies:
            raise ValueError("set `strategy` or `strategies`, not both")
        if info.data["strategy"] is None and not strategies:
            raise ValueError("at least one, under the key strategy or strategies")
        if len({name.lower() for name in strategies}) < len(strategies):
            raise ValueError(f"{', '.join(strategies)}: two names differ in upper and lower case alone")
        return strategies

    @property
    def books(self) -> Mapping[str, Book]:
        """Each strategy by the name of its book, in the order of their decisions."""
        if self.strategy is not None:
            named = self.strategy
            return {named.name: Book(named.name, named.name, named.params, self.risk, self.exits)}
        return {
            name: Book(
                name,
                one.name,
                one.params,
                one.risk or self.risk,
                self.exits if one.exits is None else one.exits,
            )
            for name, one in self.strategies.items()
        }

    def backtest_fills(self, symbol: str) -> FillTerms:
        """Return the costs that a backtest and a replay count for each fill, and the prices that are possible."""
        return replace(self.venue.backtest_fills(symbol), allow_non_positive=self.allow_non_positive_prices)

    def quoted_in(self, symbol: str) -> str | None:
        """Return the quote currency: the configured one, or that in the name; None for the account's."""
        return self.quote_currency or quote_currency_of(symbol)

    @property
    def grid(self) -> Timeframe:
        """The timeframe as a value: where each candle begins and ends."""
        return Timeframe.parse(self.timeframe)

    @property
    def feed_terms(self) -> FeedTerms:
        """The terms by which its feed is judged from outside."""
        return FeedTerms(self.timeframe, self.grid.length_ms, self.source.pace, self.session)


class SymbolsFile(ConfigModel):
    """The complete `symbols.yaml`."""

    model_config = ConfigDict(defer_build=True)

    account: AccountLimits = Field(description="The account and the limits that all symbols share.")
    symbols: dict[SymbolName, SymbolConfig] = Field(
        min_length=1,
        description="Each symbol by its name, which is also the name of its queue.",
        json_schema_extra={"additionalProperties": False},
    )

    @field_validator("symbols")
    @classmethod
    def _are_distinct(cls, symbols: dict[str, SymbolConfig]) -> dict[str, SymbolConfig]:
        if len({name.lower() for name in symbols}) < len(symbols):
            raise ValueError(f"{', '.join(symbols)}: two names differ in upper and lower case alone")
        return symbols
