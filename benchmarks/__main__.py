"""`python -m benchmarks`: measure a chain, print the figures, and optionally write them into the docs.

`make bench` also measures the speed of a backtest: `python -m benchmarks.replay_speed`.
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.chain_cost import CHAINS, GOAL, Cost, measure
from trading.structs import asdict

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cost.md"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1_000, help="measured chains of each kind")
    parser.add_argument("--warm-up", type=int, default=450, help="warm-up chains of each kind")
    parser.add_argument("--no-events", action="store_true", help="workers send no task events (Flower sees nothing)")
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, to standard output")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} in docs/")
    given = parser.parse_args(arguments)
    console = Console(stderr=True)
    costs = measure(given.rounds, warm_up=given.warm_up, events=not given.no_events, console=console)
    if given.json:
        Console(soft_wrap=True).print_json(json.dumps([asdict(cost) for cost in costs]))
    else:
        Console().print(_table(costs))
    if given.write:
        PAGE.write_text(_page(costs, events=not given.no_events), encoding="utf-8")
        console.print(f"written: {PAGE.name}")
    return 0


def _table(costs: Sequence[Cost]) -> Table:
    table = Table(title=f"A whole chain, {costs[0].count} of each kind in turns (goal: {GOAL}x)")
    for heading in ("chain", "content", "p50 ms", "p99 ms", "p50 ratio", "p99 ratio"):
        table.add_column(heading, justify="left" if heading in ("chain", "content") else "right")
    for cost in costs:
        figures = f"{cost.p50_ms:.2f}", f"{cost.p99_ms:.2f}", f"{cost.p50_ratio:.2f}x", f"{cost.p99_ratio:.2f}x"
        table.add_row(cost.chain, CHAINS[cost.chain], *figures)
    return table


def _page(costs: Sequence[Cost], *, events: bool) -> str:
    rows = "\n".join(
        f"| {cost.chain} | {CHAINS[cost.chain]} | {cost.p50_ms:.2f} | {cost.p99_ms:.2f} "
        f"| {cost.p50_ratio:.2f} | {cost.p99_ratio:.2f} |"
        for cost in costs
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "redis", "pandas", "TA-Lib"))
    return f"""# Cost of a chain

Written by `make bench ARGS=--write` on {datetime.now(UTC):%Y-%m-%d} (UTC): Python {platform.python_version()},
{versions}; {platform.machine()}, {os.cpu_count()} cores, task events {"on" if events else "off"}.

Two prefork workers with one slot each and the same settings ran the chains: the first row on kombu's own Redis
transport, as Celery installs it, the other rows on this project's transport (`tasks/engine/celery_patches.py`). The
chains were sent one at a time, alternating, {costs[0].count} of each. The time runs from the publication of the tick to
the success of the last step. Milliseconds differ between machines; compare the ratios to Celery's own chain of the same
run.

| chain | content | p50 ms | p99 ms | p50 ratio | p99 ratio |
|---|---|---:|---:|---:|---:|
{rows}
"""


if __name__ == "__main__":
    raise SystemExit(main())
