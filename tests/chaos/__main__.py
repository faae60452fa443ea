"""`python -m tests.chaos`: run the kill matrix, both databases at the same time, and say what came of it."""

import argparse
import json
import os
import selectors
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.chaos import report
from tests.chaos.episode import Kill
from tests.chaos.half import MOST_FAULTY_EPISODES, Outcome, run_half
from tests.chaos.kill_points.places import Target
from tests.chaos.plan import KillPlan, cells

ROOT = Path(__file__).parents[2]
DATABASES = ("sqlite", "postgresql")
MOST_STARTS = 4


def main() -> int:
    options = _options()
    if options.recorded:
        from tests.chaos.recorded import run_recorded

        return run_recorded(options, Console(stderr=True))
    if options.half:
        return _half(options)
    halves = _run_both(options)
    is_whole = all(half.is_done for half in halves)
    found = report.summary([_plain_outcome(half.outcome) for half in halves], options.seed)
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
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FOLDER",
        help="keep what each episode came to there, and go on from what is there: a run may be stopped at any time",
    )
    parser.add_argument("--half", choices=DATABASES, help=argparse.SUPPRESS)
    return parser.parse_args()


def _plan_of(options: argparse.Namespace, database: str, share: int) -> KillPlan:
    kills = options.kills or (64 if options.quick else 0)
    return KillPlan(database, -(-kills // share), options.seed, options.places, is_quick=options.quick)


def _half(options: argparse.Namespace) -> int:
    """Run one half in this process, and print one JSON line for each thing that happens."""

    def send_news(news: Kill | str | Outcome) -> None:
        sys.stdout.write(json.dumps(_line(news)) + "\n")
        sys.stdout.flush()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started has to be stopped
    before = _outcome(options.half, json.loads(sys.stdin.readline()))
    run_half(_plan_of(options, options.half, 1), send_news, before=before)
    return 0


def _line(news: Kill | str | Outcome) -> dict[str, Any]:
    if isinstance(news, Outcome):
        return {"episode": _plain_outcome(news)}
    return {"wrong": news} if isinstance(news, str) else {"kill": _plain(news)}


def _plain(kill: Kill) -> dict[str, Any]:
    return {"place": kill.place, "target": kill.target.value, "symbol": kill.symbol, "recovery_s": kill.recovery_s}


def _plain_outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "database": outcome.database,
        "kills": [_plain(kill) for kill in outcome.kills],
        "missed": [(place, target.value) for place, target in outcome.missed.elements()],
        "differences": outcome.differences,
        "unlisted": sorted(outcome.unlisted),
        "looks": outcome.counts["looks"],
        "second_looks": outcome.second_looks,
        "episodes": outcome.episodes,
        "took_s": outcome.took_s,
        "server": outcome.server,
    }


def _kill(database: str, found: Mapping[str, Any]) -> Kill:
    return Kill(database, found["place"], Target(found["target"]), found["symbol"], found["recovery_s"])


def _outcome(database: str, found: Mapping[str, Any]) -> Outcome:
    """Return what `_plain_outcome` made plain."""
    missed = [(place, Target(target)) for place, target in found["missed"]]
    return Outcome(
        database,
        kills=[_kill(database, each) for each in found["kills"]],
        differences=list(found["differences"]),
        missed=Counter(missed),
        missed_places=Counter(place for place, _ in missed),
        unlisted=set(found["unlisted"]),
        counts=Counter(looks=found["looks"]),
        second_looks=found["second_looks"],
        episodes=found["episodes"],
        took_s=found["took_s"],
        server=found["server"],
    )


@dataclass
class _Half:
    """A half as its parent sees it.

    Attributes:
        outcome: Of all episodes that came to their end.
        killed: In the episode under way, as `missed`; both are gone when its process is.
        starts: How often its process was started.
    """

    kill_plan: KillPlan
    options: argparse.Namespace
    outcome: Outcome
    killed: int = 0
    missed: int = 0
    starts: int = 0

    @property
    def goal(self) -> int:
        return self.kill_plan.kills or len(cells(self.kill_plan))

    @property
    def done(self) -> int:
        return len(self.outcome.kills) + (0 if self.kill_plan.kills else sum(self.outcome.missed.values()))

    @property
    def is_done(self) -> bool:
        return self.done >= self.goal or len(self.outcome.differences) >= MOST_FAULTY_EPISODES

    @property
    def record(self) -> Path | None:
        folder: Path | None = self.options.record
        return folder / f"{self.kill_plan.database}.jsonl" if folder else None

    def start(self) -> "subprocess.Popen[str]":
        """Start its process, from where the last one came to."""
        options, kill_plan = self.options, self.kill_plan
        argv = [sys.executable, "-m", "tests.chaos", "--half", kill_plan.database, "--kills", str(kill_plan.kills)]
        argv += ["--seed", str(options.seed), "--places", options.places, *(["--quick"] if options.quick else [])]
        process = subprocess.Popen(
            argv, cwd=ROOT, text=True, env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(_plain_outcome(self.outcome)) + "\n")
        process.stdin.flush()
        self.process = process
        self.starts += 1
        self.killed = self.missed = 0
        return process

    def take(self, news: Mapping[str, Any]) -> str | None:
        """Take in one line of its process, and return the line to print."""
        if "episode" in news:
            self.outcome.add(_outcome(self.kill_plan.database, news["episode"]))
            self.killed = self.missed = 0
            if self.record is not None:
                with self.record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(news["episode"]) + "\n")
        elif "kill" in news and news["kill"]["recovery_s"] is None:
            self.missed += 1
        elif "kill" in news:
            self.killed += 1
        return news.get("wrong")


