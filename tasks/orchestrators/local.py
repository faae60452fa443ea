"""The symbols of an account in one process, without workers: the same services, driven by a simple loop.

Never use it beside workers of the same account: no candle would be decided twice, but
both would query source and venue.
"""

import logging
import time
from collections.abc import Callable, Sequence

from adapters.wiring.symbol_access import SymbolAccess
from configs.fetch_interval import fetch_interval_s
from tasks.engine.step_wrappers import ServiceCall, run_work
from tasks.engine.worker_context import Runtime
from trading.errors import Transient
from trading.services.base import Service
from trading.services.chain import AdvanceSymbol, ChainResult
from trading.services.pipeline import SymbolPipeline

logger = logging.getLogger("trading.orchestrator")


class LocalSymbol(SymbolAccess):
    """The `SymbolRuntime` port of a symbol whose services run in this process, in the caller's thread."""

    def __init__(self, symbol: str, here: Runtime, *, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(symbol, here.stores, here.system, here.settings.namespace)
        self._here = here
        self._now_s = now_s
        self._due_s = 0.0

    @property
    def services(self) -> Sequence[Service]:  # type: ignore[type-arg]  # each service has message types of its own
        return self._here.pipeline(self.symbol).services

    def start_services(self) -> None:
        """Build the services, so that configuration errors show at once."""
        self._here.pipeline(self.symbol)
        self._due_s = 0.0

    def restart_services(self) -> None:
        self._here.rebuild(self.symbol)
        self._due_s = 0.0

    def restart_symbol(self, *, has_fresh_worker: bool) -> None:
        """Rebuild the services and reconcile with the venue; there is no queue and no other process here."""
        try:
            self._here.rebuild(self.symbol).reconcile()
        except Transient as error:
            logger.warning("reconcile_failed symbol=%s reason=%s", self.symbol, error)
        self._due_s = 0.0

    def advance(self) -> bool:
        if self._now_s() < self._due_s:
            return False
        interval_s = fetch_interval_s(self._system.services.data_fetching, self.config)
        self._due_s = self._now_s() + interval_s
        outcome = run_work(ServiceCall(self._here, self.symbol, self._chain))
        if outcome.has_more:
            self._due_s = 0.0
        return outcome.has_more

    def close(self) -> None:
        """Stop the services; the desired state of the symbol stays."""
        pipeline = self._here.pipeline(self.symbol)
        for service in pipeline.services:
            service.stop()
        self._here.report(pipeline)

    def _chain(self, pipeline: SymbolPipeline) -> ChainResult:
        return pipeline.advance(AdvanceSymbol(self.symbol))
