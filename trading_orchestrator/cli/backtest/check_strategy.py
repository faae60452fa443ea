"""`trading check-strategy`: check that a strategy gives the same signals live and in a backtest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from msgspec import Struct
from pydantic import ValidationError

from adapters import clock
from adapters.registry import SourceContext, source_plugin
from adapters.sources import MemoryAnchorStore
from configs.files.validation_errors import Checked, describe
from configs.plugins.candle_files import CandleFileOptions
from configs.plugins.sources import SimulatedSource
from configs.plugins.strategies import strategy_class
from configs.services import ServicesConfig
from configs.symbols import SymbolConfig
from trading.market.candles import Candles
from trading.strategies import Strategy, StrategyFault
from trading.strategies.invocation import made
from trading.strategy_checks import KINDS, Report, Series, candles_needed, examine, made_up
from trading_orchestrator.cli.backtest.check_strategy_output import as_dict, show
from trading_orchestrator.cli.candles.files import PlayedFile, Terms, exit_on_file_error, read_strictly
from trading_orchestrator.cli.candles.options import candle_file_options
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode, Failed, fault_lines
from trading_orchestrator.cli.output import print_json, progress_bar

SEEDS = (1, 2, 3)
MADE_UP_ROWS = 400
MOST_MADE_UP = 1_000_000


class Choice(Struct, frozen=True):
    """A strategy to check: its class and parameters, and the configuration of the candles' symbol, if any."""

    name: str
    strategy: type[Strategy]
    params: Mapping[str, Any]
    services: ServicesConfig
    config: SymbolConfig | None

    def make(self) -> Strategy:
        return made(self.strategy, self.params)


class Material(Struct, frozen=True):
    """Candles on which a strategy is checked.

    Attributes:
        rows: Number of newest candles of each series to check.
        origin: Origin of the candles, as text.
    """

    series: Sequence[Series]
    rows: int
    origin: str


@click.command("check-strategy")
@click.argument("words", nargs=-1, metavar="[NAME] [KEY=VALUE]...")
@click.option("--params", multiple=True, metavar="KEY=VALUE...", help="Parameters; those left out keep their defaults.")
@click.option("--symbol", metavar="SYMBOL", help="Use the candles of a configured symbol.")
@click.option(
    "--candles",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Use a candle file.",
)
@candle_file_options
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=10),
    default=5_000,
    show_default=True,
    metavar="N",
    help="Number of newest candles of SYMBOL or FILE to check.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check_strategy(
    ctx: click.Context,
    words: tuple[str, ...],
    params: tuple[str, ...],
    symbol: str | None,
    file: Path | None,
    options: CandleFileOptions,
    limit: int,
    as_json: bool,
) -> None:
    """Check a strategy for look-ahead and other faults.

    NAME is a short name or an import path package.module:Class. With --symbol, NAME may be omitted or be one of the
    symbol's strategies: their configured parameters are then used, and without NAME each strategy is checked.

    Evaluates the strategy on each candle as in live trading, with few rows and no later candle, and as in a backtest,
    with all rows. Both must give the same signal. Without --symbol and --candles, synthetic markets are used. Exit code
    1 when a fault is found.
    """
    if symbol is not None and file is not None:
        raise click.UsageError("--symbol cannot be combined with --candles")
    choices = _choices(words, params, symbol)
    found = []
    for choice in choices:
        report, origin = _examined(choice, symbol, PlayedFile(file, options) if file else None, limit)
        values = choice.make().model_dump(mode="json")
        found.append((report.is_sound, as_dict(choice.name, values, origin, report)))
        if not as_json:
            show(choice.name, values, origin, report)
    if as_json:
        reports = [one for _, one in found]
        print_json(reports[0] if len(reports) == 1 else reports)
    ctx.exit(ExitCode.OK if all(is_sound for is_sound, _ in found) else ExitCode.NO)


def _examined(choice: Choice, symbol: str | None, file: PlayedFile | None, limit: int) -> tuple[Report, str]:
    """Check a strategy and return the report and the origin of the candles."""
    strategy = choice.make()
    material = _material(strategy, choice.config, symbol, file, limit)
    with progress_bar("asking") as bar:
        bar.show(0, material.rows * len(material.series))
        report = examine(
            choice.make,
            material.series,
            rows_limit=choice.services.indicator_calculation.recent_rows_limit,
            least_rows=choice.services.strategy_evaluation.min_rows_required,
            rows=material.rows,
            advance=bar.advance,
        )
    return report, material.origin


