"""The symbols of a running cluster, for the orchestrators: reads Redis and ledger, acts by Celery messages."""

import logging
from collections.abc import Sequence
from typing import Any, cast

from celery import Celery
from msgspec import Struct

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from adapters.redis.heartbeats import WorkerBeat, read_heartbeats
from adapters.redis.task_failures import TaskFailureKind, forget_task_failures, read_task_failures
from adapters.wiring.symbol_access import SymbolAccess
from tasks.engine.revoke import count_queued, drop_queued, end_step, restart_worker
from tasks.engine.send_tick import send_tick
from tasks.engine.stages import RECONCILE, RECONCILE_LIFE_S, STEPS, TICK_LIFE_S
from tasks.engine.worker_context import Runtime
from trading.orchestration.diagnosis import TaskFailure, WorkerHeartbeat
from trading.services.status import ServiceStatus

logger = logging.getLogger("trading.orchestrator")

SERVICES = tuple(dict.fromkeys(step.service for step in STEPS.values()))
"""The four services in the order of the flow."""


class ClusterService(Struct, frozen=True):
    """A service that runs in a worker, as of its last report."""

    status: ServiceStatus

    def get_status(self) -> dict[str, Any]:
        """Return the status as a dictionary; see `ServiceStatus`."""
        return self.status.as_dict()


class ClusterSymbol(SymbolAccess):
    """The `SymbolRuntime` port of a symbol whose services run in workers."""

    def __init__(self, symbol: str, here: Runtime, app: Celery) -> None:
        super().__init__(symbol, here.stores, here.system, here.settings.namespace)
        self._app = app

    @property
    def services(self) -> Sequence[ClusterService]:
        with talking_to_redis():
            found = self._stores.redis.hgetall(keys.service(self._namespace, self.symbol))
        stored = {name.decode(): text for name, text in cast("dict[bytes, bytes]", found).items()}
        return [ClusterService(self._status(name, stored.get(name))) for name in SERVICES]

    def failures(self) -> Sequence[TaskFailure]:
        found = read_task_failures(self._stores.redis, self._namespace, [self.symbol])[self.symbol]
        return [TaskFailure(each.service, each.kind is TaskFailureKind.HUNG, each.text, each.at_ms) for each in found]

    def queued(self) -> int:
        return count_queued(self._stores.redis, self.symbol)

    def workers(self, now_ms: int) -> Sequence[WorkerHeartbeat]:
        return [
            WorkerHeartbeat(beat.node, beat.age_s(now_ms), (now_ms - beat.started_ms) / 1000) for beat in self._beats()
        ]

    def start_services(self) -> None:
        """Send a tick: a worker builds the symbol's services at the first one."""
        self._wake("start")

    def restart_services(self) -> None:
        self._stores.store.request_restart(self.symbol)
        self._wake("restart")

    def restart_symbol(self, *, has_fresh_worker: bool) -> None:
        dropped = drop_queued(self._stores.redis, self.symbol)
        beats = self._beats()
        for beat in beats:
            for step in beat.running:
                if step.symbol == self.symbol:
                    end_step(self._app, step.task_id, beat.node)
        forget_task_failures(self._stores.redis, self._namespace, self.symbol)
        self._stores.store.request_restart(self.symbol)
        renewed = [
            beat.node for beat in beats if has_fresh_worker and beat.is_supervised and self._is_only_symbol_of(beat)
        ]
        for node in renewed:
            restart_worker(self._app, node)
        logger.warning("symbol_restarted symbol=%s dropped=%s workers=%s", self.symbol, dropped, ",".join(renewed))
        kwargs = {"symbol": self.symbol, "reason": "symbol restart"}
        self._app.send_task(RECONCILE, kwargs=kwargs, expires=RECONCILE_LIFE_S, ignore_result=True)
        self._wake("restart")

    def advance(self) -> bool:
        return False

    def close(self) -> None:
        """Do nothing: the cluster continues."""

    def _status(self, service: str, stored: bytes | None) -> ServiceStatus:
        return ServiceStatus.from_json(stored) if stored else ServiceStatus(service_name=service, symbol=self.symbol)

    def _wake(self, why: str) -> None:
        send_tick(self._app, self.symbol, tick_id=f"{why}:{self.symbol}:{self.now_ms()}", life_s=TICK_LIFE_S)

    def _beats(self) -> list[WorkerBeat]:
        beats = read_heartbeats(self._stores.redis, self._namespace)
        return [beat for beat in beats if self.symbol in beat.queues]

    def _is_only_symbol_of(self, beat: WorkerBeat) -> bool:
        return not (set(beat.queues) & set(self._system.symbols)) - {self.symbol}
