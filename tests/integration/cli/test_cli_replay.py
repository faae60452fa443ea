"""`trading backtest` as a user types it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.fixtures.apps.system import ROOT, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

CANDLES = 400


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration of two symbols: gold plays a file, bitcoin is simulated."""
    folder = tmp_path_factory.mktemp("configs")
    path = write_candles(folder / "gold.csv", generated_candles("XAUUSD", CANDLES, seed=3))
    write_candles(folder / "bitcoin.csv", generated_candles("BTCUSD", CANDLES, seed=4))
    simulated = {"kind": "simulated", "seed": 1, "start_price": 100.0, "start": "2026-03-02T00:00:00Z"}
    symbols = {"XAUUSD": file_symbol(path), "BTCUSD": file_symbol(path, source=simulated)}
    account = {"name": "test", "starting_balance": 100_000}
    (folder / "symbols.yaml").write_text(yaml.safe_dump({"account": account, "symbols": symbols}), encoding="utf-8")
    (folder / "services.yaml").write_text((ROOT / "configs" / "services.yaml").read_text(), encoding="utf-8")
    return folder


def run(configs: Path, *arguments: str) -> Result:
    environment = {"TRADING__CONFIG_DIR": str(configs), "COLUMNS": "200"}
    return CliRunner().invoke(
        trading, ["replay" if "--journal" in arguments else "backtest", *arguments], env=environment
    )


def answer(configs: Path, *arguments: str) -> Any:
    result = run(configs, *arguments, "--json")
    assert result.exit_code == ExitCode.OK, result.output
    return json.loads(result.stdout)


def test_symbol_whose_source_is_a_file_is_replayed_from_it(configs: Path) -> None:
    found = answer(configs, "--symbol", "XAUUSD")

    assert found["symbols"]["XAUUSD"]["candle_count"] == CANDLES
    assert len(found["trades"]) > 5
    assert {trade["exit_reason"] for trade in found["trades"]} >= {"stop_loss", "take_profit"}
    assert len(found["equity"]["equity"]) == CANDLES


def test_statistics_are_those_of_the_trades_and_of_the_equity(configs: Path) -> None:
    found = answer(configs, "--symbol", "XAUUSD", "--close-at-end")

    one, profits = found["statistics"], [trade["profit"] for trade in found["trades"]]
    assert one["trade_count"] == len(profits) == sum(row["trades"] for row in one["by_exit_reason"])
    assert one["net_profit"] == pytest.approx(sum(profits))
    assert one["final_equity"] == found["equity"]["equity"][-1]
    assert one["drawdown"]["fraction"] < 0
    assert (one["return_count"], one["sharpe"], one["periods_per_year"]) == (0, None, 252)


def test_annualisation_factor_can_be_set(configs: Path) -> None:
    found = answer(configs, "--symbol", "XAUUSD", "--periods-per-year", "365")

    assert found["statistics"]["periods_per_year"] == 365


