"""Makes the orchestrators: over workers that run, or with all services in this process."""

import logging
from collections.abc import Mapping
from typing import Self

from celery import Celery

from adapters.clock import LoopClock
from configs.loading import load_system
from configs.settings import Settings, load_settings
from tasks import app as our_app
from tasks.engine.worker_context import Runtime
from tasks.orchestrators.cluster import ClusterSymbol
from tasks.orchestrators.local import LocalSymbol
from trading.moved import moved
from trading.orchestration import multi_symbol_orchestrator as pure
from trading.orchestration.symbol_orchestrator import SymbolOrchestrator
from trading.orchestration.symbol_port import SymbolRuntime

logger = logging.getLogger("trading.orchestrator")


class MultiSymbolTradingOrchestrator(pure.MultiSymbolTradingOrchestrator):
    """All symbols of an account: start, pause, resume, stop, restart and watch them.

    `connect()` controls the workers of a running system; `local()` runs all services in this process.
    """

    @classmethod
    def connect(cls, settings: Settings | None = None) -> Self:
        """Return the orchestrator of a running system: its workers perform each call.

        Args:
            settings: Of the installation; None reads them from the environment.

        Raises:
            ConfigError: A configuration file or environment variable has a value that is not allowed.
        """
        return cls.of_cluster(_runtime(settings), our_app)

    @classmethod
    def local(cls, settings: Settings | None = None) -> Self:
        """Return an orchestrator that runs all services in this process, without Celery, while `run` runs.

        It uses Redis and the ledger. Never use it beside workers of the same account.

        Args:
            settings: Of the installation; None reads them from the environment.

        Raises:
            ConfigError: A configuration file or environment variable has a value that is not allowed.
        """
        here = _runtime(settings)
        return cls._over(here, {symbol: LocalSymbol(symbol, here) for symbol in here.system.symbols})

    @classmethod
    def of_cluster(cls, here: Runtime, app: Celery) -> Self:
        """Return the orchestrator of the cluster that a process belongs to."""
        return cls._over(here, {symbol: ClusterSymbol(symbol, here, app) for symbol in here.system.symbols})

    @classmethod
    def _over(cls, here: Runtime, symbols: Mapping[str, SymbolRuntime]) -> Self:
        return cls(here.system, symbols, here.stores.bus, logger, LoopClock())


def symbol_orchestrator_of(here: Runtime, app: Celery, symbol: str) -> SymbolOrchestrator:
    """Return the orchestrator of one symbol of the cluster, without making those of the others."""
    return pure.symbol_orchestrator(here.system.orchestrator, ClusterSymbol(symbol, here, app), logger)


def _runtime(settings: Settings | None) -> Runtime:
    settings = settings or load_settings()
    return Runtime(settings, load_system(settings.config_dir))


__getattr__ = moved(
    __name__,
    __name__,
    renamed={
        "of_the_cluster": "MultiSymbolTradingOrchestrator.connect",
        "in_this_process": "MultiSymbolTradingOrchestrator.local",
    },
)
