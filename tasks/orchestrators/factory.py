"""The orchestrators for a Python program: over workers that run, or with all services in this one process."""

import logging

from celery import Celery

from adapters.clock import LoopClock
from configs.loading import load_system
from configs.settings import Settings, load_settings
from tasks import app as our_app
from tasks.engine.worker_context import Runtime
from tasks.orchestrators.cluster import ClusterSymbol
from tasks.orchestrators.local import LocalSymbol
from trading.moved import moved
from trading.orchestration.multi_symbol_orchestrator import MultiSymbolTradingOrchestrator, symbol_orchestrator
from trading.orchestration.symbol_orchestrator import SymbolOrchestrator
from trading.orchestration.symbol_port import SymbolRuntime

logger = logging.getLogger("trading.orchestrator")


def connect_cluster(settings: Settings | None = None) -> MultiSymbolTradingOrchestrator:
    """Return the orchestrators of a running cluster: what is called on them is done by its workers.

    Args:
        settings: Of the installation; read from the environment when None.

    Raises:
        ConfigError: What is configured is not allowed.
    """
    return orchestrator_of(_runtime(settings), our_app)


def connect_local(settings: Settings | None = None) -> MultiSymbolTradingOrchestrator:
    """Return orchestrators whose services run here, without Celery, as `run` goes round. Redis and the ledger are used.

    Never beside workers of the same account.

    Args:
        settings: Of the installation; read from the environment when None.

    Raises:
        ConfigError: What is configured is not allowed.
    """
    here = _runtime(settings)
    return _orchestrator(here, {symbol: LocalSymbol(symbol, here) for symbol in here.system.symbols})


def orchestrator_of(here: Runtime, app: Celery) -> MultiSymbolTradingOrchestrator:
    """Return the orchestrators of the cluster that a process belongs to."""
    return _orchestrator(here, {symbol: ClusterSymbol(symbol, here, app) for symbol in here.system.symbols})


def symbol_orchestrator_of(here: Runtime, app: Celery, symbol: str) -> SymbolOrchestrator:
    """Return the orchestrator of one symbol of that cluster; nothing is made for the others."""
    return symbol_orchestrator(here.system.orchestrator, ClusterSymbol(symbol, here, app), logger)


def _orchestrator(here: Runtime, symbols: dict[str, SymbolRuntime]) -> MultiSymbolTradingOrchestrator:
    return MultiSymbolTradingOrchestrator(here.system, symbols, here.stores.bus, logger, LoopClock())


def _runtime(settings: Settings | None) -> Runtime:
    settings = settings or load_settings()
    return Runtime(settings, load_system(settings.config_dir))


__getattr__ = moved(
    __name__, __name__, renamed={"of_the_cluster": "connect_cluster", "in_this_process": "connect_local"}
)
