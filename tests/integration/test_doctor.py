"""The doctor finds what is wrong with a real Redis and a real ledger, and says what to do."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.database import create_engine, head_revision, migrate
from configs.settings import Settings
from tests.fixtures.redis_server import RedisServer
from worker import doctor
from worker.doctor import Check, Health
from worker.embedded_redis import connect, free_port


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


def test_redis_that_may_evict_or_forget_is_told(own_redis: RedisServer, tmp_path: Path) -> None:
    client = connect(own_redis.url)
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
    client = connect(own_redis.url)
    client.config_set("bind", bind)  # protected-mode stays on, so nobody but this machine is let in
    client.config_set("requirepass", "")
    client.close()

    checks = by_name(settings_for(f"redis://127.0.0.1:{own_redis.port}/0", tmp_path))

    assert checks["redis password"].health is health


def test_redis_that_does_not_answer_is_told_without_the_password(tmp_path: Path) -> None:
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


def test_config_with_an_error_fails_with_the_place_of_it(own_redis: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("services: {}\n")
    (tmp_path / "symbols.yaml").write_text("symbols: {}\n")
    settings = settings_for(own_redis.url, tmp_path).model_copy(update={"config_dir": tmp_path})

    checks = doctor.examine(settings)

    assert checks[0].health is Health.FAIL
    assert "symbols.yaml" in checks[0].found
    assert not doctor.is_fit(checks)
