"""State of one process for its tasks: configuration, stores, and the pipeline of each of its symbols."""

import logging
import os
import time
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

from adapters.clock import now_ms
from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from adapters.redis.event_bus import RedisEventBus
from adapters.redis.last_errors import record_error
from adapters.wiring.config_follower import ConfigFollower
from adapters.wiring.pipeline import Stores, build_pipeline, open_source, open_stores
from adapters.wiring.pipeline_spec import pipeline_spec
from adapters.wiring.venues import open_venues
from configs.diff import change_refused
from configs.loading import SystemConfig, load_system, symbols_file
from configs.plugins.strategies import code_of
from configs.plugins.venues import VenueConfig
from configs.settings import Settings, load_settings
from configs.snapshot import fingerprint
from trading.errors import Rejected, Transient, UnknownSymbol
from trading.indicators.history import reaching_back
from trading.lifecycle import DesiredState, HeldBy, ServiceState
from trading.market.candles import Candles
from trading.ports.candle_source import CandleSource
from trading.ports.venue import Venue
from trading.services.pipeline import SymbolPipeline
from trading.services.status import LastError, ServiceStatus, describe_error, error_kind

logger = logging.getLogger(__name__)

_DELIVERY_MEMORY_S = 3600
_CONFIG_CHECK_S = 1.0
"""Seconds between two checks for a newly applied configuration."""

_BUILDING = "SymbolPipeline"
"""Service name of a status for services that cannot be built."""


