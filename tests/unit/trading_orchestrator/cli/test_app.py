"""The verbs as a user types them, as far as they need neither Redis nor a ledger."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from configs.errors import ConfigError
from trading.errors import BadCandle, Rejected, Transient, UnknownSymbol
from trading_orchestrator.cli.app import COMMANDS, trading
from trading_orchestrator.cli.exit_codes import ExitCode, Failed, exit_on_error

ROOT = Path(__file__).parents[4]


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(trading, list(arguments), env={"TRADING__CONFIG_DIR": str(ROOT / "configs"), **environ})


def test_entry_point_imports_nothing_heavy() -> None:
    heavy = "{'celery', 'pandas', 'pydantic', 'redis', 'rich', 'sqlalchemy'}"
    code = f"import sys, trading_orchestrator.cli.app; print(sorted({heavy} & set(sys.modules)))"

    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert answer.stdout == "[]\n"


@pytest.mark.parametrize("verb", COMMANDS)
def test_verb_in_the_overview_reports_the_first_line_of_its_help(verb: str) -> None:
    command = trading.get_command(click.Context(trading), verb)

    assert command is not None
    assert command.name == verb
    assert (command.help or "").split("\n\n")[0].strip() == COMMANDS[verb][1]


def test_help_and_document_name_every_verb_and_exit_code() -> None:
    document = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    overview = run("--help").output

    for verb in COMMANDS:
        assert re.search(rf"^  {verb} ", overview, re.MULTILINE)
        assert f"`{verb}" in document
    for code in ExitCode:
        assert f"| {code.value} |" in document
        assert code is ExitCode.INTERRUPTED or f"  {code.value}  " in overview


def test_misspelt_verb_is_a_usage_error_that_names_the_nearest() -> None:
    result = run("statsu")

    assert result.exit_code == ExitCode.USAGE
    assert "Did you mean 'status'?" in result.stderr
    assert all(verb in result.stderr for verb in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("pause",),
        ("pause", "XAUUSD", "--all"),
        ("status", "--watch", "--json"),
        ("events", "--type", "NO_SUCH"),
        ("orders", "--limit", "0"),
        ("up", "--symbols-per-worker", "0"),
        ("config", "schema", "other"),
        ("decisions",),
        ("--no-such-option",),
    ],
)
def test_wrong_usage_ends_with_two_and_prints_nothing_on_stdout(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)

    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    assert "Error" in result.stderr


@pytest.mark.parametrize("arguments", [("status", "NOPE"), ("pause", "NOPE"), ("events", "--symbol", "NOPE")])
def test_unknown_symbol_is_rejected_with_the_known_ones(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)

    assert result.exit_code == ExitCode.USAGE
    assert "'NOPE'" in result.stderr
    assert "XAUUSD, BTCUSD" in result.stderr


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (ConfigError(["one.yaml: first", "two.yaml: second"]), 2, "  one.yaml: first\n  two.yaml: second\n"),
        (UnknownSymbol("NOPE", ("XAUUSD",)), 2, "known are: XAUUSD"),
        (Transient("redis", "gone"), 3, "redis: gone\nstart the system"),
        (Transient("ledger", "gone"), 3, "TRADING__LEDGER_URL"),
        (Rejected("rule", "why"), 1, "rule: why"),
        (BadCandle(60_000, "crossed"), 1, "candle of 1970-01-01 00:01 UTC: crossed"),
        (Failed(ExitCode.UNANSWERED, "nobody"), 4, "nobody"),
    ],
)
def test_error_of_a_verb_becomes_one_message_and_its_exit_code(
    error: Exception, exit_code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(click.exceptions.Exit) as end, exit_on_error():
        raise error

    shown = capsys.readouterr()
    assert end.value.exit_code == exit_code
    assert shown.err.startswith("error: ")
    assert message in shown.err
    assert shown.out == ""


def test_error_that_nobody_foresaw_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), exit_on_error():
        raise ZeroDivisionError


def test_config_check_of_the_shipped_files_is_ok() -> None:
    result = run("config", "check")

    assert (result.exit_code, result.stdout) == (0, "ok: 2 symbols: XAUUSD, BTCUSD\n")


def test_config_check_names_every_fault_at_once() -> None:
    wrong = {"TRADING__SYMBOLS__XAUUSD__RISK__UNITS": "-1", "TRADING__SERVICES__DATA_FETCHING__NBR_BARS": "none"}
    result, as_json = run("config", "check", **wrong), run("config", "check", "--json", **wrong)

    assert (result.exit_code, as_json.exit_code) == (ExitCode.USAGE, ExitCode.USAGE)
    assert result.stderr.startswith("2 faults:\n")
    assert all(name in result.stderr for name in wrong)
    answer = json.loads(as_json.stdout)
    assert (answer["ok"], len(answer["faults"]), answer["symbols"]) == (False, 2, [])


def test_config_show_reports_what_is_in_force_and_no_secret() -> None:
    secrets = {
        "TRADING__REDIS_URL": "redis://me:hidden1@localhost:7000/1?password=hidden2",
        "TRADING__LEDGER_URL": "postgresql+psycopg://me:hidden3@localhost/books",
        "TRADING__FLOWER_PASSWORD": "hidden4",
        "TRADING__SYMBOLS__XAUUSD__RISK__UNITS": "3",
    }
    as_yaml, as_json = run("config", "show", **secrets), run("config", "show", "--json", **secrets)

    answer: dict[str, Any] = yaml.safe_load(as_yaml.stdout)
    assert answer == json.loads(as_json.stdout)
    assert "hidden" not in as_yaml.output + as_json.output
    assert answer["settings"]["redis_url"] == "redis://me:***@localhost:7000/1"
    assert answer["settings"]["ledger_url"] == "postgresql+psycopg://me:***@localhost/books"
    assert answer["symbols"]["XAUUSD"]["risk"]["units"] == 3
    assert list(answer) == ["settings", "services", "orchestrator", "account", "symbols"]


@pytest.mark.parametrize("file", ["services", "symbols"])
def test_config_schema_accepts_the_shipped_file_and_rejects_an_unknown_key(file: str) -> None:
    schema = json.loads(run("config", "schema", file).stdout)
    content = yaml.load((ROOT / "configs" / f"{file}.yaml").read_text(encoding="utf-8"), yaml.BaseLoader)

    assert schema == json.loads(run("config", "schema").stdout)[f"{file}.yaml"]
    with pytest.raises(jsonschema.ValidationError, match="no_such_key"):
        jsonschema.validate({**content, "no_such_key": 1}, schema)


def test_doctor_without_redis_ends_with_one_and_reports_what_to_do(tmp_path: Path) -> None:
    environ = {"TRADING__VAR_DIR": str(tmp_path), "TRADING__REDIS_URL": "redis://:hidden@127.0.0.1:1/0"}

    result = run("doctor", "--json", **environ)

    answer = json.loads(result.stdout)
    redis = next(check for check in answer["checks"] if check["name"] == "redis")
    assert (result.exit_code, answer["ok"], redis["health"]) == (ExitCode.NO, False, "fail")
    assert "TRADING__REDIS_URL" in redis["remedy"]
    assert "hidden" not in result.output


def test_ledger_that_is_not_there_is_reported_and_not_made(tmp_path: Path) -> None:
    environ = {"TRADING__VAR_DIR": str(tmp_path)}

    orders, revision = run("orders", **environ), run("ledger", "revision", **environ)

    assert (orders.exit_code, revision.exit_code) == (ExitCode.OUTSIDE, ExitCode.NO)
    assert "ledger migrate" in orders.stderr
    assert list(tmp_path.iterdir()) == []


def test_ledger_migrate_makes_it_once_and_reports_it(tmp_path: Path) -> None:
    environ = {"TRADING__VAR_DIR": str(tmp_path)}

    first, second = (run("ledger", "migrate", "--json", **environ) for _ in range(2))

    needed = json.loads(run("ledger", "revision", "--json", **environ).stdout)["needed"]
    assert [json.loads(each.stdout)["before"] for each in (first, second)] == [None, needed]
    assert run("ledger", "revision", **environ).exit_code == ExitCode.OK
    assert run("orders", **environ).stdout == "no orders\n"


def test_ledger_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_text("something else, and long enough to be looked at" * 50)

    result = run("orders", TRADING__VAR_DIR=str(tmp_path))

    assert result.exit_code == ExitCode.OUTSIDE
    assert "not a database" in result.stderr
