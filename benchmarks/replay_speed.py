"""Speed of a backtest, compared with backtesting.py on the same candles: `python -m benchmarks.replay_speed`.

Both follow EMA 20/50 with stops and targets by the average true range, and must give the same trades. They alternate,
so that other load on the machine affects both. The measure is processor time of one core: indicators, signals, fills,
trades and equity of this engine; all of `Backtest.run` of backtesting.py, with signals computed before.
"""

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from adapters.backtest.backtest import run_backtest
from adapters.sources.file import read_candles
from configs.loading import SystemConfig
from tests.differential.engine import our_trades, run, spoken, their_backtest, their_trades
from tests.fakes import system_config
from tests.fixtures.candle_files import generated_candles
from trading.backtest import BacktestRun
from trading.market.candles import Candles
from trading.orders.fill_terms import FillTerms
from trading.structs import asdict, replace
from trading_orchestrator.testing.candles import SYMBOL

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "backtest.md"
RECORDED = Path(os.environ.get("TRADING_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
BEGIN, END = "<!-- figures: python -m benchmarks.replay_speed --write -->", "<!-- end of figures -->"
GOAL = 180_000
STRATEGY = {"name": "ema_cross", "params": {"fast": 20, "slow": 50, "stop_atr": 2.0, "target_atr": 3.0}}
MARKETS: dict[str, dict[str, Any]] = {
    "XAUUSD": {"file": "XAUUSD_1m.csv.gz", "units": 10.0, "spread": 0.2, "slippage": 0.05, "commission_bps": 0.2},
    "BTCUSDT": {"file": "BTCUSDT_1m.csv.gz", "units": 1.0, "spread": 2.0, "slippage": 1.0, "commission_bps": 5.0},
}

MOST_LEVERAGE = 1_000.0
"""The engine that is compared has no limit, and a bitcoin is worth more than the account."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Candles a second of one market, the fastest of all rounds; `ratio` is the median over the rounds."""

    market: str
    candle_count: int
    trade_count: int
    rounds: int
    ours: float
    ours_with_regimes: float
    theirs: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of the strategy on one market after costs; money in quote currency."""

    market: str
    first: str
    last: str
    candle_count: int
    signal_count: int
    trade_count: int
    won_count: int
    fees: float
    profit: float
    lowest_equity: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay_speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each engine")
    parser.add_argument("--candles", type=int, default=0, help="most candles of each market; 0 for all")
    parser.add_argument("--generated", action="store_true", help="generated candles in place of recorded ones")
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, to standard output")
    parser.add_argument("--write", action="store_true", help=f"write the figures into docs/{PAGE.name}")
    given = parser.parse_args(arguments)
    console = Console(stderr=True)
    missing = [market["file"] for market in MARKETS.values() if not (RECORDED / market["file"]).is_file()]
    if missing and not given.generated:
        told = f"no recorded candles {', '.join(missing)}: set TRADING_TEST_DATA to their folder"
        if given.write:
            raise SystemExit(f"{told}; the figures of generated ones are not written")
        console.print(f"{told}; using generated ones", style="yellow")
    given.generated = given.generated or bool(missing)
    markets = {name: _candles(name, given.candles, is_generated=given.generated) for name in MARKETS}
    speeds = [_speed(name, candles, given.rounds, console) for name, candles in markets.items()]
    outcomes = [_outcome(name, candles) for name, candles in markets.items()]
    if given.json:
        figures = {"speeds": list(map(asdict, speeds)), "outcomes": list(map(asdict, outcomes))}
        Console(soft_wrap=True).print_json(json.dumps(figures))
    else:
        Console().print(_table(speeds))
    if given.write:
        _write(speeds, outcomes)
        console.print(f"written: {PAGE.name}")
    return 0


def _candles(name: str, count: int, *, is_generated: bool) -> Candles:
    path = RECORDED / MARKETS[name]["file"]
    if is_generated:
        return generated_candles(name, count or 20_000)
    candles = read_candles(path, timeframe="1m")
    return candles[:count] if count else candles


def _system(name: str, *, is_free: bool, has_regimes: bool = False) -> SystemConfig:
    market = MARKETS[name]
    costs = {} if is_free else {cost: market[cost] for cost in ("spread", "slippage", "commission_bps")}
    return system_config(
        STRATEGY,
        services={"indicator_calculation": {"track_regime_changes": has_regimes}},
        venue={"kind": "paper", **costs},
        risk={"sizing": "fixed_units", "units": market["units"], "max_leverage": MOST_LEVERAGE},
        account={"max_leverage": MOST_LEVERAGE},
    )


def _speed(name: str, candles: Candles, rounds: int, console: Console) -> Speed:
    system = _system(name, is_free=True)
    with_regimes = _system(name, is_free=True, has_regimes=True)
    units = int(MARKETS[name]["units"])
    said = spoken(system, SYMBOL, candles)
    engine = their_backtest(candles, said, FillTerms(), units=units, on_opposite_signal="reverse")
    trades = _agreed(run_backtest(system, {SYMBOL: candles}), run(engine))
    ours, regimes, theirs = [], [], []
    for _ in track(range(rounds), f"{name}, in turns", console=console):
        ours.append(_timed(lambda: run_backtest(system, {SYMBOL: candles})))
        theirs.append(_timed(lambda: run(engine)))
        regimes.append(_timed(lambda: run_backtest(with_regimes, {SYMBOL: candles})))
    ratio = median(other / one for one, other in zip(ours, theirs, strict=True))
    count = len(candles)
    return Speed(name, count, trades, rounds, count / min(ours), count / min(regimes), count / min(theirs), ratio)


def _agreed(result: BacktestRun, statistics: Any) -> int:
    """Return the number of closed trades, equal in both engines.

    Raises:
        SystemExit: They differ.
    """
    ours, theirs = our_trades(result, SYMBOL), their_trades(statistics)
    for one, other in zip(ours, theirs, strict=True):
        if replace(one, profit=other.profit) != other or not math.isclose(one.profit, other.profit, abs_tol=1e-6):
            raise SystemExit(f"the trades differ: {one} here, {other} in backtesting.py")
    return len(ours)


def _timed(work: Callable[[], object]) -> float:
    """Return the processor seconds that `work` takes."""
    begun_s = time.process_time()
    work()
    return time.process_time() - begun_s


def _outcome(name: str, candles: Candles) -> Outcome:
    result = run_backtest(_system(name, is_free=False), {SYMBOL: candles}, close_at_end=True)
    return Outcome(
        name,
        _day(candles.open_ms[0]),
        _day(candles.last_open_ms),
        len(candles),
        len(result.decisions),
        len(result.trades),
        sum(trade.profit > 0 for trade in result.trades),
        sum(trade.fees for trade in result.trades),
        sum(trade.profit for trade in result.trades),
        float(result.equity.equity.min()),
    )


def _day(open_ms: float) -> str:
    return f"{datetime.fromtimestamp(open_ms / 1000, UTC):%Y-%m-%d}"


def _table(speeds: Sequence[Speed]) -> Table:
    table = Table(title=f"Candles a second on one core (goal: {GOAL:,} on XAUUSD)")
    for heading in ("market", "candles", "trades", "backtest", "with regimes", "backtesting.py", "ratio"):
        table.add_column(heading, justify="left" if heading == "market" else "right")
    for one in speeds:
        table.add_row(*_cells(one))
    return table


def _cells(one: Speed) -> tuple[str, ...]:
    figures = (one.candle_count, one.trade_count, one.ours, one.ours_with_regimes, one.theirs)
    return (one.market, *(f"{figure:,.0f}" for figure in figures), f"{one.ratio:.2f}x")


def _write(speeds: Sequence[Speed], outcomes: Sequence[Outcome]) -> None:
    """Insert the figures into the page."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{_figures(speeds, outcomes)}\n{END}{tail}", encoding="utf-8")


def _figures(speeds: Sequence[Speed], outcomes: Sequence[Outcome]) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("backtesting", "numpy", "pandas", "pydantic"))
    fast = "\n".join(f"| {' | '.join(_cells(one))} |" for one in speeds)
    costs = "; ".join(
        f"{name} {market['units']:g} units, spread {market['spread']:g}, slippage {market['slippage']:g}, "
        f"commission {market['commission_bps']:g} bps"
        for name, market in MARKETS.items()
    )
    results = "\n".join(
        f"| {one.market} | {one.first} to {one.last} | {one.candle_count:,} | {one.signal_count:,} "
        f"| {one.trade_count:,} | {one.won_count:,} | {one.fees:,.2f} | {one.profit:+,.2f} | {one.lowest_equity:,.2f} |"
        for one in outcomes
    )
    return f"""
Written on {datetime.now(UTC):%Y-%m-%d} (UTC): Python {platform.python_version()}, {versions}; {platform.machine()},
{os.cpu_count()} cores.

Setup: EMA 20/50, stop 2 ATR and target 3 ATR away, no costs. The table shows the fastest of {speeds[0].rounds}
rounds in processor time of one core, and the median of the ratio of this engine to backtesting.py. The closed trades of
both are the same.

| market | candles | trades | backtest, candles/s | with regimes | backtesting.py | ratio |
|---|---:|---:|---:|---:|---:|---:|
{fast}

Result of the same strategy after costs, starting with 100,000: {costs}.

| market | days | candles | signals | trades | won | fees | profit | lowest equity |
|---|---|---:|---:|---:|---:|---:|---:|---:|
{results}
"""


if __name__ == "__main__":
    raise SystemExit(main())
