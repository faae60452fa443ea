"""Settings: defaults, the environment, secrets, and which Redis URL wins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.settings import DEFAULT_REDIS_URL, Settings, load_settings, resolve_redis_url

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("TRADING__"):
            monkeypatch.delenv(name)


@pytest.fixture
def var_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRADING__VAR_DIR", str(tmp_path))
    return tmp_path


def written_url(var_dir: Path, text: str) -> None:
    (var_dir / "redis").mkdir()
    (var_dir / "redis" / "url").write_text(text, encoding="utf-8")


def test_settings_without_environment_point_into_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = load_settings()
    assert settings.var_dir == ROOT / "var"
    assert settings.config_dir == ROOT / "configs"
    assert settings.ledger_url.get_secret_value() == f"sqlite:///{ROOT / 'var' / 'ledger.sqlite3'}"
    assert settings.paper_url.get_secret_value() == f"sqlite:///{ROOT / 'var' / 'paper.sqlite3'}"


def test_settings_in_a_foreign_folder_still_find_the_shipped_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (load_settings().config_dir / "services.yaml").is_file()


def test_settings_in_a_folder_with_its_own_configs_use_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "services.yaml").touch()
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert (settings.config_dir, settings.var_dir) == (tmp_path / "configs", tmp_path / "var")


def test_settings_with_another_var_dir_move_both_databases(var_dir: Path) -> None:
    settings = load_settings()
    assert settings.ledger_url.get_secret_value() == f"sqlite:///{var_dir}/ledger.sqlite3"
    assert settings.paper_url.get_secret_value() == f"sqlite:///{var_dir}/paper.sqlite3"


def test_settings_with_wrong_values_name_each_variable_and_print_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING__LEDGER_URL", "mysql://joe:hunter2@db/ledger")
    monkeypatch.setenv("TRADING__REDIS_URL", "http://joe:hunter2@host")
    monkeypatch.setenv("TRADING__FLOWER_PORT", "99999")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    text = str(caught.value)
    assert len(caught.value.faults) == 3
    assert "hunter2" not in text
    assert "TRADING__LEDGER_URL" in text
    assert "TRADING__REDIS_URL" in text
    assert "TRADING__FLOWER_PORT: Input should be less than or equal to 65535" in text


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TRADING__REDIS_URL", "redis://:hunter2@host:port/0", "expected a URL whose port is a number"),
        ("TRADING__REDIS_URL", "redis://:hunter2@host:99999/0", "expected a URL whose port is a number up to 65535"),
        ("TRADING__REDIS_URL", "hunter2", "expected a URL that begins with redis://"),
        (
            "TRADING__LEDGER_URL",
            "postgresql+psycopg://joe:hunter2@host:port/x",
            "expected a URL whose port is a number",
        ),
        ("TRADING__VAR_DIR", __file__, "expected a folder"),
        ("TRADING__VAR_DIR", f"{__file__}/hunter2", "expected a folder"),
    ],
)
def test_settings_that_nothing_can_be_done_with_are_rejected_unprinted(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings({name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://joe:a:b[c?@host:5432/x",
        "postgresql+psycopg:///x?host=/tmp",
        "postgresql+psycopg://[::1]:5432/x",
        "sqlite:////some:where/ledger@home:1",
    ],
)
def test_settings_with_a_url_that_sqlalchemy_reads_are_taken(url: str) -> None:
    assert load_settings({"TRADING__LEDGER_URL": url}).ledger_url.get_secret_value() == url


def test_settings_with_an_unknown_name_say_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING__LOG_FORMT", "json")
    with pytest.raises(ConfigError, match=r"TRADING__LOG_FORMT.*did you mean 'TRADING__LOG_FORMAT'"):
        load_settings()


def test_settings_with_an_override_of_the_files_leave_it_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING__SYMBOLS__XAUUSD__RISK__UNITS", "2")
    assert load_settings().namespace == "trading"


def test_settings_in_repr_hide_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING__LEDGER_URL", "postgresql+psycopg://joe:hunter2@db/ledger")
    monkeypatch.setenv("TRADING__REDIS_URL", "redis://:hunter2@host/0")
    monkeypatch.setenv("TRADING__FLOWER_PASSWORD", "hunter2")
    settings = load_settings()
    assert settings.ledger_url.get_secret_value().count("hunter2") == 1
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_redis_url_from_the_environment_wins_over_the_file(var_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_url(var_dir, "redis://:secret@127.0.0.1:7001/0\n")
    monkeypatch.setenv("TRADING__REDIS_URL", "redis://elsewhere:6379/2")
    assert resolve_redis_url(load_settings()) == "redis://elsewhere:6379/2"


def test_redis_url_from_the_launchers_file_wins_over_the_default(var_dir: Path) -> None:
    assert resolve_redis_url(load_settings()) == DEFAULT_REDIS_URL
    written_url(var_dir, "redis://:secret@127.0.0.1:7001/0\n")
    assert resolve_redis_url(load_settings()) == "redis://:secret@127.0.0.1:7001/0"


def test_redis_url_from_a_file_without_one_is_rejected_unprinted(var_dir: Path) -> None:
    written_url(var_dir, "hunter2")
    with pytest.raises(ConfigError, match="holds no Redis URL") as caught:
        resolve_redis_url(load_settings())
    assert "hunter2" not in str(caught.value)


def test_settings_module_imported_alone_loads_neither_pandas_nor_talib() -> None:
    script = "import sys, configs.settings; print(sorted({'pandas', 'talib', 'numpy', 'yaml'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_settings_every_field_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_given_go_before_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING__NAMESPACE", "outer")
    monkeypatch.setenv("TRADING__FLOWER_PORT", "6001")
    settings = load_settings({"TRADING__NAMESPACE": "inner", "PATH": "passed over"})

    assert (settings.namespace, settings.flower_port) == ("inner", 6001)
    assert os.environ["TRADING__NAMESPACE"] == "outer"


def test_settings_given_under_an_unknown_name_are_rejected() -> None:
    with pytest.raises(ConfigError, match="TRADING__NAMESPCE"):
        load_settings({"TRADING__NAMESPCE": "x"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not look into a folder")
def test_folder_below_one_that_may_not_be_read_is_no_error_of_the_settings(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    nobody = 65_534
    os.seteuid(nobody)
    try:
        settings = load_settings({"TRADING__VAR_DIR": str(closed / "var")})
    finally:
        os.seteuid(0)

    assert settings.var_dir == closed / "var"
