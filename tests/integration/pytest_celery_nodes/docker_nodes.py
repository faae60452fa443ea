"""The stock Docker nodes of pytest-celery, with our image in the place of its worker. Only an engine can run them."""

from pathlib import Path

import pytest
import yaml
from pytest_celery import CeleryWorkerContainer, RedisContainer
from pytest_docker_tools import build, container, fxtr, volume  # type: ignore[import-untyped]  # ships no types

from tests.fixtures.apps.system import ROOT, SERVICES, file_symbol

CONFIG_DIR = "/etc/trading"


class TradingWorkerContainer(CeleryWorkerContainer):  # type: ignore[misc]  # pytest-celery ships no types
    """A worker of one symbol, with a ledger of its own that outlives a restart of the container."""

    @classmethod
    def worker_name(cls) -> str:
        return "XAUUSD"

    @classmethod
    def worker_queue(cls) -> str:
        return "XAUUSD"

    @classmethod
    def command(cls, *_: str, **__: object) -> list[str]:
        return [
            "sh",
            "-c",
            "celery -A tasks trading ledger migrate && exec celery -A tasks worker -Q XAUUSD --loglevel INFO",
        ]


@pytest.fixture
def default_redis_broker_command() -> list[str]:
    """A Redis that keeps its data through a restart, as ours does."""
    command: list[str] = RedisContainer.command("--appendonly", "yes")
    return command


@pytest.fixture
def trading_files(candle_file: Path) -> dict[str, bytes]:
    """The configuration folder of the container."""
    account = {"name": "test", "starting_balance": 1_000_000, "max_open_positions": 5, "max_daily_loss": 1_000_000}
    symbols = {"account": account, "symbols": {"XAUUSD": file_symbol(Path(candle_file.name))}}
    return {
        "services.yaml": SERVICES.encode(),
        "symbols.yaml": yaml.safe_dump(symbols).encode(),
        candle_file.name: candle_file.read_bytes(),
    }


@pytest.fixture
def trading_environment(celery_worker_cluster_config: dict[str, dict[str, list[str]]]) -> dict[str, str]:
    urls = celery_worker_cluster_config["celery_broker_cluster_config"]["urls"]
    return {"TRADING__CONFIG_DIR": CONFIG_DIR, "TRADING__REDIS_URL": urls[0], "TRADING__LOG_FORMAT": "human"}


trading_image = build(path=str(ROOT), tag="trading-orchestrator:tests")
trading_config_volume = volume(initial_content=fxtr("trading_files"))
trading_worker_container = container(
    image="{trading_image.id}",
    environment=fxtr("trading_environment"),
    network="{default_pytest_celery_network.name}",
    volumes={"{trading_config_volume.name}": {"bind": CONFIG_DIR, "mode": "ro"}},
    wrapper_class=TradingWorkerContainer,
    timeout=60,
    command=TradingWorkerContainer.command(),
)
