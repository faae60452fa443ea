"""`python -m tests.chaos`: run the kill matrix, both databases at the same time, and say what came of it."""

import argparse
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.chaos import report
from tests.chaos.episode import Kill
from tests.chaos.half import Outcome, run_half
from tests.chaos.places import Target
from tests.chaos.plan import Wanted, cells

ROOT = Path(__file__).parents[2]
DATABASES = ("sqlite", "postgresql")


def main() -> int:
    options = _options()
    if options.recorded:
        from tests.chaos.recorded import run_recorded

        return run_recorded(options, Console(stderr=True))
    if options.half:
        return _half(options)
    halves = _run_both(options)
    is_whole = all(half.outcome for half in halves)
    found = report.summary([half.outcome for half in halves if half.outcome], options.seed)
    if options.write and is_whole:
        report.PAGE.write_text(report.page(found), encoding="utf-8")
    if options.json:
        json.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print(found)
    return int(bool(found["differences"]) or not is_whole)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, help="kills in all; every cell of the matrix once when left out")
    parser.add_argument("--seed", type=int, default=1, help="the same seed plans the same kills")
    parser.add_argument("--database", choices=("both", *DATABASES), default="both")
    parser.add_argument(
        "--quick", action="store_true", help="a sample of all stages, 64 kills when --kills is left out"
    )
    parser.add_argument("--places", default="*", help="pattern for the names of places, such as 'execute.*'")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--write", action="store_true", help=f"write {report.PAGE.relative_to(ROOT)}")
    parser.add_argument("--recorded", action="store_true", help="play recorded gold and bitcoin, killing at random")
    parser.add_argument("--kill-every", type=float, default=3.0, help="with --recorded: seconds between two kills")
    parser.add_argument("--candles", type=int, default=3_000, help="with --recorded: candles of each symbol")
    parser.add_argument("--half", choices=DATABASES, help=argparse.SUPPRESS)
    return parser.parse_args()


def _wanted(options: argparse.Namespace, database: str, share: int) -> Wanted:
    kills = options.kills or (64 if options.quick else 0)
    return Wanted(database, -(-kills // share), options.seed, options.places, is_quick=options.quick)


def _half(options: argparse.Namespace) -> int:
    """Run one half in this process, and print one JSON line for each thing that happens."""

    def tell(news: Kill | str) -> None:
        line = {"wrong": news} if isinstance(news, str) else {"kill": _plain(news)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started has to be stopped
    outcome = run_half(_wanted(options, options.half, 1), tell)
    sys.stdout.write(json.dumps({"end": _plain_outcome(outcome)}) + "\n")
    return 0


def _plain(kill: Kill) -> dict[str, Any]:
    return {"place": kill.place, "target": kill.target.value, "symbol": kill.symbol, "recovery_s": kill.recovery_s}


def _plain_outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "database": outcome.database,
        "kills": [_plain(kill) for kill in outcome.kills],
        "missed": [(place, target.value) for place, target in outcome.missed],
        "differences": outcome.differences,
        "unlisted": sorted(outcome.unlisted),
        "looks": outcome.counts["looks"],
        "second_looks": outcome.second_looks,
        "took_s": outcome.took_s,
        "server": outcome.server,
    }


@dataclass
class _Half:
    """A half as its parent sees it."""

    wanted: Wanted
    process: "subprocess.Popen[str]"
    killed: int = 0
    missed: int = 0
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def goal(self) -> int:
        return self.wanted.kills or len(cells(self.wanted))


def _run_both(options: argparse.Namespace) -> list[_Half]:
    chosen = DATABASES if options.database == "both" else (options.database,)
    halves = []
    for database in chosen:
        wanted = _wanted(options, database, len(chosen))
        argv = [sys.executable, "-m", "tests.chaos", "--half", database, "--kills", str(wanted.kills)]
        argv += ["--seed", str(options.seed), "--places", options.places, *(["--quick"] if options.quick else [])]
        process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ)
        halves.append(_Half(wanted, process))
    try:
        _follow(halves)
    finally:
        for half in halves:
            half.process.terminate()
            half.process.wait(60)
    return halves


def _follow(halves: Sequence[_Half]) -> None:
    """Show how the halves get on, until both have ended."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress, selectors.DefaultSelector() as selector:
        for half in halves:
            bar = progress.add_task(half.wanted.database, total=half.goal, said="starting")
            selector.register(half.process.stdout, selectors.EVENT_READ, (half, bar))  # type: ignore[arg-type]
        while selector.get_map():
            for key, _ in selector.select():
                half, bar = key.data
                line = half.process.stdout.readline()
                if not line:
                    selector.unregister(key.fileobj)
                    continue
                if (wrong := _take(half, json.loads(line))) is not None:
                    progress.console.print(wrong, style="red", markup=False, highlight=False)
                done = half.killed + (0 if half.wanted.kills else half.missed)
                said = f"{half.missed} not reached, {len(half.outcome.get('differences', ()))} differences"
                progress.update(bar, completed=done, said=said)


def _take(half: _Half, news: dict[str, Any]) -> str | None:
    """Take in one line of a half, and return what is to be said about it."""
    if "end" in news:
        half.outcome = news["end"]
    elif "kill" in news and news["kill"]["recovery_s"] is None:
        half.missed += 1
    elif "kill" in news:
        half.killed += 1
    return news.get("wrong")


def _print(found: dict[str, Any]) -> None:
    console = Console()
    table = Table("stage", *(target.value for target in Target), title=f"{found['kills']} kills, seed {found['seed']}")
    for stage, row in found["table"].items():
        table.add_row(stage, *(str(count or "") for count in row.values()))
    for name in ("p50", "p99", "max"):
        took = [found["recovery_s"][target] for target in Target]
        table.add_row(f"recovery {name}, s", *(str(one[name]) if one else "" for one in took), style="dim")
    console.print(table)
    for database, half in found["databases"].items():
        console.print(database, {name: value for name, value in half.items() if name != "not_reached"})
        for place, target in half["not_reached"]:
            console.print(f"  not reached: {place} x {target}", style="dim")
    if found["unlisted"]:
        console.print("reached, but in no table:", ", ".join(found["unlisted"]), style="yellow")
    console.print(f"{len(found['differences'])} comparisons differed", style="red" if found["differences"] else "green")


if __name__ == "__main__":
    sys.exit(main())
