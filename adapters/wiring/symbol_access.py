"""Access of an orchestrator to the state of a symbol in Redis and the ledger, wherever its services run."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

from adapters import clock
from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from adapters.redis.last_errors import read_errors
from adapters.redis.symbol_records import RedisSymbolRecords
from adapters.symbol_store.redis import feed_history
from adapters.wiring.market_time import ahead
from adapters.wiring.pipeline import Stores
from adapters.wiring.symbol_status import last_decisions, stale_after_s
from configs.loading import SystemConfig
from configs.symbols import SymbolConfig
from trading.events.event import Event
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState, PositionPolicy
from trading.market.feed_health import feed_issue, market_now_ms
from trading.orchestration.diagnosis import HealthSnapshot, TaskFailure, WorkerHeartbeat
from trading.orchestration.phase import phase_of
from trading.orchestration.symbol_port import SymbolRecord
from trading.services.status import ServiceStatus


class SymbolAccess:
    """One symbol's part of the stores; the base of both kinds of `SymbolRuntime`."""

    def __init__(self, symbol: str, stores: Stores, system: SystemConfig, namespace: str) -> None:
        self.symbol = symbol
        self._stores = stores
        self._system = system
        self._namespace = namespace
        self._records = RedisSymbolRecords(stores.redis, namespace)

    @property
    def config(self) -> SymbolConfig:
        return self._system.symbols[self.symbol]

    def now_ms(self) -> int:
        return clock.now_ms()

    def record(self) -> SymbolRecord:
        return self._records.read(self.symbol)

    def save(self, record: SymbolRecord) -> bool:
        return self._records.write(self.symbol, record)

    def publish(self, events: Sequence[Event]) -> None:
        self._stores.bus.publish(events)

    def desired(self) -> DesiredState:
        return self._stores.ledger.desired(self.symbol)

    def set_desired(self, state: DesiredState, reason: str) -> None:
        self._stores.ledger.set_desired(self.symbol, state, reason=reason)
        self._stores.store.set_desired(self.symbol, state)

    def observe(self, record: SymbolRecord) -> HealthSnapshot:
        """Read the present state of the symbol from Redis and the ledger."""
        state, services = self._read()
        now_ms = self.now_ms()
        fetched_ms = state.get("fetched_at_ms")
        history, terms = feed_history(state), self.config.feed_terms
        issue = feed_issue(history, terms, now_ms=now_ms)
        market_ms = now_ms if history is None else market_now_ms(history, terms, now_ms=now_ms)
        return HealthSnapshot(
            now_ms=now_ms,
            desired=self.desired(),
            services=services,
            reported_ms=max((service.reported_at_ms for service in services), default=0),
            progress_ms=None if fetched_ms is None else int(fetched_ms),
            stale_s=self._stale_s(),
            is_open=terms.session.may_be_open(market_ms),
            feed="" if issue is None else issue.reason,
            ahead=ahead(self.symbol, self.config, state, self._stores.ledger.fence(self.symbol), now_ms),
            rejected=self._rejected(),
            failures=self.failures(),
            queued=self.queued(),
            workers=self.workers(now_ms),
            began_ms=record.began_ms,
            quarantine=self._stores.ledger.quarantine(self.symbol),
            incidents=[one for one in self._stores.ledger.incidents_of(self.symbol) if one.kind.ends_with_position],
            last_error=read_errors(self._stores.redis, self._namespace, [self.symbol])[self.symbol],
            phase=phase_of(history, terms, last_decisions(state), now_ms=now_ms),
        )

    def failures(self) -> Sequence[TaskFailure]:
        return ()

    def queued(self) -> int:
        return 0

    def workers(self, now_ms: int) -> Sequence[WorkerHeartbeat] | None:
        return None

    def quarantine(self, cause: str, reason: str) -> PositionPolicy:
        policy = self.config.on_quarantine
        self._stores.ledger.set_quarantine(self.symbol, policy, cause=cause, reason=reason)
        self._stores.store.set_quarantine(self.symbol, policy)
        return policy

    def clear_quarantine(self, reason: str) -> bool:
        was_quarantined = self._stores.ledger.clear_quarantine(self.symbol, reason=reason)
        self._stores.store.set_quarantine(self.symbol, None)
        return was_quarantined

    def open_incident(self, kind: str, reason: str) -> None:
        self._stores.ledger.open_incidents([Incident(IncidentKind.SICK, self.symbol, kind, reason)])

    def retract_incident(self, reason: str) -> None:
        for row in self._stores.ledger.incidents(self.symbol):
            if row["kind"] == IncidentKind.SICK:
                self._stores.ledger.resolve_incident(row["id"], reason)

    def _rejected(self) -> str:
        """Return the newest rejected message whose incident is open; empty for none."""
        rows = self._stores.ledger.incidents(self.symbol)
        rejected = (row for row in rows if row["kind"] == IncidentKind.MESSAGE_REJECTED)
        return next((f"incident {row['id']}: {row['reason']}" for row in rejected), "")

    def _stale_s(self) -> float:
        """Return the seconds without a completed chain after which a symbol is stale; infinite if a service is off."""
        services = self._system.services
        parts = (services.data_fetching, services.indicator_calculation, services.strategy_evaluation)
        if not (all(part.enabled for part in parts) and services.trade_execution.enabled):
            return math.inf
        return stale_after_s(services.data_fetching, self.config)

    def _read(self) -> tuple[Mapping[str, str], list[ServiceStatus]]:
        with talking_to_redis():
            pipe = self._stores.redis.pipeline(transaction=False)
            pipe.hgetall(keys.state(self._namespace, self.symbol))
            pipe.hgetall(keys.service(self._namespace, self.symbol))
            state, services = cast("list[dict[bytes, bytes]]", pipe.execute())
        decoded = {key.decode(): value.decode() for key, value in state.items()}
        return decoded, [ServiceStatus.from_json(service) for service in services.values()]
