"""A worker refuses to start where its orders would not be safe, says why, and waits for what may come back."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from celery import Celery

from adapters.database import create_engine
from tests.fixtures.apps.system import ROOT, TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading_orchestrator.launcher.child_process import ChildProcess
from trading_orchestrator.launcher.embedded_redis import free_port
from worker.startup_checks import REFUSED

MakeSystem = Callable[..., TradingSystem]
END_LIMIT_S = 90

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    return write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 40, seed=3))


def log_of(worker: ChildProcess) -> str:
    return worker.log_path.read_text(encoding="utf-8", errors="replace")


def refused(worker: ChildProcess, *, has_worked: bool = False) -> str:
    """Wait for the end of a worker that must not work, and return what it said about it."""
    exit_code = worker.wait(END_LIMIT_S)
    log = log_of(worker)
    assert exit_code == REFUSED, log
    assert has_worked or "Traceback" not in log  # Celery itself shows one when it loses Redis
    lines = [line for line in log.splitlines() if "start-up check failed, worker exits:" in line]
    assert all("CRITICAL" in line for line in lines)
    return "\n".join(lines)


def answers(system: TradingSystem, client: Celery) -> bool:
    replies = client.control.inspect(timeout=1.0, limit=1).ping() or {}
    return any(name.startswith("XAUUSD@") for name in replies)


def evict(redis: RedisServer, policy: str = "allkeys-lru") -> None:
    client = redis.client()
    client.config_set("maxmemory-policy", policy)
    client.close()


def downgrade(system: TradingSystem) -> None:
    config = Config()
    config.set_main_option("script_location", "adapters.ledger:migrations")
    engine = create_engine(system.settings.ledger_url.get_secret_value())
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    engine.dispose()


def test_worker_on_a_redis_that_may_evict_ends_with_one_line_and_takes_no_message(
    make_system: MakeSystem, own_redis: RedisServer, gold: Path
) -> None:
    system = make_system({"XAUUSD": file_symbol(gold)})
    evict(own_redis)
    with system.client() as client:
        client.send_task("tasks.pause_symbol", kwargs={"symbol": "XAUUSD"})

        error = refused(system.worker("XAUUSD"))

    assert error.count("\n") == 0
    assert "redis maxmemory-policy: allkeys-lru" in error
    assert "CONFIG SET maxmemory-policy noeviction" in error
    assert system.stores().ledger.desired("XAUUSD") == "running"
    assert system.stores().redis.llen("control") == 1


def test_worker_on_an_old_schema_ends_and_reports_how_to_migrate(make_system: MakeSystem, gold: Path) -> None:
    system = make_system({"XAUUSD": file_symbol(gold)})
    downgrade(system)

    error = refused(system.worker("XAUUSD"))

    assert "schema at 0001" in error
    assert "ledger migrate" in error


def test_worker_without_a_ledger_ends_and_makes_none(make_system: MakeSystem, gold: Path, tmp_path: Path) -> None:
    file = tmp_path / "none" / "ledger.sqlite3"
    system = make_system({"XAUUSD": file_symbol(gold)}, extra={"TRADING__VAR_DIR": str(tmp_path / "var")})
    environ = system.environment | {"TRADING__LEDGER_URL": f"sqlite:///{file}"}

    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-Q", "XAUUSD"],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=END_LIMIT_S,
        check=False,
    )

    assert done.returncode == REFUSED
    assert "does not exist yet" in done.stderr
    assert "Traceback" not in done.stderr
    assert not file.exists()


def test_worker_whose_venue_lives_in_another_time_ends(make_system: MakeSystem, gold: Path) -> None:
    symbol = file_symbol(gold)
    ahead = {**symbol, "venue": symbol["venue"] | {"faults": {"clock_offset_ms": 60_000}}}
    system = make_system({"XAUUSD": ahead, "BTCUSD": symbol})

    error = refused(system.worker("XAUUSD"))

    found = re.search(r"clock of the venue of XAUUSD: ([\d.]+) s ahead of the local clock, within ([\d.]+) s", error)
    assert found, error
    assert abs(float(found[1]) - 60) <= float(found[2]) + 0.1
    assert "NTP" in error


@pytest.mark.long
def test_worker_that_comes_up_while_redis_is_away_waits_and_then_works(
    make_system: MakeSystem, own_redis: RedisServer, gold: Path
) -> None:
    symbol = file_symbol(gold)
    late = {**symbol, "venue": symbol["venue"] | {"faults": {"clock_offset_ms": -2_500}}}
    system = make_system({"XAUUSD": late})
    own_redis.kill()
    worker = system.worker("XAUUSD")
    system.wait_until(lambda: "Cannot connect" in log_of(worker), "a worker that tries")

    own_redis.restart()

    with system.client() as client:
        system.wait_until(lambda: answers(system, client), "a worker that answers")
    assert worker.ended() is None
    assert log_of(worker).count("start_check clock of the venue of XAUUSD") == 1, "a warning is told once"


@pytest.mark.long
def test_worker_ends_when_the_redis_that_came_back_may_evict(
    make_system: MakeSystem, own_redis: RedisServer, gold: Path
) -> None:
    system = make_system({"XAUUSD": file_symbol(gold)})
    worker = system.worker("XAUUSD")
    with system.client() as client:
        system.wait_until(lambda: answers(system, client), "a worker that answers")

    own_redis.stop()
    text = own_redis.plan.config_path.read_text().replace("noeviction", "allkeys-lfu")
    own_redis.plan.config_path.write_text(text)
    own_redis.start()

    assert "allkeys-lfu" in refused(worker, has_worked=True)


def test_worker_whose_ledger_database_is_away_starts_and_reports_it(make_system: MakeSystem, gold: Path) -> None:
    system = make_system({"XAUUSD": file_symbol(gold)})
    away = f"postgresql+psycopg://nobody:hidden@127.0.0.1:{free_port()}/ledger"
    system.extra = {"TRADING__LEDGER_URL": away}
    worker = system.worker("XAUUSD")

    with system.client() as client:
        system.wait_until(lambda: answers(system, client), "a worker that answers")

    assert "start_check ledger:" in log_of(worker)
    assert "hidden" not in log_of(worker)


def test_worker_that_starts_reconciles_its_own_symbols_once(make_system: MakeSystem, gold: Path) -> None:
    system = make_system({name: file_symbol(gold) for name in ("XAUUSD", "BTCUSD", "EURUSD")})
    arguments = ("-A", "tasks", "worker", "-Q", "XAUUSD,BTCUSD,other", "--loglevel", "INFO")

    worker = system.celery("worker", *arguments)

    system.wait_until(lambda: log_of(worker).count("Task tasks.reconcile") >= 4, "two tasks, received and done")
    assert log_of(worker).count("Task tasks.reconcile") == 4
    redis = system.stores().redis
    assert [redis.llen(queue) for queue in ("EURUSD", "other")] == [0, 0]


def test_launcher_rejects_what_its_workers_would_refuse(
    make_system: MakeSystem, own_redis: RedisServer, gold: Path
) -> None:
    system = make_system({"XAUUSD": file_symbol(gold)})
    evict(own_redis)

    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", "trading", "up", "--no-flower", "--no-table"],
        cwd=ROOT,
        env={**os.environ, **system.environment},
        capture_output=True,
        text=True,
        timeout=END_LIMIT_S,
        check=False,
    )

    assert done.returncode == 1, done.stdout
    assert "cannot start: redis maxmemory-policy: allkeys-lru" in done.stdout
    assert not list((system.folder / "var" / "log").glob("worker-*"))


def test_ledger_of_the_system_is_not_touched_by_the_look_at_it(make_system: MakeSystem, gold: Path) -> None:
    system = make_system({"XAUUSD": file_symbol(gold)})
    downgrade(system)
    refused(system.worker("XAUUSD"))

    engine = create_engine(system.settings.ledger_url.get_secret_value())
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all() == ["0001"]
    engine.dispose()
    assert not (system.folder / "var" / "paper.sqlite3").exists()
