"""The doctor finds what is wrong with a real Redis and a real ledger, and says what to do."""

import re
import time
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import head_revision, migrate
from configs.loading import load_system
from configs.settings import Settings
from tests.fixtures.servers.redis_server import RedisServer
from trading.incidents.incident import Incident, IncidentKind
from trading_orchestrator.launcher import doctor
from trading_orchestrator.launcher.embedded_redis import free_port
from trading_orchestrator.testing.contracts.ledger.examples import enter, request_of
from worker.checks import machine
from worker.checks.check import Check, Health, is_fit
from worker.checks.database import ledger_checks


def settings_for(redis_url: str, folder: Path) -> Settings:
    return Settings(var_dir=folder, redis_url=SecretStr(redis_url))


def by_name(settings: Settings) -> dict[str, Check]:
    checks = doctor.examine(settings)
    assert all(check.remedy for check in checks if check.health is not Health.OK)
    return {check.name: check for check in checks}


def test_healthy_system_passes_every_check(own_redis: RedisServer, tmp_path: Path) -> None:
    settings = settings_for(own_redis.url, tmp_path)
    engine = create_engine(settings.ledger_url.get_secret_value())
    migrate(engine)
    engine.dispose()

    checks = by_name(settings)

    assert {name: check.health for name, check in checks.items() if check.health is not Health.OK} == {}
    assert head_revision() in checks["ledger"].found
    assert re.match(r"(Valkey|Redis) \d+\.\d+", checks["redis"].found)
    assert own_redis.plan.password not in str(checks)


def test_redis_that_may_evict_or_forget_is_reported(own_redis: RedisServer, tmp_path: Path) -> None:
    client = own_redis.client()
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "no")
    client.close()

    checks = by_name(settings_for(own_redis.url, tmp_path))

    assert checks["redis maxmemory-policy"].health is Health.FAIL
    assert checks["redis appendonly"].health is Health.WARN


@pytest.mark.parametrize(("bind", "health"), [("127.0.0.1", Health.OK), ("0.0.0.0", Health.FAIL)])
def test_redis_without_a_password_is_fine_on_loopback_alone(
    own_redis: RedisServer, tmp_path: Path, bind: str, health: Health
) -> None:
    client = own_redis.client()
    client.config_set("bind", bind)  # protected-mode stays on, so nobody but this machine is let in
    client.config_set("requirepass", "")
    client.close()

    checks = by_name(settings_for(f"redis://127.0.0.1:{own_redis.port}/0", tmp_path))

    assert checks["redis password"].health is health


def test_redis_whose_memory_runs_full_warns_and_then_fails(own_redis: RedisServer, tmp_path: Path) -> None:
    client = own_redis.client()
    settings = settings_for(own_redis.url, tmp_path)
    by_name(settings)  # its first connections and keys take memory of their own
    found = {}
    for share in (0.5, 0.87, 0.99):
        client.config_set("maxmemory", int(client.info()["used_memory"] / share))
        found[share] = by_name(settings)["redis memory"].health
    client.close()

    assert found == {0.5: Health.OK, 0.87: Health.WARN, 0.99: Health.FAIL}


def test_redis_that_cannot_write_is_reported(own_redis: RedisServer, tmp_path: Path) -> None:
    client = own_redis.client()
    folder = own_redis.plan.folder / "dump.rdb"
    folder.mkdir()  # no file of that name can be written now
    with pytest.raises(redis.RedisError):
        client.save()
    client.bgsave()
    deadline = time.monotonic() + 60
    while client.info()["rdb_last_bgsave_status"] == "ok":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    client.close()

    check = by_name(settings_for(own_redis.url, tmp_path))["redis persistence"]

    assert check.health is Health.WARN
    assert "rdb_last_bgsave_status: err" in check.found


def test_redis_that_does_not_answer_is_reported_without_the_password(tmp_path: Path) -> None:
    port = free_port()
    checks = by_name(settings_for(f"redis://:hidden@127.0.0.1:{port}/0", tmp_path))

    assert checks["redis"].health is Health.FAIL
    assert str(port) in checks["redis"].found
    assert "hidden" not in str(checks)