def test_report_is_written_beside_what_is_printed(configs: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("an older one", encoding="utf-8")

    found = answer(configs, "--symbol", "XAUUSD", "--report", str(path))
    html = path.read_text(encoding="utf-8")

    assert f"{found['statistics']['final_equity']:,.2f}" in html
    assert "fast: 3" in html
    assert "spread 0.2, half of it paid at each market and stop fill" in html
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_two_symbols_with_files_share_the_account(configs: Path) -> None:
    files = ("--candles", str(configs / "gold.csv"), "--candles", str(configs / "bitcoin.csv"))
    alone = answer(configs, "--symbol", "XAUUSD", "--symbol", "BTCUSD", *files)
    limited = answer(
        configs, "--symbol", "XAUUSD", "--symbol", "BTCUSD", *files, "--set", "account.max_open_positions=1"
    )

    assert {trade["symbol"] for trade in alone["trades"]} == {"XAUUSD", "BTCUSD"}
    assert "max_open_positions" not in {decision["rule"] for decision in alone["decisions"]}
    assert "max_open_positions" in {decision["rule"] for decision in limited["decisions"]}


def test_set_puts_another_value_over_the_configured_one(configs: Path) -> None:
    found = answer(configs, "--symbol", "XAUUSD", "--set", "risk.units=3", "--set", "symbols.XAUUSD.venue.spread=0")

    assert {trade["units"] for trade in found["trades"]} == {3.0}


def test_period_is_cut_out_and_closed_at_its_end(configs: Path) -> None:
    period = ("--from", "2026-03-02T02:00", "--to", "2026-03-02T04:00Z", "--close-at-end")

    found = answer(configs, "--symbol", "XAUUSD", *period)

    assert found["symbols"]["XAUUSD"]["candle_count"] == 120
    assert all(position["units"] == 0 for position in found["positions"])


def test_symbol_whose_window_is_never_whole_is_reported(configs: Path) -> None:
    shown = run(configs, "--symbol", "XAUUSD", "--set", "strategy.params.slow=399")

    assert shown.exit_code == 0
    assert "XAUUSD: the strategy was never evaluated" in shown.output
    assert "never evaluated" not in run(configs, "--symbol", "XAUUSD").output


def test_table_names_trades_and_what_rejected(configs: Path) -> None:
    result = run(configs, "--symbol", "XAUUSD", "--set", "account.max_daily_loss=5")

    assert result.exit_code == ExitCode.OK
    assert "XAUUSD 1m: 400 candles, 2026-03-02 00:00 to 2026-03-02 06:39 UTC" in result.stdout
    assert "refused by: max_daily_loss" in result.stdout
    assert "Profit factor" in result.stdout
    assert "only 0 daily returns" in result.stdout
    assert "candles per second" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["--symbol", "XAGUSD"], ExitCode.USAGE, "unknown symbol 'XAGUSD'; known are: BTCUSD, XAUUSD"),
        (["--symbol", "BTCUSD"], ExitCode.USAGE, "its source is simulated); name one with --candles"),
        (["--symbol", "XAUUSD", "--symbol", "XAUUSD"], ExitCode.USAGE, "named twice"),
        (
            ["--symbol", "XAUUSD", "--report", "no-such-folder/page.html"],
            ExitCode.USAGE,
            "folder does not exist",
        ),
        (["--symbol", "XAUUSD", "--report", "."], ExitCode.USAGE, "is a directory"),
        (["--symbol", "XAUUSD", "--periods-per-year", "0"], ExitCode.USAGE, "is not in the range 0<x<=366"),
        (["--symbol", "XAUUSD", "--periods-per-year", "nan"], ExitCode.USAGE, "nan is not in the range 0<x<=366"),
        (["--symbol", "XAUUSD", "--from", "2026-03-03", "--to", "2026-03-02"], ExitCode.USAGE, "they are reversed"),
        (
            ["--symbol", "XAUUSD", "--set", "risk.min_stop_fraction=0", "--set", "venue.spread=1e9"],
            ExitCode.NO,
            "2026-03-02 00:27 UTC: half the spread and the slippage (500000000) are more than the price: lower",
        ),
        (["--symbol", "XAUUSD", "--from", "today"], ExitCode.USAGE, "expected an ISO time"),
        (
            ["--symbol", "XAUUSD", "--from", "2030-01-01"],
            ExitCode.NO,
            "in the range; candles available: 400",
        ),
        (["--symbol", "XAUUSD", "--set", "units"], ExitCode.USAGE, "expected KEY=VALUE"),
        (["--symbol", "XAUUSD", "--set", "risk.unitz=1"], ExitCode.USAGE, "--set risk.unitz: symbols.XAUUSD.risk"),
        (["--symbol", "XAUUSD", "--set", "timeframe=5m"], ExitCode.NO, "most candles are 60 s apart"),
        (["--journal", "XAUUSD", "--symbol", "XAUUSD"], ExitCode.USAGE, "--symbol cannot be combined with a replay"),
        (["--journal", "XAUUSD", "--close-at-end"], ExitCode.USAGE, "--close-at-end cannot be combined with a replay"),
        (
            ["--journal", "XAUUSD", "--periods-per-year", "365"],
            ExitCode.USAGE,
            "--periods-per-year cannot be combined with a replay",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_what_cannot_be_replayed_is_reported(
    configs: Path, arguments: list[str], exit_code: ExitCode, words: str
) -> None:
    result = run(configs, *arguments)

    assert (result.exit_code, words in result.output) == (exit_code, True), result.output


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_bad_candle_is_reported_with_its_time_symbol_numbers_and_place(
    configs: Path, tmp_path: Path, suffix: str
) -> None:
    frame = generated_candles("XAUUSD", CANDLES, seed=3).frame().reset_index()
    frame.loc[200, "high"] = 1.0
    path = tmp_path / f"bad.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)

    result = run(configs, "--symbol", "XAUUSD", "--candles", str(path))

    assert (result.exit_code, result.stdout) == (ExitCode.NO, "")
    assert "XAUUSD candle of 2026-03-02 03:20 UTC: high is below another price (open " in result.stderr
    assert ", high 1, low " in result.stderr
    assert f"bad.{suffix}', {'line 202 is' if suffix == 'csv' else 'row 201'}" in result.stderr
    assert (
        f"list what is wrong with it, and the remedies: celery -A tasks trading candles check {path}\n" in result.stderr
    )


def test_file_that_needs_an_option_is_rejected_with_it(configs: Path, tmp_path: Path) -> None:
    path = tmp_path / "semicolons.csv"
    path.write_text((configs / "gold.csv").read_text().replace(",", ";").replace("close", "Schluss", 1))
    arguments = ("--symbol", "XAUUSD", "--candles", str(path))

    result = run(configs, *arguments)

    assert result.exit_code == ExitCode.NO
    assert "found the columns timestamp, open, high, low, Schluss" in result.stderr
    assert "--column close=NAME" in result.stderr
    assert run(configs, *arguments, "--column", "close=Schluss").exit_code == ExitCode.OK


def test_candles_missing_within_sessions_are_reported(configs: Path, tmp_path: Path) -> None:
    whole = generated_candles("XAUUSD", CANDLES, seed=3)
    path = write_candles(tmp_path / "gap.csv", whole[:100].then(whole[140:200]).then(whole[203:]))
    arguments = ("--symbol", "XAUUSD", "--candles", str(path))

    found = answer(configs, *arguments)["symbols"]["XAUUSD"]["missing"]
    later = answer(configs, *arguments, "--from", "2026-03-02T03:30")["symbols"]["XAUUSD"]["missing"]
    shown = run(configs, *arguments).stdout

    assert found == {"candles": 43, "holes": 2, "first_ms": int(whole.open_ms[99])}
    assert later == {"candles": 0, "holes": 0, "first_ms": None}
    message = "XAUUSD: 43 candles are missing during its trading hours, in 2 gaps, the first after 2026-03-02 01:39 UTC"
    assert message in shown
    assert "missing" not in run(configs, "--symbol", "XAUUSD").stdout


def test_replay_of_candles_is_a_backtest_with_a_warning(configs: Path) -> None:
    environment = {"TRADING__CONFIG_DIR": str(configs)}
    result = CliRunner().invoke(trading, ["replay", "--symbol", "XAUUSD", "--json"], env=environment)

    assert json.loads(result.stdout) == answer(configs, "--symbol", "XAUUSD")
    assert "replay --symbol SYMBOL is now backtest --symbol SYMBOL" in result.stderr


def test_replay_without_a_symbol_is_wrong_usage_that_names_the_backtest(configs: Path) -> None:
    result = CliRunner().invoke(trading, ["replay"], env={"TRADING__CONFIG_DIR": str(configs)})

    assert (result.exit_code, "trading backtest" in result.stderr) == (ExitCode.USAGE, True), result.output