def _choices(words: Sequence[str], params: Sequence[str], symbol: str | None) -> list[Choice]:
    """Return the strategies to check: one, or each of a symbol."""
    names = [word for word in words if "=" not in word]
    given = _params([*params, *(word for word in words if "=" in word)])
    with Access() as access:
        config = access.system.symbols[access.known(symbol)] if symbol else None
        has_files = (access.settings.config_dir / "services.yaml").is_file()
        services = access.system.services if has_files else ServicesConfig()
    if len(names) + (config is not None) == 0 or len(names) > 1:
        raise click.UsageError("name one strategy: a short name, package.module:Class, or --symbol for its own")
    if config is None or (names and names[0] not in config.books):
        return [_choice(names[0], names[0], given, services, config)]
    books = [book for name, book in config.books.items() if not names or names[0] == name]
    if given and len(books) > 1:
        raise click.UsageError(
            f"{symbol} has several strategies; name the one to which the parameters apply: {', '.join(config.books)}"
        )
    return [_choice(one.name, one.strategy, {**one.params, **given}, services, config) for one in books]


def _choice(
    name: str, strategy: str, given: Mapping[str, Any], services: ServicesConfig, config: SymbolConfig | None
) -> Choice:
    choice = Choice(name, _class(strategy), given, services, config)
    try:
        choice.make()
    except ValidationError as error:
        lines = describe(error, Checked(choice.strategy.model_json_schema, "parameters", given, {}))
        raise Failed(ExitCode.USAGE, f"the parameters are invalid\n{fault_lines(lines)}") from error
    except StrategyFault as fault:
        raise Failed(ExitCode.USAGE, "\n".join([fault.summary, *(f"  {line}" for line in fault.lines)])) from fault
    return choice


def _params(texts: Sequence[str]) -> dict[str, Any]:
    """Parse each `fast=5` as `symbols.yaml` parses `fast: 5`."""
    found: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise click.UsageError(f"--params {text!r}: expected KEY=VALUE, such as fast=5")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise click.UsageError(f"--params {text!r}: the value is not valid YAML: {error}") from error
    return found


def _class(name: str) -> type[Strategy]:
    try:
        return strategy_class(name)
    except ValueError as error:
        raise Failed(ExitCode.USAGE, str(error)) from error


def _material(
    strategy: Strategy, config: SymbolConfig | None, symbol: str | None, file: PlayedFile | None, limit: int
) -> Material:
    candle_count = candles_needed(strategy, limit)
    if file is not None:
        name, candles = file.path.name, _file_candles(file.path, _terms_of(file.options, config))
    elif config is not None and symbol is not None:
        name, candles = symbol, _symbol_candles(symbol, config, candle_count)
    elif candles_needed(strategy, MADE_UP_ROWS) > MOST_MADE_UP:
        needed = f"the strategy needs {strategy.startup_candle_count:,} candles to begin"
        raise Failed(ExitCode.NO, f"{needed}; at most {MOST_MADE_UP:,} are generated; name a file with --candles")
    else:
        count = candles_needed(strategy, MADE_UP_ROWS)
        seeds = ", ".join(map(str, SEEDS))
        origin = (
            f"synthetic markets: {', '.join(KINDS)}; seeds {seeds}; {count:,} candles each, "
            f"the newest {MADE_UP_ROWS:,} checked"
        )
        return Material(made_up(count, SEEDS), MADE_UP_ROWS, origin)
    rows = min(limit, len(candles) - strategy.startup_candle_count + 1)
    if rows < 1:
        needed = f"the strategy needs {strategy.startup_candle_count:,} to begin"
        raise Failed(ExitCode.NO, f"{name}: has {len(candles):,} candles; {needed}")
    origin = f"{name}: the newest {rows:,} of {len(candles):,} candles"
    return Material([Series(name, candles[-candle_count:])], rows, origin)


def _terms_of(options: CandleFileOptions, config: SymbolConfig | None) -> Terms:
    """Return the terms of a file of any timeframe; a symbol gives its hours, and whether prices may be negative."""
    if config is None:
        return Terms(options)
    return Terms(options, config.session, allow_non_positive=config.allow_non_positive_prices)


def _file_candles(file: Path, terms: Terms) -> Candles:
    with exit_on_file_error():
        return read_strictly(file, terms)[0]


def _symbol_candles(symbol: str, config: SymbolConfig, count: int) -> Candles:
    source = config.source
    if source.recorded_file is not None:
        terms = _terms_of(source.recorded_options, config)._replace(timeframe=config.timeframe)
        return _file_candles(source.recorded_file, terms)
    now_ms = clock.now_ms
    context = SourceContext(symbol, config.timeframe, source, config.session, now_ms, MemoryAnchorStore())
    until_ms = int(source.start.timestamp() * 1000) - 1 if isinstance(source, SimulatedSource) else now_ms()
    return source_plugin(source.kind).open(context).history(until_ms, count=count)