def test_ledger_that_was_never_migrated_fails_and_one_not_made_yet_warns(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    settings = settings_for(own_redis.url, tmp_path)
    assert by_name(settings)["ledger"].health is Health.WARN
    assert not (tmp_path / "ledger.sqlite3").exists()

    (tmp_path / "ledger.sqlite3").touch()

    assert by_name(settings)["ledger"].health is Health.FAIL


def test_ledger_on_postgresql_has_its_clock_looked_at(
    own_redis: RedisServer, tmp_path: Path, postgres_url: str
) -> None:
    engine = create_engine(postgres_url)
    migrate(engine)
    engine.dispose()
    url = SecretStr(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    settings = settings_for(own_redis.url, tmp_path).model_copy(update={"ledger_url": url, "paper_url": url})

    checks = by_name(settings)

    for name in ("ledger", "clock of the ledger", "clock of redis", "clock of the paper venue", "paper books"):
        assert checks[name].health is Health.OK
    assert "file system" not in checks


def test_database_that_is_away_is_reported_without_its_password(own_redis: RedisServer, tmp_path: Path) -> None:
    url = SecretStr(f"postgresql+psycopg://nobody:hidden@127.0.0.1:{free_port()}/ledger")
    settings = settings_for(own_redis.url, tmp_path).model_copy(update={"ledger_url": url, "paper_url": url})

    checks = by_name(settings)

    assert [checks[name].health for name in ("ledger", "paper books")] == [Health.FAIL, Health.FAIL]
    assert not checks["ledger"].is_refusal, "it may come back, so a worker starts"
    assert "hidden" not in str(checks)


def test_symbols_that_an_incident_halts_are_named_until_it_is_resolved(own_redis: RedisServer, tmp_path: Path) -> None:
    settings = settings_for(own_redis.url, tmp_path)
    engine = create_engine(settings.ledger_url.get_secret_value())
    migrate(engine)
    ledger = SqlLedger(engine, "main", 1.0)
    kinds = {"XAUUSD": IncidentKind.POSITION_MISMATCH, "BTCUSD": IncidentKind.LATE_FILL}
    ledger.open_incidents([Incident(kind, symbol, "key", "why") for symbol, kind in kinds.items()])

    before = by_name(settings)["incidents"]
    (row,) = ledger.incidents("XAUUSD")
    ledger.resolve_incident(row["id"], "looked at")
    after = by_name(settings)["incidents"]
    engine.dispose()

    assert (before.health, after.health) == (Health.WARN, Health.OK)
    assert "XAUUSD" in before.found
    assert "BTCUSD" not in before.found, "it goes on trading"


def test_what_is_open_of_a_symbol_that_is_not_configured_is_warned_of(own_redis: RedisServer, tmp_path: Path) -> None:
    settings = settings_for(own_redis.url, tmp_path)
    engine = create_engine(settings.ledger_url.get_secret_value())
    migrate(engine)
    account = load_system(settings.config_dir).account.name
    ledger, other = SqlLedger(engine, account, 1.0), SqlLedger(engine, "another", 1.0)
    for whose, name in ((ledger, account), (other, "another")):
        enter(whose, request_of(f"OLD{len(name)}", account=name))
    enter(ledger, request_of("XAUUSD", account=account))
    engine.dispose()

    found = [check for check in doctor.examine(settings) if check.name == "open symbols"]
    at_start = ledger_checks(settings, load_system(settings.config_dir), is_start=True)

    assert [(check.health, check.is_refusal) for check in found] == [(Health.WARN, False)]
    assert found[0].found.startswith(f"OLD{len(account)}: +0 units, 1 unsettled orders")
    assert "flatten it" in found[0].remedy
    assert [check for check in at_start if check.name == "open symbols"] == found


def test_disks_of_databases_elsewhere_are_looked_at_too(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    url = SecretStr(f"sqlite:///{shm}/not-made/ledger.sqlite3")
    settings = settings_for(own_redis.url, tmp_path).model_copy(update={"ledger_url": url})

    found = [check for check in doctor.examine(settings) if check.name == "disk"]
    monkeypatch.setattr(machine, "LITTLE_DISK_BYTES", 10**18)
    monkeypatch.setattr(machine, "NO_DISK_BYTES", 10**18)
    full = [check for check in doctor.examine(settings) if check.name == "disk"]

    assert [check.found.rpartition(" ")[2] for check in found] == [str(tmp_path), str(shm)]
    assert [check.is_refusal for check in full] == [True, True]


def test_config_with_an_error_fails_with_the_place_of_it(own_redis: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("services: {}\n")
    (tmp_path / "symbols.yaml").write_text("symbols: {}\n")
    settings = settings_for(own_redis.url, tmp_path).model_copy(update={"config_dir": tmp_path})

    checks = doctor.examine(settings)

    assert checks[0].health is Health.FAIL
    assert "symbols.yaml" in checks[0].found
    assert not is_fit(checks)