def _run_both(options: argparse.Namespace) -> list[_Half]:
    chosen = DATABASES if options.database == "both" else (options.database,)
    halves = []
    for database in chosen:
        half = _Half(_plan_of(options, database, len(chosen)), options, Outcome(database))
        if half.record is not None and half.record.exists():
            for line in half.record.read_text(encoding="utf-8").splitlines():
                half.outcome.add(_outcome(database, json.loads(line)))
        halves.append(half)
    if options.record:
        options.record.mkdir(parents=True, exist_ok=True)
    try:
        _follow([half for half in halves if not half.is_done])
    except KeyboardInterrupt:
        sys.stderr.write("stopped: what was compared so far follows\n")
    finally:
        for half in halves:
            if half.starts:
                half.process.terminate()
                half.process.wait(60)
    return halves


def _follow(halves: Sequence[_Half]) -> None:
    """Show how the halves get on, until both have ended; one whose process fails goes on in another, a few times."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[summary_text]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress, selectors.DefaultSelector() as selector:
        for half in halves:
            bar = progress.add_task(
                half.kill_plan.database, total=half.goal, completed=half.done, summary_text="starting"
            )
            selector.register(half.start().stdout, selectors.EVENT_READ, (half, bar))  # type: ignore[arg-type]
        while selector.get_map():
            for key, _ in selector.select():
                half, bar = key.data
                line = half.process.stdout.readline()
                if not line:
                    selector.unregister(key.fileobj)
                    if half.process.wait() and not half.is_done and half.starts < MOST_STARTS:
                        progress.console.print(
                            f"{half.kill_plan.database}: the harness failed, and goes on", style="yellow"
                        )
                        selector.register(half.start().stdout, selectors.EVENT_READ, (half, bar))
                    continue
                if (wrong := half.take(json.loads(line))) is not None:
                    progress.console.print(wrong, style="red", markup=False, highlight=False)
                missed = half.missed + sum(half.outcome.missed.values())
                summary_text = f"{missed} not reached, {len(half.outcome.differences)} differences"
                progress.update(bar, completed=half.done + half.killed, summary_text=summary_text)


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
