"""A backtest from Python, without configuration files: a strategy, candles, and the terms of an account."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from msgspec import structs
from pydantic import Field

from adapters.backtest.backtest import run_backtest
from adapters.candle_files.play import read_recording
from adapters.candle_files.raw_rows import NO_OPTIONS
from adapters.sources import SimulatedSource
from configs.loading import SystemConfig
from configs.plugins.candle_files import CandleFileOptions
from configs.plugins.sources import FileSource
from configs.plugins.venues import PaperVenue
from configs.services import ConfigModel, OrchestratorConfig, ServicesConfig
from configs.symbols import BookConfig, SymbolConfig
from trading.backtest import BacktestRun, Decision, Order, Trade
from trading.backtest.report import Report, Statistics, report_of
from trading.backtest.result import Equity
from trading.exits.exit_rules import ExitTerms
from trading.formatting import format_money
from trading.market.candles import COLUMNS, Candles
from trading.market.quality import timeframe_of, usual_spacing_ms
from trading.market.sessions import EntryHours, Session
from trading.market.timeframes import Timeframe
from trading.orders.orders import Fill
from trading.portfolio.positions import Position
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.protections import Protection
from trading.strategies import SHIPPED, Strategy
from trading_orchestrator.cli.backtest.report_file import making_of
from trading_orchestrator.cli.html_report import page_of

CandleData = pd.DataFrame | Candles | Path | str
"""Candles of one symbol: a DataFrame (index `timestamp`: open time, aware; columns open, high, low, close, volume),
`Candles`, or the path of a candle file (CSV, Parquet, Feather or JSON)."""

TableName = Literal["trades", "orders", "fills", "decisions", "equity"]

_BOOK_LENGTH = 20
_DEFAULT_PART = 0.1
_SIMULATION_BEGIN = datetime(2025, 1, 6, tzinfo=UTC)
_ALWAYS = Session()
_NO_EXITS = ExitTerms()


class Costs(ConfigModel):
    """The cost of each fill at the paper venue.

    >>> Costs(spread=0.2, commission_bps=0.5).slippage
    0.0
    """

    spread: float = Field(default=0.0, ge=0, description="Spread, in quote currency; each fill pays half of it.")
    slippage: float = Field(default=0.0, ge=0, description="Worse price of a market or stop fill, in quote currency.")
    commission_bps: float = Field(default=0.0, ge=0, description="Commission of a fill, in basis points of its value.")
    commission_per_unit: float = Field(default=0.0, ge=0, description="Commission for each unit, in quote currency.")
    commission_per_order: float = Field(default=0.0, ge=0, description="Commission for each order, in quote currency.")
    min_commission: float = Field(default=0.0, ge=0, description="Least commission of an order, in quote currency.")
    fill_at: Literal["next_open", "close"] = Field(
        default="next_open", description="Market orders fill at the next candle's open, or at the close decided on."
    )


class BacktestResult:
    """The result of a backtest. Times are milliseconds since the epoch, UTC; money is in quote currency.

    Attributes:
        system: The configuration that `backtest` created from its arguments.
    """

    def __init__(self, result: BacktestRun, system: SystemConfig, periods_per_year: float | None) -> None:
        self._result = result
        self._periods_per_year = periods_per_year
        self.system = system

    def __repr__(self) -> str:
        return f"<BacktestResult {', '.join(self.candles)}: {len(self.trades)} trades>"

    def __str__(self) -> str:
        """Return the main metrics, one per line."""
        found, decimals = self.statistics, self.system.account.money_decimals
        rows = {
            "trades": f"{found.trade_count}",
            "total return": f"{found.total_return:.2%}",
            "final equity": format_money(found.final_equity, decimals),
            "max drawdown": f"{found.drawdown.fraction:.2%}",
            "win rate": "-" if found.win_rate is None else f"{found.win_rate:.2%}",
            "profit factor": "-" if found.profit_factor is None else f"{found.profit_factor:.2f}",
            "sharpe": "-" if found.daily_sharpe is None else f"{found.daily_sharpe:.2f}",
            "fees": format_money(found.fees, decimals),
        }
        return "\n".join(f"{name:<14} {value}" for name, value in rows.items())

    @property
    def candles(self) -> Mapping[str, Candles]:
        """The candles that were decided on, by symbol."""
        return self._result.candles

    @property
    def trades(self) -> Sequence[Trade]:
        """Positions from flat to flat, in the order of their last fill; open ones come last."""
        return self._result.trades

    @property
    def orders(self) -> Sequence[Order]:
        """All orders, stops and targets too, oldest first."""
        return self._result.orders

    @property
    def fills(self) -> Sequence[Fill]:
        """All fills, in the order of market time."""
        return self._result.fills

    @property
    def decisions(self) -> Sequence[Decision]:
        """The decision on each signal with the result of each rule, oldest first."""
        return self._result.decisions

    @property
    def positions(self) -> Sequence[Position]:
        """The positions at the end, flat ones too."""
        return self._result.positions

    @property
    def equity(self) -> Equity:
        """Balance, equity and exposure at each close."""
        return self._result.equity

    @cached_property
    def report(self) -> Report:
        """Statistics and tables (by symbol, strategy, exit reason, side and month) together."""
        return report_of(self._result, periods_per_year=self._periods_per_year)

    @property
    def statistics(self) -> Statistics:
        """The metrics; docs/reference/report.md defines each."""
        return self.report.statistics

    def frame(self, table: TableName) -> pd.DataFrame:
        """Return a table for pandas; columns that end in `_ms` become UTC timestamps named without that ending.

        Args:
            table: `trades`, `orders`, `fills`, `decisions`, or `equity` (indexed by the close of each candle).

        Raises:
            ValueError: There is no such table.
        """
        if table == "equity":
            rows = {name: getattr(self.equity, name) for name in ("close_ms", "balance", "equity", "exposure")}
            return _with_times(pd.DataFrame(rows)).set_index("close")
        tables: Mapping[str, Sequence[Any]] = {
            "trades": self.trades,
            "orders": self.orders,
            "fills": self.fills,
            "decisions": self.decisions,
        }
        if table not in tables:
            raise ValueError(f"no table {table!r}; allowed: equity, {', '.join(tables)}")
        return _with_times(pd.DataFrame([structs.asdict(row) for row in tables[table]]))

    def to_html(self, path: Path | str | None = None) -> str:
        """Return the report as one HTML page that works offline, and write it where a path is given."""
        page = page_of(self._result, self.report, making_of(self._result, self.system, "trading_orchestrator.backtest"))
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page


def backtest(
    strategy: Strategy | Mapping[str, Strategy],
    candles: CandleData | Mapping[str, CandleData],
    *,
    symbol: str = "SYMBOL",
    timeframe: str | None = None,
    file_options: CandleFileOptions | Mapping[str, CandleFileOptions] = NO_OPTIONS,
    starting_balance: float = 100_000.0,
    account: AccountLimits | None = None,
    quote_currency: str | Mapping[str, str] | None = None,
    risk: RiskLimits | None = None,
    costs: Costs | None = None,
    exits: ExitTerms = _NO_EXITS,
    protections: Sequence[Protection] = (),
    session: Session = _ALWAYS,
    allow_non_positive_prices: bool = False,
    entry_hours: EntryHours | None = None,
    begin: datetime | None = None,
    end: datetime | None = None,
    close_at_end: bool = False,
    periods_per_year: float | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> BacktestResult:
    """Run a strategy over candles with the services, rules and fills of a live system.

    Args:
        strategy: One for all symbols, or by symbol.
        candles: Of one symbol, or by symbol; symbols share the account and are merged by time.
        symbol: Name of the one symbol.
        timeframe: Length of a candle, such as "1m"; None takes the usual distance of the candles.
        file_options: How to read candle files of other programs: for all files, or by symbol.
        starting_balance: In US dollars; `account` replaces it, and has its own currency.
        account: The currency and limits of the account; None for US dollars and no limits.
        quote_currency: Of all symbols, or by symbol; None takes that in the name of a symbol, otherwise the account's.
            It must be the account's currency.
        risk: Size and limits of positions; None sizes each entry at a tenth of the starting balance.
        costs: Spread, slippage and commission; None for no costs.
        exits: Trailing stop and break-even.
        protections: Rules that stop entries for a while, such as `CooldownPeriod`.
        session: Trading hours; always open by default.
        allow_non_positive_prices: Play prices that are zero or negative; entries at such prices are rejected.
        entry_hours: Hours in which entries are allowed; None for all.
        begin: Aware instant: the first candle decided on; earlier ones are history for the indicators.
        end: Aware instant: candles from here on are left out.
        close_at_end: Close open positions at the last close.
        periods_per_year: Annualisation factor; None decides from the times of the candles.
        on_progress: Called now and then with the number of candles done.

    Raises:
        BadCandle: A candle is corrupt.
        StrategyFault: The strategy raised, or returned something that is not allowed.
        ValueError: Candles or terms are not as described; also pydantic's ValidationError for a term out of bounds.
    """
    given = candles if isinstance(candles, Mapping) else {symbol: candles}
    strategies = _by_symbol(strategy, list(given))
    quoted = quote_currency if isinstance(quote_currency, Mapping) else dict.fromkeys(given, quote_currency)
    asked = file_options if isinstance(file_options, Mapping) else dict.fromkeys(given, file_options)
    read = {name: _candles_of(one, timeframe, asked.get(name, NO_OPTIONS), session) for name, one in given.items()}
    account = account or AccountLimits(name="backtest", starting_balance=starting_balance)
    risk = risk or RiskLimits(sizing="fixed_notional", notional=account.starting_balance * _DEFAULT_PART)
    books = {name: _book_name(one) for name, one in strategies.items()}
    system = SystemConfig(
        services=ServicesConfig(),
        orchestrator=OrchestratorConfig(),
        account=account,
        symbols={
            name: SymbolConfig(
                timeframe=length,
                quote_currency=quoted.get(name),
                source=FileSource(kind="file", path=Path("candles"), speed="max"),  # plays no part in a backtest
                venue=PaperVenue(kind="paper", **(costs or Costs()).model_dump()),
                strategies={books[name]: _book(strategies[name])},
                risk=risk,
                exits=exits,
                protections=tuple(protections),
                session=session,
                allow_non_positive_prices=allow_non_positive_prices,
                entry_hours=entry_hours,
            )
            for name, (length, _) in read.items()
        },
    )
    result = run_backtest(
        system,
        {name: one for name, (_, one) in read.items()},
        strategies={name: {books[name]: one} for name, one in strategies.items()},
        from_ms=_instant_ms("begin", begin),
        to_ms=_instant_ms("end", end),
        close_at_end=close_at_end,
        on_progress=on_progress,
    )
    return BacktestResult(result, system, periods_per_year)


def simulated_candles(
    count: int,
    *,
    timeframe: str = "1m",
    begin: datetime = _SIMULATION_BEGIN,
    start_price: float = 2_000.0,
    annual_volatility: float = 0.5,
    tick_size: float = 0.01,
    seed: int = 7,
) -> pd.DataFrame:
    """Return candles of a random walk, the same for the same arguments, to try a strategy without data of its own.

    >>> simulated_candles(3, seed=1).index[0].isoformat()
    '2025-01-06T00:00:00+00:00'

    Args:
        count: Candles, at least one.
        timeframe: Length of a candle.
        begin: Aware instant at which the first candle opens.
        start_price: In quote currency.
        annual_volatility: Standard deviation of a year's logarithmic return; 0.5 is 50 %.
        tick_size: Smallest step of a price, in quote currency.
        seed: Of the random numbers.

    Returns:
        Index `timestamp` (open time, UTC), columns open, high, low, close, volume.

    Raises:
        ValueError: `count` is below 1, or `begin` is naive.
    """
    if count < 1:
        raise ValueError(f"count: found {count}; allowed: 1 or more")
    begin_ms = _instant_ms("begin", begin)
    assert begin_ms is not None
    grid = Timeframe.parse(timeframe)
    source = SimulatedSource(
        "SYMBOL",
        timeframe,
        seed=seed,
        start_ms=begin_ms,
        start_price=start_price,
        annual_volatility=annual_volatility,
        tick_size=tick_size,
    )
    return source.history(grid.shifted(grid.opens_ms(grid.slot(begin_ms)), count - 1), count=count).frame()


def _by_symbol(strategy: Strategy | Mapping[str, Strategy], symbols: Sequence[str]) -> dict[str, Strategy]:
    if isinstance(strategy, Strategy):
        return dict.fromkeys(symbols, strategy)
    if not isinstance(strategy, Mapping):
        raise ValueError(
            f"strategy: found {strategy!r}; allowed: an instance of a subclass of Strategy, such as MyStrategy(), or a "
            "mapping from symbol to instance"
        )
    if set(strategy) != set(symbols):
        raise ValueError(f"strategy: found the symbols {sorted(strategy)}; the candles have {sorted(symbols)}")
    return {symbol: strategy[symbol] for symbol in symbols}


def _book_name(strategy: Strategy) -> str:
    return type(strategy).__name__[:_BOOK_LENGTH]


def _book(strategy: Strategy) -> BookConfig:
    kind = type(strategy)
    name = next((short for short, one in SHIPPED.items() if one is kind), f"{kind.__module__}:{kind.__qualname__}")
    return BookConfig(name=name, params=strategy.model_dump(mode="json"))


def _candles_of(
    given: CandleData, timeframe: str | None, options: CandleFileOptions, session: Session
) -> tuple[str, Candles]:
    """Return timeframe and candles of one symbol."""
    if isinstance(given, str | Path):
        candles = read_recording(given, timeframe=timeframe, options=options, session=session).candles
    else:
        candles = given if isinstance(given, Candles) else _from_frame(given)
    if timeframe is not None:
        return timeframe, candles
    found = timeframe_of(spacing_ms) if (spacing_ms := usual_spacing_ms(candles.open_ms)) else None
    if found is None:
        raise ValueError(f"timeframe: found {len(candles)} candles, too few to derive it; set timeframe='1m'")
    return found, candles


def _from_frame(frame: pd.DataFrame) -> Candles:
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ValueError(f"candles: no column {', '.join(missing)}; found {', '.join(map(str, frame.columns))}")
    if not isinstance(frame.index, pd.DatetimeIndex):
        raise ValueError(f"candles: found an index of {frame.index.dtype}; needed the open times, as a DatetimeIndex")
    if not (frame.index.is_monotonic_increasing and frame.index.is_unique):
        raise ValueError("candles: the open times are not ascending and unique; sort them, and drop repeated ones")
    return Candles.from_frame(frame)


def _instant_ms(name: str, instant: datetime | None) -> int | None:
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise ValueError(f"{name}: found the naive {instant}; give a time zone, such as tzinfo=UTC")
    return round(instant.timestamp() * 1000)


def _with_times(table: pd.DataFrame) -> pd.DataFrame:
    times = [name for name in table.columns if name.endswith("_ms")]
    for name in times:
        table[name] = pd.to_datetime(table[name], unit="ms", utc=True)
    return table.rename(columns={name: name.removesuffix("_ms") for name in times})
