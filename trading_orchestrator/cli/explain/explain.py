"""`trading explain`: explain why a candle led to a trade or to none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from msgspec import to_builtins

from configs.plugins.candle_files import CandleFileOptions
from trading.backtest.explanation import Explanation
from trading.events.decisions import describe
from trading_orchestrator.cli.candles.options import candle_file_options
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.explain.from_backtest import explain_backtest
from trading_orchestrator.cli.explain.from_ledger import explain_live
from trading_orchestrator.cli.explain.terminal import show
from trading_orchestrator.cli.output import print_json
from trading_orchestrator.cli.params import instant


@click.command()
@click.argument("symbol")
@click.argument("at_ms", metavar="TIME", callback=instant)
@click.option(
    "--candles",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Explain a backtest on these candles instead of the live run.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="With --candles: override a configured value, as in `trading backtest`.",
)
@candle_file_options
@click.option("--strategy", metavar="NAME", help="Only this strategy; default: all of the symbol.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, or a list for several strategies.")
def explain(
    symbol: str,
    at_ms: int,
    file: Path | None,
    settings: tuple[str, ...],
    options: CandleFileOptions,
    strategy: str | None,
    as_json: bool,
) -> None:
    """Explain why a candle led to a trade or to none.

    Explains the candle of SYMBOL that contains TIME (UTC unless it has an offset): the candle, the indicators, the
    regime, the signal, the result of every rule checked, and the orders with their fills. A symbol with several
    strategies has one page for each.

    For a live run, the page is read from journal, ledger and events; the journal holds the newest
    TRADING__JOURNAL_MAX_LEN candles.
    """
    if settings and file is None:
        raise click.UsageError("--set requires --candles: the configuration of a live run cannot be overridden")
    if file is not None:
        found = explain_backtest(symbol, at_ms, file, settings, options)
    else:
        with Access() as access:
            found = explain_live(access, symbol, at_ms)
    if strategy is not None:
        found = [one for one in found if one.strategy == strategy] or _unknown(symbol, strategy, found)
    if as_json:
        print_json(as_dict(found[0]) if len(found) == 1 else [as_dict(one) for one in found])
        return
    for one in found:
        show(one, is_named=len(found) > 1)


def _unknown(symbol: str, strategy: str, found: Sequence[Explanation]) -> NoReturn:
    known = ", ".join(one.strategy for one in found)
    raise click.UsageError(f"--strategy {strategy!r}: {symbol} has no such strategy; strategies: {known}")


def as_dict(found: Explanation) -> dict[str, object]:
    """Return an explanation, JSON-safe."""
    fields: dict[str, Any] = to_builtins(found, enc_hook=lambda signal: signal.model_dump(mode="json"))
    fields["entry"]["decision"] = describe(found.entry.decisions)
    return {**fields, "headline": str(found.headline), "headline_kind": found.headline.kind.value}
