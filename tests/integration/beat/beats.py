"""Celery's beat in the process of a test, on a clock that stands."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from celery import Celery

from adapters.redis import keys
from adapters.redis.leader_lease import Leadership
from beat.scheduler import SymbolScheduler
from tasks.engine.stages import FIRST_STAGE
from tests.fixtures.apps.queued import Queued, queued
from tests.fixtures.apps.system import TradingSystem

SYMBOLS = ("XAUUSD", "BTCUSD", "EURUSD")
NEVER_S = 1e9
NEVER_AGAIN = {
    "TRADING__SERVICES__DATA_FETCHING__FETCH_INTERVAL": str(NEVER_S),
    "TRADING__ORCHESTRATOR__HEALTH_CHECK_INTERVAL": str(NEVER_S),
    "TRADING__ORCHESTRATOR__STATUS_LOG_INTERVAL": str(NEVER_S),
    "TRADING__ORCHESTRATOR__RECONCILE_INTERVAL": str(NEVER_S),
}
"""So long that no slot but the first one comes within a test: the next one begins in the year 2033."""


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Beat:
    """Celery's scheduler in this process, on a broker of its own."""

    system: TradingSystem
    app: Celery
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.scheduler = SymbolScheduler(app=self.app, lazy=True)
        self.scheduler._leadership = self.rival(self.clock)

    @property
    def client(self) -> redis.Redis:
        return self.system.stores().redis

    def rival(self, clock: Callable[[], float] | None = None) -> Leadership:
        """Return another beat's hold on the same lease."""
        options = {"clock": clock} if clock else {}
        return Leadership(self.client, self.system.settings.namespace, lease_s=30.0, **options)

    def tick(self) -> float:
        return float(self.scheduler.tick())

    def sent(self, queue: str) -> list[Queued]:
        return queued(self.client, queue)

    def ticks(self) -> Counter[str]:
        return Counter(
            message.message_id for symbol in SYMBOLS for message in self.sent(symbol) if message.task == FIRST_STAGE
        )

    def end_lease(self) -> None:
        self.client.delete(keys.beat_leader(self.system.settings.namespace))