class Runtime:
    """Opens each resource at its first use, and keeps it for the life of the process."""

    def __init__(self, settings: Settings, system: SystemConfig) -> None:
        self.settings = settings
        self.stores: Stores = open_stores(settings, system)
        self.config = ConfigFollower(settings, system, self.stores.redis)
        self._checked_s = 0.0
        self._venues: dict[str, tuple[VenueConfig, Venue]] = {}
        self._pipelines: dict[str, SymbolPipeline] = {}
        self._built_of: dict[str, SystemConfig] = {}

    @property
    def system(self) -> SystemConfig:
        """Configuration in force, at most a second old."""
        if time.monotonic() >= self._checked_s + _CONFIG_CHECK_S:
            self.refresh()
        return self.config.system

    @cached_property
    def message_key(self) -> bytes:
        """The key that signs the messages between the steps: of the settings, else of the ledger.

        Raises:
            Transient: The ledger did not answer.
        """
        given = self.settings.message_key
        return self.stores.ledger.message_key() if given is None else given.get_secret_value().encode()

    @property
    def bus(self) -> RedisEventBus:
        return self.stores.bus

    def refresh(self) -> None:
        """Read the applied configuration; if Redis does not answer, the known one stays in force.

        Services that were built from another configuration are rebuilt at their next tick.
        """
        self._checked_s = time.monotonic()
        try:
            if self.config.refresh():
                self._renew_outdated()
        except Transient as error:
            logger.warning("config_unknown reason=%s", error)

    def known(self, symbol: str) -> str:
        """Return `symbol` if the applied configuration has it.

        Raises:
            UnknownSymbol: It has not; the error lists the configured symbols.
        """
        self.refresh()
        if not isinstance(symbol, str) or symbol not in self.config.system.symbols:  # a message can hold anything
            raise UnknownSymbol(str(symbol), tuple(self.config.system.symbols), symbols_file(self.settings))
        return symbol

    def pipeline(self, symbol: str) -> SymbolPipeline:
        """Return the symbol's pipeline, built at the first call."""
        found = self._pipelines.get(symbol)
        return found if found is not None else self.rebuild(symbol)

    def rebuild(self, symbol: str) -> SymbolPipeline:
        """Rebuild the symbol's pipeline from the applied configuration, without any state of the old one.

        Raises:
            Rejected: Its configuration has changed in a way that an open position or order forbids.
        """
        system = self._admitted(self.known(symbol))
        content = self.config.described(system)
        stores = self.stores
        source = open_source(symbol, system.symbols[symbol], stores.redis, self.settings.namespace)
        pipeline = build_pipeline(
            pipeline_spec(system, symbol),
            source=source,
            store=stores.store,
            ledger=stores.ledger,
            venue=self._venue(symbol, system),
            window_limit=self.settings.window_max_len,
        )
        self.config.applied.record_built(
            symbol, content, code=code_of(book.strategy for book in system.symbols[symbol].books.values())
        )
        self._refill(pipeline, source)
        self._pipelines[symbol], self._built_of[symbol] = pipeline, system
        self._release(symbol, fingerprint(content, symbol))
        self.report(pipeline)
        return pipeline

    def _renew_outdated(self) -> None:
        """Request a restart of this process's symbols whose services were built from another configuration."""
        now = self.config.content()
        for symbol, system in self._built_of.items():
            if symbol not in now["symbols"]:
                self._pipelines.pop(symbol, None)
            elif fingerprint(self.config.described(system), symbol) != fingerprint(now, symbol):
                self.stores.store.request_restart(symbol)

    def _admitted(self, symbol: str) -> SystemConfig:
        """Return the configuration to build a symbol from: the previous one if open exposure forbids the new one."""
        system = self.config.system
        own = self.config.content()
        built = self.config.applied.built([symbol]).get(symbol)
        if built is None or built.config == own["symbols"][symbol]:
            return system
        refusals = change_refused(symbol, built.config, own["symbols"][symbol], self.stores.ledger.exposure)
        if not refusals:
            return system
        earlier = self._built_of.get(symbol)
        if earlier is None:
            raise Rejected("config_change", "; ".join(refusals))
        logger.error("config_kept symbol=%s reason=%s", symbol, "; ".join(refusals))
        return earlier

    def _venue(self, symbol: str, system: SystemConfig) -> Venue:
        """Return a symbol's venue; new venues are opened together, so that they share connections."""
        symbols = system.symbols
        known = {name: config for name, (config, _) in self._venues.items()}
        if known.get(symbol) != symbols[symbol].venue:
            new = {name: config for name, config in symbols.items() if known.get(name) != config.venue}
            opened = open_venues(self.settings, new)
            self._venues |= {name: (config.venue, opened[name]) for name, config in new.items()}
        return self._venues[symbol][1]

    def _refill(self, pipeline: SymbolPipeline, source: CandleSource) -> None:
        """Refill the stored window if the source has changed, or the indicators need more candles than before.

        Raises:
            Transient: The source did not answer, and the window is empty.
        """
        symbol, store, indicators = pipeline.symbol, self.stores.store, pipeline.indicators

        def reach(candles: Candles) -> int:
            return indicators.reach(candles, 1)

        cursor_ms = store.load(symbol).cursor_ms
        if not cursor_ms:
            return
        least = indicators.history_count
        stored = reaching_back(lambda count: store.window(symbol, count, until_ms=cursor_ms), least, reach)
        if len(stored) >= least and len(stored) >= reach(stored):
            return
        try:
            history = reaching_back(lambda count: source.history(cursor_ms, count=count), least, reach)
        except Transient as error:
            if not len(stored):
                raise
            logger.warning("window_short symbol=%s candles=%s reason=%s", symbol, len(stored), error)
            return
        if len(history) > len(stored):
            store.refill(symbol, history, cursor_ms=cursor_ms)

    def _release(self, symbol: str, built: str) -> None:
        """Release a symbol that was held until its services are built from the applied configuration."""
        ledger = self.stores.ledger
        applied = self.config.applied.begin(self.config.content())
        if ledger.desired(symbol) is DesiredState.RUNNING or symbol not in applied["symbols"]:
            return
        is_built = fingerprint(applied, symbol) == built
        if is_built and ledger.release(
            symbol, held_by=HeldBy.CONFIG_CHANGE, reason="the configuration of the symbol has changed"
        ):
            self.stores.store.set_desired(symbol, DesiredState.RUNNING)

    def flush(self, pipeline: SymbolPipeline) -> None:
        """Publish the events that no commit has published.

        Raises:
            Transient: Redis did not answer; the events stay in the outbox.
        """
        events = pipeline.outbox.waiting()
        self.bus.publish(events)
        pipeline.outbox.forget(len(events))

    def report(self, pipeline: SymbolPipeline) -> None:
        """Store the services' statuses. Redis errors are logged, not raised, so they do not mask the original error."""
        try:
            self.flush(pipeline)
            self._write_statuses(pipeline.symbol, pipeline.statuses())
        except Transient as error:
            logger.warning("report_failed symbol=%s reason=%s", pipeline.symbol, error)

    def report_error(self, pipeline: SymbolPipeline, error: Exception) -> None:
        """Store the services' statuses and the error that one of them raised."""
        self.report(pipeline)
        failed = [status.service_name for status in pipeline.statuses() if status.state is ServiceState.ERROR]
        self._record_error(pipeline.symbol, next(iter(failed), ""), error)

    def report_unbuilt(self, symbol: str, error: Exception) -> None:
        """Store an error status for a symbol whose services cannot be built."""
        self._record_error(symbol, _BUILDING, error)
        status = ServiceStatus(service_name=_BUILDING, symbol=symbol)
        try:
            self._write_statuses(symbol, [status.with_error(describe_error(error), error_kind(error))])
        except Transient as failure:
            logger.warning("report_failed symbol=%s reason=%s", symbol, failure)

    def _record_error(self, symbol: str, service: str, error: Exception) -> None:
        last = LastError(service=service, text=describe_error(error), kind=error_kind(error), at_ms=now_ms())
        settings = self.settings
        try:
            record_error(self.stores.redis, settings.namespace, symbol, last, kept_s=settings.errors_kept_s)
        except Transient as failure:
            logger.warning("report_failed symbol=%s reason=%s", symbol, failure)

    def _write_statuses(self, symbol: str, statuses: Sequence[ServiceStatus]) -> None:
        key, at_ms = keys.service(self.settings.namespace, symbol), now_ms()
        written: Any = {status.service_name: status.reported(at_ms).to_json() for status in statuses}
        with talking_to_redis(), self.stores.redis.pipeline(transaction=True) as pipe:
            pipe.delete(key)
            pipe.hset(key, mapping=written)
            pipe.execute()

    def count_delivery(self, task_id: str) -> int:
        """Count one more delivery of a redelivered message, and return the number of deliveries."""
        key = keys.deliveries(self.settings.namespace, task_id)
        with talking_to_redis(), self.stores.redis.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.expire(key, _DELIVERY_MEMORY_S)
            count, _ = pipe.execute()
        return int(count)


def runtime() -> Runtime:
    """Return this process's runtime; a forked child gets its own."""
    return _runtime_of(os.getpid())


@lru_cache(maxsize=1)
def _runtime_of(_pid: int) -> Runtime:
    settings = load_settings()
    return Runtime(settings, load_system(settings.config_dir))
