"""Command lines, environment and stop order of the processes of a running system."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from configs.settings import Settings
from trading.errors import Broken
from trading_orchestrator.launcher import process_specs
from trading_orchestrator.launcher.assignment import first_assignments


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(var_dir=tmp_path, redis_url=SecretStr("redis://:secret@127.0.0.1:6390/0"))


def test_each_symbol_has_a_worker_on_its_own_queue_and_control_has_one(settings: Settings) -> None:
    specs = process_specs.assignment_processes(settings, first_assignments(["XAUUSD", "BTCUSD"], 1))

    assert [spec.name for spec in specs] == ["worker-XAUUSD", "worker-BTCUSD", "worker-control"]
    assert " ".join(specs[0].argv[1:]) == (
        "-m celery -A tasks worker -Q XAUUSD -c 1 -P prefork -n XAUUSD@%h --loglevel INFO"
    )


def test_symbols_that_share_a_worker_are_all_on_its_command_line(settings: Settings) -> None:
    specs = process_specs.assignment_processes(settings, first_assignments(["A", "B", "C"], 2))

    assert [spec.name for spec in specs] == ["worker-A+1", "worker-C", "worker-control"]
    assert "A,B" in specs[0].argv


def test_secrets_are_in_the_environment_and_on_no_command_line(settings: Settings) -> None:
    specs = [
        *process_specs.assignment_processes(settings, first_assignments(["A"], 1)),
        process_specs.beat_process(settings),
        process_specs.flower_process(settings),
    ]
    password = process_specs.flower_password(settings)

    assert all(spec.env["TRADING__REDIS_URL"] == "redis://:secret@127.0.0.1:6390/0" for spec in specs)
    assert specs[-1].env["FLOWER_BASIC_AUTH"] == f"trader:{password}"
    for spec in specs:
        assert "secret" not in " ".join(spec.argv) + repr(spec)
        assert password not in " ".join(spec.argv) + repr(spec)


def test_child_reads_the_same_settings_from_its_environment(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in process_specs.environment(settings).items():
        monkeypatch.setenv(name, value)

    assert Settings() == settings


def test_workers_stop_before_beat_and_redis_is_no_part_of_them(settings: Settings) -> None:
    worker, *_ = process_specs.assignment_processes(settings, first_assignments(["A"], 1))

    assert worker.stop_rank < process_specs.beat_process(settings).stop_rank < process_specs.REDIS_STOPS


def test_flower_password_made_once_is_private_and_kept(settings: Settings) -> None:
    first = process_specs.flower_password(settings)

    assert process_specs.flower_password(settings) == first
    assert process_specs.flower_password_file(settings).stat().st_mode & 0o777 == 0o600


def test_flower_password_with_a_comma_is_rejected(settings: Settings) -> None:
    with pytest.raises(Broken, match="comma"):
        process_specs.flower_process(settings.model_copy(update={"flower_password": SecretStr("a,b")}))
