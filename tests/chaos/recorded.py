"""Recorded gold and bitcoin, with a kill of something at random every few seconds, against the undisturbed run."""

import argparse
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.progress import Progress

from adapters.sources.file import read_candles
from tests.chaos.comparison.books import Difference
from tests.chaos.episode import LOOK_S, Episode, Stuck
from tests.chaos.half import FAULTS, quiet
from tests.chaos.kill_points.director import Hit
from tests.chaos.kill_points.places import Target
from tests.chaos.systems.postgres import KillablePostgres
from tests.fixtures.apps.system import file_symbol, recorded
from tests.fixtures.candle_files import write_candles

FILES: Mapping[str, str] = {"XAUUSD": "XAUUSD_1m.csv.gz", "BTCUSDT": "BTCUSDT_1m.csv.gz"}
PACE_S = 0.05
STILL_LIMIT_S = 120.0


def run_recorded(options: argparse.Namespace, console: Console) -> int:
    """Play the recordings with kills, print what came of it, and return 1 when the books differ."""
    with quiet():
        return _run(options, console)


def _run(options: argparse.Namespace, console: Console) -> int:
    folder = Path(tempfile.mkdtemp(prefix="chaos-re-"))
    postgres = KillablePostgres() if options.database == "postgresql" else None
    random = Random(options.seed)
    symbols = _symbols(folder, options.candles)
    episode = Episode(folder, symbols, random=random, pace_s=PACE_S, postgres=postgres)
    try:
        began_s = time.monotonic()
        kills = _play(episode, random, options.kill_every, has_postgresql=postgres is not None, console=console)
        took_s = time.monotonic() - began_s
        differences = episode.check()
        trades = len(episode.system.stores().ledger.fills(limit=1_000_000))
    finally:
        episode.stop()
        if postgres is not None:
            postgres.stop()
    console.print(f"{options.candles} candles of each of {', '.join(symbols)} in {took_s:.0f} s, {trades} fills")
    console.print(f"{kills.total()} kills: " + ", ".join(f"{target.value} {count}" for target, count in kills.items()))
    _print_result(console, differences, folder)
    return int(bool(differences))


def _print_result(console: Console, differences: list[Difference], folder: Path) -> None:
    if differences:
        console.print(f"{len(differences)} differences from the undisturbed run, kept in {folder}", style="red")
        for difference in differences[:10]:
            console.print(str(difference), markup=False, highlight=False)
        return
    shutil.rmtree(folder, ignore_errors=True)
    console.print("the same candles, decisions, orders, fills and positions as without a kill", style="green")


def _symbols(folder: Path, count: int) -> dict[str, Any]:
    found = {}
    for name, file in FILES.items():
        path = write_candles(folder / f"{name}.csv", read_candles(recorded(file), timeframe="1m")[:count])
        plain = file_symbol(path)
        found[name] = {**plain, "venue": {**plain["venue"], "faults": dict(FAULTS)}}
    return found


def _play(
    episode: Episode, random: Random, kill_every_s: float, *, has_postgresql: bool, console: Console
) -> Counter[Target]:
    """Kill until all candles are decided, and return what was killed how often."""
    targets = [target for target in Target if has_postgresql or target is not Target.POSTGRESQL]
    kills: Counter[Target] = Counter()
    episode.start()
    with Progress(console=console) as progress:
        bar = progress.add_task("candles", total=episode.candle_count)
        next_s = time.monotonic() + kill_every_s
        moved_s, done = time.monotonic(), 0
        while not episode.is_played():
            episode.go_on()
            now_s = time.monotonic()
            if episode.decided_count() > done:
                moved_s, done = now_s, episode.decided_count()
                progress.update(bar, completed=done, description=f"candles, {kills.total()} kills")
            if now_s - moved_s > STILL_LIMIT_S:
                raise Stuck(f"no candle was decided for {STILL_LIMIT_S:g} s\n{episode.system.logs()}")
            if now_s >= next_s:
                next_s = now_s + random.uniform(0.5, 1.5) * kill_every_s
                kills[_kill(episode, random, random.choice(targets))] += 1
            time.sleep(LOOK_S)
    return kills


def _kill(episode: Episode, random: Random, target: Target) -> Target:
    """Kill a process; where the one that was drawn is down at the moment, its pool child or worker is left alone."""
    symbol = random.choice(list(FILES))
    pid = episode.system.worker_pid(symbol)
    if pid is not None or target not in {Target.CHILD, Target.WORKER}:
        episode.system.kill_target(target, Hit("at random", symbol, symbol, pid or 0, pid or 0))
    return target
