"""`trading symbols` where no worker runs: what it writes, what it refuses before it writes, and what it shows."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from adapters.redis.applied_config import AppliedConfig
from configs.snapshot import content_of
from tests.fixtures.apps.system import ROOT, TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

SHIPPED = (ROOT / "configs" / "symbols.yaml").read_text(encoding="utf-8")
NOBODY = "redis://127.0.0.1:1/0"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped files, where no Redis answers and no ledger was made."""
    (tmp_path / "symbols.yaml").write_text(SHIPPED)
    (tmp_path / "services.yaml").write_text((ROOT / "configs" / "services.yaml").read_text())
    return tmp_path


def run(folder: Path, *arguments: str, typed: str | None = None, **environ: str) -> Result:
    env = {
        "TRADING__CONFIG_DIR": str(folder),
        "TRADING__VAR_DIR": str(folder / "var"),
        "TRADING__REDIS_URL": NOBODY,
        **environ,
    }
    return CliRunner().invoke(trading, ["symbols", *arguments], env=env, input=typed)


def symbols(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "symbols.yaml").read_text())
    return content["symbols"]  # type: ignore[no-any-return]


def test_symbol_added_while_nothing_runs_is_written_with_all_comments_and_is_reported_to_wait(folder: Path) -> None:
    result = run(folder, "add", "ETHUSD", "--like", "BTCUSD", "--set", "source.seed=21", "--set", "risk.units=2")

    assert result.exit_code == ExitCode.OK, result.output
    assert "not applied yet: Redis does not answer" in result.stdout
    assert "celery -A tasks trading symbols reload" in result.stdout
    assert (folder / "symbols.yaml").read_text().startswith(SHIPPED)
    assert (folder / "symbols.yaml.bak").read_text() == SHIPPED
    found = symbols(folder)
    assert found["ETHUSD"]["source"] == {**found["BTCUSD"]["source"], "seed": 21}
    assert (found["ETHUSD"]["risk"]["units"], found["BTCUSD"]["risk"]["units"]) == (2, 0.2)

    assert run(folder, "remove", "ETHUSD").exit_code == ExitCode.OK
    assert (folder / "symbols.yaml").read_text() == SHIPPED


def test_symbol_from_a_file_keeps_the_comments_of_that_file(folder: Path) -> None:
    block = yaml.safe_dump(symbols(folder)["BTCUSD"]) + "max_signal_age_s: 90.0  # a minute and a half\n"

    result = run(folder, "add", "ETHUSD", "--from", "-", "--set", "risk.units=2", "--json", typed=block)

    answer = json.loads(result.stdout)
    assert (answer["outcome"], answer["revision"], answer["file"]) == ("written", None, str(folder / "symbols.yaml"))
    assert "    max_signal_age_s: 90.0  # a minute and a half\n" in (folder / "symbols.yaml").read_text()


def test_value_set_is_reported_and_changes_its_line_alone(folder: Path) -> None:
    result = run(folder, "set", "XAUUSD", "risk.units=2.5", "strategy.params.slow=21")

    assert result.exit_code == ExitCode.OK, result.output
    before, after = SHIPPED.splitlines(), (folder / "symbols.yaml").read_text().splitlines()
    assert [new.strip() for old, new in zip(before, after, strict=True) if old != new] == [
        "slow: 21                 # candles of the slow average",
        "units: 2.5                 # ounces in each position",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "XAUUSD", "risk.unitz=3"], "unknown key 'unitz'; did you mean 'units'?"),
        (["set", "XAUUSD", "strategy.params.fast=0"], "symbols.XAUUSD.strategy.params.fast: found 0"),
        (["set", "XAUUSD", "timeframe=7x"], "symbols.XAUUSD.timeframe: found '7x'"),
        (["add", "xauusd", "--like", "BTCUSD"], "differ in upper and lower case alone"),
        (["add", "control", "--like", "BTCUSD"], "the queue of the control tasks"),
        (["set", "NOPE", "risk.units=3"], "known are: XAUUSD, BTCUSD"),
        (["remove", "NOPE"], "known are: XAUUSD, BTCUSD"),
        (["add", "ETHUSD", "--like", "NOPE"], "known are: XAUUSD, BTCUSD"),
        (["add", "ETHUSD"], "--like SYMBOL (one of XAUUSD, BTCUSD) or --from FILE"),
        (["add", "XAUUSD", "--like", "BTCUSD"], "trading symbols set XAUUSD KEY=VALUE"),
        (["set", "XAUUSD", "risk.units"], "expected KEY=VALUE"),
        (["set", "XAUUSD", "risk.units.each=2"], "XAUUSD.risk.units is no mapping"),
    ],
)
def test_edit_that_cannot_be_used_is_reported_and_nothing_is_written(
    folder: Path, arguments: list[str], message: str
) -> None:
    result = run(folder, *arguments)

    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert message in result.stderr
    assert (folder / "symbols.yaml").read_text() == SHIPPED
    assert not (folder / "symbols.yaml.bak").exists()


