"""One half of a run: episodes on one kind of database, until enough has been killed."""

import logging
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.episode import Episode, Kill, Stuck
from tests.chaos.kill_points.places import all_places
from tests.chaos.plan import MOST_MISSES, Cell, KillPlan, cells, in_order
from tests.chaos.systems.postgres import KillablePostgres
from tests.fixtures.apps.system import file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles

SYMBOLS = ("XAUUSD", "BTCUSDT")
TRAILED = "BTCUSDT"
"""Its stops are moved."""
TRAILING_DISTANCE = 1.0
"""In quote currency: about half a candle, so that most positions have their stop moved, and many end there."""
CANDLES = 6_000
PACE_S = 0.02
KILLS_EACH = 60
KILLS_BETWEEN_LOOKS = 10
MOST_FAULTY_EPISODES = 3

FAULTS: Mapping[str, Any] = {
    "timeout_before_probability": 0.05,
    "timeout_after_probability": 0.05,
    "server_error_probability": 0.02,
    "rate_limit_probability": 0.02,
    "malformed_probability": 0.02,
    "visibility_s": 0.05,
    "duplicate_fill_probability": 0.1,
    "shuffled_fills_probability": 0.1,
    "late_fill_probability": 0.1,
    "rejection_probability": 0.05,
    "partial_order_probability": 0.1,
    "split_fill_probability": 0.1,
    "reusable_ids": True,
}
"""All that the venue can do wrong, at rates that leave most calls alone."""


@dataclass
class Outcome:
    """The result of one half.

    Attributes:
        differences: As text, with the kills since the last look at which all was equal.
        missed: Cells whose place was not reached.
        unlisted: Places that were reached and are in no table.
        second_looks: How often books only agreed a few candles later.
    """

    database: str
    kills: list[Kill] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    missed: Counter[Cell] = field(default_factory=Counter)
    missed_places: Counter[str] = field(default_factory=Counter)
    unlisted: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    second_looks: int = 0
    episodes: int = 0
    took_s: float = 0.0
    server: str = ""

    @property
    def tried(self) -> int:
        """Number of cells of the plan that were taken, those included whose place was not reached."""
        return len(self.kills) + sum(self.missed.values())

    def add(self, other: "Outcome") -> None:
        """Take over what another part of the same half came to."""
        self.kills += other.kills
        self.differences += other.differences
        self.missed.update(other.missed)
        self.missed_places.update(other.missed_places)
        self.unlisted |= other.unlisted
        self.counts.update(other.counts)
        self.second_looks += other.second_looks
        self.episodes += other.episodes
        self.took_s += other.took_s
        self.server = other.server or self.server


def run_half(
    kill_plan: KillPlan,
    report: Callable[[Kill | str | Outcome], None],
    *,
    parent: Path | None = None,
    before: Outcome | None = None,
) -> Outcome:
    """Kill as often as planned, and compare.

    Args:
        report: Receives each kill, each difference, and the result of each episode once its books were compared.
        parent: Where the folders of the episodes are made; those in which something is wrong are kept.
        before: What an earlier part of the run came to; it goes on from there.
    """
    with quiet():
        return _kill_until_done(kill_plan, report, parent, before or Outcome(kill_plan.database))


