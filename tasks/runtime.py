"""What one process holds for its tasks: configuration, stores, and the pipeline of each symbol that it serves."""

import json
import logging
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from adapters import keys
from adapters.bootstrap import Stores, build_pipeline, open_source, open_stores
from adapters.redis_bus import RedisEventBus
from adapters.redis_client import talking_to_redis
from adapters.venues import open_venues
from configs.load import SystemConfig, load_system
from configs.settings import Settings, load_settings
from trading.errors import Transient, UnknownSymbol
from trading.lifecycle import ServiceState
from trading.pipeline import SymbolPipeline
from trading.ports import Venue

logger = logging.getLogger(__name__)

_DELIVERY_MEMORY_S = 3600
_BUILDING = "SymbolPipeline"
"""Stands in the place of the four services where these can't be built."""


class Runtime:
    """Opens each thing at its first use, and keeps it for the life of the process."""

    def __init__(self, settings: Settings, system: SystemConfig) -> None:
        self.settings = settings
        self.system = system
        self.stores: Stores = open_stores(settings, system)
        self._venues: Mapping[str, Venue] = {}
        self._pipelines: dict[str, SymbolPipeline] = {}

    @property
    def bus(self) -> RedisEventBus:
        return self.stores.bus

    def known(self, symbol: str) -> str:
        """Return `symbol` when it is configured.

        Raises:
            UnknownSymbol: It is not; the error lists those that are.
        """
        if symbol not in self.system.symbols:
            raise UnknownSymbol(str(symbol), tuple(self.system.symbols))
        return symbol

    def pipeline(self, symbol: str) -> SymbolPipeline:
        """Return the symbol's pipeline, built at the first call."""
        found = self._pipelines.get(symbol)
        return found if found is not None else self.rebuild(symbol)

    def rebuild(self, symbol: str) -> SymbolPipeline:
        """Build the symbol's pipeline anew: nothing that the old one remembered is kept."""
        config = self.system.symbols[self.known(symbol)]
        if not self._venues:
            self._venues = open_venues(self.settings, self.system.symbols)
        stores = self.stores
        pipeline = build_pipeline(
            symbol,
            self.system,
            source=open_source(symbol, config, stores.redis, self.settings.namespace),
            store=stores.store,
            ledger=stores.ledger,
            venue=self._venues[symbol],
            window_limit=self.settings.window_max_len,
        )
        self._pipelines[symbol] = pipeline
        self.report(pipeline)
        return pipeline

    def flush(self, pipeline: SymbolPipeline) -> None:
        """Send the events that no commit has taken along.

        Raises:
            Transient: Redis did not answer; they are kept for the next time.
        """
        events = pipeline.outbox.waiting()
        self.bus.publish(events)
        pipeline.outbox.forget(len(events))

    def report(self, pipeline: SymbolPipeline) -> None:
        """Write down how the services are. A Redis that does not answer is logged: it must hide no error before it."""
        statuses: Any = {status["service_name"]: json.dumps(status) for status in pipeline.statuses()}
        try:
            self.flush(pipeline)
            self._write_statuses(pipeline.symbol, statuses)
        except Transient as trouble:
            logger.warning("report_failed symbol=%s reason=%s", pipeline.symbol, trouble)

    def report_unbuilt(self, symbol: str, error: Exception) -> None:
        """Write down that the symbol has no services, because they can't be built."""
        text = f"{type(error).__name__}: {error}"
        status = {"service_name": _BUILDING, "symbol": symbol, "state": ServiceState.ERROR, "last_error": text}
        try:
            self._write_statuses(symbol, {_BUILDING: json.dumps(status)})
        except Transient as trouble:
            logger.warning("report_failed symbol=%s reason=%s", symbol, trouble)

    def _write_statuses(self, symbol: str, statuses: Any) -> None:
        key = keys.service(self.settings.namespace, symbol)
        with talking_to_redis(), self.stores.redis.pipeline(transaction=True) as pipe:
            pipe.delete(key)
            pipe.hset(key, mapping=statuses)
            pipe.execute()

    def note_fetch(self, symbol: str) -> None:
        self.stores.store.note_fetch(symbol)

    def count_delivery(self, task_id: str) -> int:
        """Count one more delivery of a message that came more than once, and return how many there were."""
        key = keys.deliveries(self.settings.namespace, task_id)
        with talking_to_redis(), self.stores.redis.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.expire(key, _DELIVERY_MEMORY_S)
            count, _ = pipe.execute()
        return int(count)


def runtime() -> Runtime:
    """Return this process's runtime; a forked child gets one of its own."""
    return _runtime_of(os.getpid())


@lru_cache(maxsize=1)
def _runtime_of(_pid: int) -> Runtime:
    settings = load_settings()
    return Runtime(settings, load_system(settings.config_dir))
