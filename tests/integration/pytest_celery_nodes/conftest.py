"""The clusters of pytest-celery, as processes or as containers; the tests do not see which."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestBackend,
    CeleryTestBroker,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
)

from tasks.engine.routing import PRIORITY_STEPS, route
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.docker_engine import need_docker_engine
from tests.fixtures.servers.redis_server import RedisServer
from tests.integration.pytest_celery_nodes.docker_nodes import (
    default_redis_broker_command,
    trading_config_volume,
    trading_environment,
    trading_files,
    trading_image,
    trading_worker_container,
)
from tests.integration.pytest_celery_nodes.process_nodes import ProcessContainer, ProcessWorker, WorkerProcessContainer

__all__ = [
    "default_redis_broker_command",
    "trading_config_volume",
    "trading_environment",
    "trading_files",
    "trading_image",
    "trading_worker_container",
]

SYMBOL = "XAUUSD"
CANDLES = 150


class TradingSetup(CeleryTestSetup):  # type: ignore[misc]  # pytest-celery ships no types
    """A setup whose client sends tasks as the product does: by the router, with its priorities."""

    @classmethod
    def update_app_config(cls, app: Celery) -> None:
        app.conf.task_routes = (route,)
        app.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS)}


@pytest.fixture
def celery_setup_cls() -> type[TradingSetup]:
    return TradingSetup


@pytest.fixture
def celery_setup_app(celery_setup_app: Celery) -> Iterator[Celery]:
    """Close the connections of the client, which pytest-celery leaves open."""
    yield celery_setup_app
    celery_setup_app.backend.client.close()
    celery_setup_app.close()


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def node_kind(request: pytest.FixtureRequest) -> str:
    """The kind of a node; without an engine the containers are skipped."""
    kind: str = request.param
    if kind == "docker":
        need_docker_engine()
    return kind


@pytest.fixture
def candle_file(tmp_path: Path) -> Path:
    return write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, CANDLES, seed=3))


@pytest.fixture
def system(make_system: Callable[..., TradingSystem], candle_file: Path) -> TradingSystem:
    """A ledger, a configuration and a Redis for nodes that are processes."""
    return make_system({SYMBOL: file_symbol(candle_file)})


@pytest.fixture
def redis_container(own_redis: RedisServer, tmp_path: Path) -> ProcessContainer:
    log = tmp_path / "own-redis" / "log" / "redis.log"
    config = {"url": own_redis.url, "host_url": own_redis.url}
    return ProcessContainer("redis", own_redis.start, own_redis.stop, own_redis.kill, log, config, status="running")


@pytest.fixture
def worker_container(system: TradingSystem, celery_setup_app: Celery) -> WorkerProcessContainer:
    """A plain `celery -A tasks worker -Q XAUUSD`."""
    child = system.worker(SYMBOL)

    def answers() -> bool:
        node = f"{SYMBOL}@{container.id}"
        return bool(celery_setup_app.control.ping(destination=[node], timeout=1.0))

    def start() -> None:
        if child.pid is None:
            child.start()
        system.wait_until(answers, f"the worker of {SYMBOL} answers")

    def die() -> None:
        child.kill()
        child.wait(60.0)

    container = WorkerProcessContainer(
        f"worker-{SYMBOL}", start, lambda: child.terminate(20.0), die, child.log_path, queue=SYMBOL
    )
    container.run()
    return container


@pytest.fixture
def celery_broker_cluster(node_kind: str, request: pytest.FixtureRequest) -> Iterator[CeleryBrokerCluster]:
    if node_kind == "docker":
        broker = request.getfixturevalue("celery_redis_broker")
    else:
        broker = CeleryTestBroker(request.getfixturevalue("redis_container"))
    cluster = CeleryBrokerCluster(broker)
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_backend_cluster(celery_broker_cluster: CeleryBrokerCluster) -> Iterator[CeleryBackendCluster]:
    """Results are in the broker's Redis."""
    cluster = CeleryBackendCluster(CeleryTestBackend(celery_broker_cluster[0].container))
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_worker_cluster(
    node_kind: str, request: pytest.FixtureRequest, celery_setup_app: Celery
) -> Iterator[CeleryWorkerCluster]:
    if node_kind == "docker":
        worker = CeleryTestWorker(request.getfixturevalue("trading_worker_container"), celery_setup_app)
    else:
        worker = ProcessWorker(request.getfixturevalue("worker_container"), celery_setup_app)
    cluster = CeleryWorkerCluster(worker)
    yield cluster
    worker.teardown()
    cluster.teardown()