def _kill_until_done(
    kill_plan: KillPlan, report: Callable[[Kill | str | Outcome], None], parent: Path | None, outcome: Outcome
) -> Outcome:
    postgres = KillablePostgres() if kill_plan.is_postgresql else None
    outcome.server = postgres.version if postgres else ""
    order = islice(in_order(kill_plan), outcome.tried, None)
    goal = kill_plan.kills or len(cells(kill_plan))
    faulty = 0
    try:
        while len(outcome.kills) + sum(outcome.missed.values()) * (not kill_plan.kills) < goal:
            folder = Path(tempfile.mkdtemp(prefix=f"chaos-{kill_plan.database[:2]}-", dir=parent))
            began_s = time.monotonic()
            part = Outcome(kill_plan.database, missed_places=outcome.missed_places.copy(), episodes=1)
            left = goal - len(outcome.kills) - sum(outcome.missed.values()) * (not kill_plan.kills)
            run = _Run(kill_plan, part, order, left, report, Random(f"{kill_plan.seed} {outcome.episodes}"))
            is_right = run.episode(folder, postgres)
            part.missed_places -= outcome.missed_places
            part.took_s, part.server = time.monotonic() - began_s, outcome.server
            outcome.add(part)
            report(part)
            if is_right:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            faulty += 1
            if faulty >= MOST_FAULTY_EPISODES:
                break
    finally:
        if postgres is not None:
            postgres.stop()
    return outcome


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the warning for each fault-injecting venue that this process opens."""
    logger = logging.getLogger("adapters.wiring.venues")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def chaos_symbols(folder: Path, seed: int) -> dict[str, Any]:
    """Return symbols that trade at every second or third candle, at a fault-injecting venue."""
    venue = {
        "kind": "paper",
        "fill_at": "next_open",
        "spread": 0.2,
        "slippage": 0.02,
        "commission_bps": 0.2,
        "faults": {**FAULTS, "seed": seed},
    }
    strategy = {"name": "tests.chaos.systems.restless:Restless", "params": {}}
    found = {}
    for at, name in enumerate(SYMBOLS):
        path = write_candles(folder / f"{name}.csv", generated_candles(name, CANDLES, seed=seed + at))
        found[name] = file_symbol(path, venue=venue, strategy=strategy)
    found[TRAILED]["exits"] = {"trailing_stop": {"distance": TRAILING_DISTANCE}}
    return found


@dataclass
class _Run:
    """One episode's way through the plan."""

    kill_plan: KillPlan
    outcome: Outcome
    order: Any
    goal: int
    report: Callable[[Kill | str | Outcome], None]
    random: Random

    def episode(self, folder: Path, postgres: KillablePostgres | None) -> bool:
        """Kill until the episode is long enough, and return whether all was right."""
        symbols = chaos_symbols(folder, self.random.randrange(1_000_000))
        episode = Episode(folder, symbols, random=self.random, pace_s=PACE_S, postgres=postgres)
        recent: list[Kill] = []
        try:
            episode.start()
            for number in range(1, KILLS_EACH + 1):
                recent.append(self._kill(episode, next(self.order)))
                is_last = self._is_done() or number == KILLS_EACH or episode.is_near_the_end()
                if is_last or number % KILLS_BETWEEN_LOOKS == 0:
                    if not self._look(episode, recent):
                        return False
                    recent.clear()
                if is_last:
                    break
        except Stuck as trouble:
            self._say(episode, recent, [f"stuck: {trouble}\n{episode.system.logs()}"])
            return False
        finally:
            self.outcome.second_looks += episode.second_looks
            self.outcome.unlisted |= episode.director.seen - set(all_places())
            episode.stop()
        return True

    def _is_done(self) -> bool:
        tried = sum(self.outcome.missed.values()) if not self.kill_plan.kills else 0
        return len(self.outcome.kills) + tried >= self.goal

    def _kill(self, episode: Episode, cell: Cell) -> Kill:
        while self.outcome.missed_places[cell[0]] >= MOST_MISSES and self.kill_plan.kills:
            cell = next(self.order)
        kill = episode.kill(*cell)
        if kill.recovery_s is None:
            self.outcome.missed[cell] += 1
            self.outcome.missed_places[cell[0]] += 1
        else:
            self.outcome.kills.append(kill)
        self.report(kill)
        return kill

    def _look(self, episode: Episode, recent: list[Kill]) -> bool:
        differences = episode.check()
        self.outcome.counts.update(looks=1)
        if not differences:
            return True
        self._say(episode, recent, [f"{len(differences)} differences", *map(str, differences[:10])])
        return False

    def _say(self, episode: Episode, recent: list[Kill], lines: list[str]) -> None:
        before = [f"    {kill.place} x {kill.target.value} ({kill.symbol})" for kill in recent]
        text = "\n".join(
            [f"{self.kill_plan.database}, kept in {episode.folder}:", *lines, "  kills before it:", *before]
        )
        self.outcome.differences.append(text)
        self.report(text)