def test_last_symbol_cannot_be_removed(folder: Path) -> None:
    assert run(folder, "remove", "XAUUSD").exit_code == ExitCode.OK

    assert run(folder, "remove", "BTCUSD").exit_code == ExitCode.USAGE
    assert list(symbols(folder)) == ["BTCUSD"]


def test_list_without_redis_shows_the_file_and_reports_what_is_not_known(folder: Path) -> None:
    listed, as_json = run(folder, "list"), json.loads(run(folder, "list", "--json").stdout)

    assert "the running configuration is unknown: redis" in listed.stdout
    assert as_json["revision"] is None
    assert [(row["symbol"], row["size"], row["served_by"]) for row in as_json["symbols"]] == [
        ("XAUUSD", "10 units", None),
        ("BTCUSD", "0.2 units", None),
    ]


@pytest.fixture
def held(make_system: Callable[..., TradingSystem], tmp_path: Path) -> TradingSystem:
    """A system with a position in gold, on a Redis that answers, and without a worker."""
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 300, seed=3))
    system = make_system({"XAUUSD": file_symbol(path), "BTCUSD": file_symbol(path)})
    pipeline = system.pipeline("XAUUSD")
    while not system.stores().ledger.exposure("XAUUSD").units:
        pipeline.advance(AdvanceSymbol("XAUUSD"))
    return system


def typed(system: TradingSystem, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", "trading", "symbols", *arguments],
        cwd=ROOT,
        env={**os.environ, **system.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("redis_url", [None, NOBODY])
def test_symbol_with_a_position_is_not_removed_from_the_file_even_where_nobody_runs(
    held: TradingSystem, redis_url: str | None
) -> None:
    path = held.folder / "configs" / "symbols.yaml"
    before = path.read_text()
    environ = {**held.environment, **({"TRADING__REDIS_URL": redis_url} if redis_url else {})}

    result = run(path.parent, "remove", "XAUUSD", **environ)

    assert result.exit_code == ExitCode.NO
    assert "XAUUSD cannot be removed: a position of" in result.stderr
    assert "celery -A tasks trading pause XAUUSD" in result.stderr
    assert path.read_text() == before


def test_file_is_compared_with_what_was_applied_and_not_with_what_it_had_before(held: TradingSystem) -> None:
    path = held.folder / "configs" / "symbols.yaml"

    AppliedConfig(held.stores().redis, held.settings.namespace).begin(content_of(held.config, path.parent))
    edited = yaml.safe_load(path.read_text())
    edited["symbols"]["XAUUSD"]["timeframe"] = "5m"
    path.write_text(yaml.safe_dump(edited))

    result = run(path.parent, "set", "BTCUSD", "risk.units=3", **held.environment)
    listed = run(path.parent, "list", **{**held.environment, "TRADING__REDIS_URL": NOBODY})

    assert result.exit_code == ExitCode.NO
    assert "XAUUSD: timeframe: 1m -> 5m is not allowed yet" in result.stderr
    assert listed.exit_code == ExitCode.OK


@pytest.mark.long
def test_change_that_no_worker_takes_is_written_and_a_reload_that_none_takes_has_failed(held: TradingSystem) -> None:
    path = held.folder / "configs" / "symbols.yaml"

    written = typed(held, "set", "BTCUSD", "risk.units=3", "--timeout", "1")
    reloaded = typed(held, "reload", "--timeout", "1")
    listed = typed(held, "list")

    assert (written.returncode, reloaded.returncode) == (ExitCode.OK, ExitCode.UNANSWERED), written.stderr
    assert "not applied yet: no worker runs" in written.stdout
    assert yaml.safe_load(path.read_text())["symbols"]["BTCUSD"]["risk"]["units"] == 3
    assert "start the system (celery -A tasks trading up)" in reloaded.stderr
    assert listed.stdout.count("nobody") == 2
    assert listed.stdout.count("not started yet") == 2
