"""Provocation of rare places: a wrong value in Redis, a control message, a stopped market, a first kill."""

from collections.abc import Callable
from random import Random

from celery import Celery

from tests.chaos.kill_points.director import Director, Hit
from tests.chaos.kill_points.places import AFRESH, EVENTS, SENDING, STOPS, Target
from tests.chaos.systems.system import ChaosSystem

EVERY_S = 0.4
RECONCILE = "tasks.reconcile"

_AT_SEED = frozenset({"store.seed", "source.history"})
_AT_REST = frozenset({"store.record_fetch"})
_RENEWED = frozenset({*EVENTS, "runtime.rebuild", "runtime.report"})
_ASKED = ("tasks.restart_symbol", "tasks.status")


class Provoker:
    """Ensures that a place is reached, without changing a decision."""

    def __init__(self, system: ChaosSystem, director: Director, app: Celery, random: Random) -> None:
        self._system = system
        self._director = director
        self._app = app
        self._random = random

    def first(self, place: str) -> tuple[str, Callable[[Hit], None]] | None:
        """Return what must happen before `place` can be reached: where, and what is done there; None for most."""
        stage, method = _parts(place)
        if stage == "start":
            return "strategy.task.run.before", lambda hit: self._system.kill_target(Target.WORKER, hit)
        if stage == "reconcile":
            return self._before_reconcile(method)
        if method in _AT_SEED:  # between two candles: what is decided is in the journal too
            return "fetch.task.run.before", lambda hit: self._system.forget(_symbol(hit))
        if place.startswith("fetch.store.mark_exposed"):
            return "execute.message.publish.before", lambda hit: self._system.lie_in_redis(
                _symbol(hit), "exposure", "0"
            )
        if method in AFRESH or (method in EVENTS and stage in {"indicators", "execute"}):
            # a message that comes again, to a process that is new
            return f"{stage}.task.run.before", lambda hit: self._system.kill_target(Target.CHILD, hit)
        return None

    def stir(self, place: str) -> None:
        """Do whatever leads to `place`; called again and again until it is reached."""
        stage, method = _parts(place)
        symbol = self._random.choice(list(self._system.symbols))
        if stage == "control":
            task = self._random.choice(_ASKED) if method in {"task.run", "message.acknowledge"} else _ASKED[0]
            self._system.send(self._app, task, symbol)
        elif stage == "reconcile":
            self._system.send(self._app, RECONCILE, symbol)
        elif place.startswith("fetch.store.set_desired"):
            self._system.lie_in_redis(symbol, "desired", "paused")
        elif stage == "fetch" and method in _RENEWED:
            self._system.lie_in_redis(symbol, "provoked", "yes")
        elif method in _AT_REST:
            self._director.board.is_market_still = True

    def calm(self) -> None:
        """Stop provocations that continue by themselves."""
        self._director.board.is_market_still = False

    def _before_reconcile(self, method: str) -> tuple[str, Callable[[Hit], None]] | None:
        """Kill a worker in the middle of an order, or of a stop's move, and have the next one compare before all else.

        The message that died with it comes again later: until then nobody else settles what was under way.
        """
        if method not in SENDING and method not in STOPS and method not in AFRESH:
            return None

        def kill(hit: Hit) -> None:
            self._system.send(self._app, RECONCILE, _symbol(hit))
            self._system.kill_target(Target.WORKER, hit)

        if method in STOPS:
            return "execute.venue.move_stop.before", kill
        is_filled = method == "ledger.record_fills"
        return ("execute.ledger.record_fills.before" if is_filled else "execute.venue.submit.before"), kill


def _symbol(hit: Hit) -> str:
    assert hit.symbol is not None, f"{hit.place} belongs to a symbol"
    return hit.symbol


def _parts(place: str) -> tuple[str, str]:
    stage, _, rest = place.partition(".")
    return stage, rest.rpartition(".")[0]
