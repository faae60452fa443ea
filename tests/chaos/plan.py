"""The kills and their order: every cell of the matrix once in a seeded order, then again from the start."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from random import Random

from tests.chaos.kill_points.places import NOT_PROVOKED, Target, all_places, targets_of

Cell = tuple[str, Target]
MOST_MISSES = 2
"""Number of attempts for a cell whose place is not reached."""

_QUICK = (Target.CHILD,) * 6 + (Target.WORKER, Target.REDIS, Target.BEAT, Target.CONTROL)


@dataclass(frozen=True, slots=True)
class KillPlan:
    """The task of one half of a run, on one kind of database.

    Attributes:
        kills: Least number of processes to kill; 0 for every cell once.
        places: A pattern for the names of places, as of a shell.
        is_quick: A sample of all stages in which the cheap kill of a pool child comes more often than the others.
    """

    database: str
    kills: int
    seed: int
    places: str = "*"
    is_quick: bool = False

    @property
    def is_postgresql(self) -> bool:
        return self.database == "postgresql"


def cells(plan: KillPlan) -> list[Cell]:
    """Return every cell of one half of the matrix that the pattern allows."""
    return [
        (place, target)
        for place in all_places()
        if fnmatch(place, plan.places) and place.rpartition(".")[0] not in NOT_PROVOKED
        for target in targets_of(place, is_postgresql=plan.is_postgresql)
    ]


def in_order(plan: KillPlan) -> Iterator[Cell]:
    """Yield cells for ever; the same ones for the same seed."""
    random = Random(f"{plan.seed} {plan.database}")
    if plan.is_quick:
        yield from _quick(plan, random)
    while True:
        yield from _once(plan, random)


def _once(plan: KillPlan, random: Random) -> Iterator[Cell]:
    """Yield every cell; each place comes up with one of its targets before any comes up with a second one.

    The pool child goes first: it is what dies most often in life, and it costs least.
    """
    targets: dict[str, list[Target]] = {}
    for place, target in cells(plan):
        targets.setdefault(place, []).append(target)
    for left in targets.values():
        random.shuffle(left)
        left.sort(key=lambda target: target is Target.CHILD)  # taken from the end
    while targets:
        for place in random.sample(list(targets), len(targets)):
            yield place, targets[place].pop()
        targets = {place: left for place, left in targets.items() if left}


def _quick(plan: KillPlan, random: Random) -> Iterator[Cell]:
    """Take the targets by how cheap they are, and for each the stage that fits and waits for the longest time."""
    every = cells(plan)
    targets = _QUICK + ((Target.POSTGRESQL,) if plan.is_postgresql else ())
    stages = sorted({place.partition(".")[0] for place, _ in every})
    while every:
        for target in random.sample(targets, len(targets)):
            stage = next((one for one in stages if _fitting(every, one, target)), None)
            if stage is not None:
                stages.remove(stage)
                stages.append(stage)
                yield random.choice(_fitting(every, stage, target))


def _fitting(every: Sequence[Cell], stage: str, target: Target) -> list[Cell]:
    return [cell for cell in every if cell[0].startswith(f"{stage}.") and cell[1] is target]
