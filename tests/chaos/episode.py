"""One system, killed again and again, and compared with the undisturbed run every so often."""

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from adapters.sources.file import read_candles
from tests.chaos.comparison.books import Books, Difference, compare, read_books
from tests.chaos.comparison.reference import Reference
from tests.chaos.kill_points.director import Director, Hit, Shot
from tests.chaos.kill_points.places import Target
from tests.chaos.provoke import EVERY_S, Provoker
from tests.chaos.systems.postgres import KillablePostgres
from tests.chaos.systems.system import ChaosSystem
from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import Transient

REACH_LIMIT_S = 8.0
LATER_REACH_LIMIT_S = 30.0
"""For places that are reached only after something else was killed, which has to start again."""
RECOVERY_LIMIT_S = 90.0
LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class Kill:
    """The result of one cell of the plan.

    Attributes:
        recovery_s: From the kill until the symbol that stood there has decided a further candle; None when the place
            was not reached within the limit, and nothing was killed.
    """

    database: str
    place: str
    target: Target
    symbol: str | None = None
    recovery_s: float | None = None


class Stuck(Exception):
    """The system did not come back."""


class Episode:
    """A system from its start to its last comparison."""

    def __init__(
        self,
        folder: Path,
        symbols: Mapping[str, Any],
        *,
        random: Random,
        pace_s: float,
        postgres: KillablePostgres | None = None,
    ) -> None:
        self.folder = folder
        self._database = "sqlite" if postgres is None else "postgresql"
        self._random = random
        self._candles = {
            name: read_candles(Path(config["source"]["path"]), timeframe="1m").open_ms.tolist()
            for name, config in symbols.items()
        }
        self.director = Director(folder)
        self._redis = RedisServer(folder / "redis").start()
        self.reference = Reference(symbols)
        self.system = ChaosSystem(
            folder / "system",
            self._redis,
            symbols,
            director=self.director,
            director_folder=folder,
            random=random,
            pace_s=pace_s,
            postgres=postgres,
        )
        self._client = self.system.client()
        self._provoker = Provoker(self.system, self.director, self._client.__enter__(), random)
        self.second_looks = 0
        self._decided: dict[str, int] = {}

    def start(self) -> None:
        """Start all processes and wait until every symbol decides."""
        self.system.start_all()
        self._until(lambda: len(self.system.cursors()) == len(self._candles), "the first candle of each symbol")

    def kill(self, place: str, target: Target) -> Kill:
        """Kill `target` while the code stands at `place`, and wait until the symbol continues."""
        self._until(self.system.is_whole, "all processes run")
        shot = self._fire(place, target)
        if shot.hit is None:
            return Kill(self._database, place, target)
        recovery_s = self._recovered(shot, shot.hit, target)
        return Kill(self._database, place, target, shot.hit.symbol, recovery_s)

    def is_near_the_end(self) -> bool:
        """Return whether the candles of a symbol are about to run out."""
        cursors = self.system.cursors()
        return any(cursors.get(name, 0) >= due[-300] for name, due in self._candles.items())

    def go_on(self) -> None:
        """Do what is to be done while one waits: keep the processes alive, and let the reference follow."""
        self.system.keep_alive()
        self.reference.advance(self._decided, most=1)

    @property
    def candle_count(self) -> int:
        """Number of candles to play, of all symbols."""
        return sum(map(len, self._candles.values()))

    def decided_count(self) -> int:
        """Return how many candles were decided by what Redis says last."""
        self._decided.update(self.system.cursors())
        return sum(bisect_right(every, self._decided.get(name, 0)) for name, every in self._candles.items())

    def is_played(self) -> bool:
        return self.decided_count() == self.candle_count

    def check(self) -> list[Difference]:
        """Stop every symbol between two candles, compare all books with the undisturbed run, and continue.

        A difference is checked again a few candles later: an order of the last candle may still be on its way on one
        of the two sides. Only what stays is a difference.
        """
        differences = self._look()
        if differences:
            self.second_looks += 1
            cursors = self.system.cursors()
            self._until(lambda: self._have_moved(cursors, by=3), "three candles more")
            differences = [one for one in self._look() if one in differences]
        return differences

    def stop(self) -> None:
        self.director.stop()
        self._client.__exit__(None, None, None)
        self.system.kill_all()
        self._redis.stop()
        self.reference.stop()

    def _look(self) -> list[Difference]:
        self.director.close_gate()
        try:
            self._until(lambda: self.director.waiting_at_gate() >= set(self._candles), "every symbol at the gate")
            cursors = self.system.cursors()
            self.reference.advance(cursors)
            due = {name: [ms for ms in every if ms <= cursors[name]] for name, every in self._candles.items()}
            return compare(self._books(due), self.reference.books(due))
        finally:
            self.director.open_gate()

    def _books(self, due: Mapping[str, list[int]]) -> Books:
        """Read the books; a connection that a killed server has left behind costs a second try."""
        for _ in range(3):
            with suppress(Transient):
                return read_books(self.system, due)
        return read_books(self.system, due)

    def _fire(self, place: str, target: Target) -> Shot:
        """Arm a place and return the shot, with the hit if it went off in time."""
        first = self._provoker.first(place)
        nth = 1 if first else self._random.randint(1, 3)
        shot = Shot(place, nth, lambda hit: self.system.kill_target(target, hit))
        self.director.arm(Shot(first[0], 1, first[1], following=shot) if first else shot)
        deadline_s, stir_s = time.monotonic() + (LATER_REACH_LIMIT_S if first else REACH_LIMIT_S), 0.0
        while not shot.done.is_set() and time.monotonic() < deadline_s:
            if time.monotonic() > stir_s:
                self._provoker.stir(place)
                stir_s = time.monotonic() + EVERY_S
            self.go_on()
            shot.done.wait(LOOK_S)
        self.director.disarm()
        self._provoker.calm()
        return shot

    def _recovered(self, shot: Shot, hit: Hit, target: Target) -> float:
        if hit.role == "beat" or hit.symbol is None or target in {Target.REDIS, Target.POSTGRESQL}:
            watched = set(self._candles)
        else:
            watched = {hit.symbol, hit.role} & set(self._candles)
        before = self._cursors_after(shot)
        self._until(
            lambda: self._have_moved(before, only=watched), f"{', '.join(watched)} after {target} at {hit.place}"
        )
        return time.monotonic() - shot.fired_s

    def _cursors_after(self, shot: Shot) -> dict[str, int]:
        """Return the cursors at the kill, asked for until Redis answers."""
        found: dict[str, int] = {}

        def is_reported() -> bool:
            found.update(self.system.cursors())
            return len(found) == len(self._candles)

        self._until(is_reported, f"Redis answers after a kill at {shot.place}")
        return found

    def _have_moved(self, before: Mapping[str, int], *, by: int = 1, only: set[str] | None = None) -> bool:
        now = self.system.cursors()
        self._decided.update(now)
        return all(
            now.get(name, 0) >= min(before[name] + by * 60_000, every[-1])
            for name, every in self._candles.items()
            if only is None or name in only
        )

    def _until(self, condition: Callable[[], bool], what: str, *, limit_s: float = RECOVERY_LIMIT_S) -> None:
        deadline_s = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline_s:
                raise Stuck(f"not within {limit_s:g} s: {what}")
            self.go_on()
            time.sleep(LOOK_S)
