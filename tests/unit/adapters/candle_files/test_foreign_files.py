"""Each format of another program is played, converted and checked alike, or rejected with the option that reads it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import trading_orchestrator as to
from adapters.candle_files import CandleFileError
from adapters.candle_files.play import option_words, read_candles
from adapters.sources import FileSource
from configs.plugins.candle_files import CandleFileOptions
from tests.fixtures.foreign_candles import CANDLES, COUNT, FOREIGN, Foreign
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

SERVICES = (Path(__file__).parents[4] / "configs" / "services.yaml").read_text(encoding="utf-8")
SYMBOLS = """
account: {name: paper, starting_balance: 100000}
symbols:
  X:
    timeframe: 1h
    source: SOURCE
    venue: {kind: paper}
    strategy: {name: sma_cross, params: {fast: 2, slow: 3}}
    risk: {sizing: fixed_units, units: 1}
    session: {kind: always}
"""
EACH = pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN.keys())
REJECTED = pytest.mark.parametrize(
    "foreign",
    [one for one in FOREIGN.values() if one.without],
    ids=[name for name, one in FOREIGN.items() if one.without],
)


def command(
    folder: Path,
    *arguments: str | Path,
    source: str = "{kind: simulated, seed: 1, start_price: 9, start: 2025-01-06T00:00:00Z}",
) -> Result:
    (folder / "services.yaml").write_text(SERVICES)
    (folder / "symbols.yaml").write_text(SYMBOLS.replace("SOURCE", source))
    return CliRunner().invoke(trading, list(map(str, arguments)), env={"TRADING__CONFIG_DIR": str(folder)})


def options_of(foreign: Foreign) -> list[str]:
    return [word.strip("'") for text in option_words(foreign.read_with) for word in text.split(" ", 1)]


@EACH
def test_foreign_file_is_played_as_its_candles(tmp_path: Path, foreign: Foreign) -> None:
    path = foreign.write(tmp_path)

    assert read_candles(path, timeframe="1h", options=foreign.read_with) == CANDLES
    assert FileSource(path, "X", "1h", options=foreign.read_with).newest(2, after_ms=None).candles[:1] == CANDLES[:1]


@EACH
def test_foreign_file_is_checked_converted_and_backtested_alike(tmp_path: Path, foreign: Foreign) -> None:
    path, out = foreign.write(tmp_path), tmp_path / "out.csv"

    checked = command(tmp_path, "candles", "check", path, *options_of(foreign), "--json")
    converted = command(tmp_path, "candles", "convert", path, out, *options_of(foreign), "--json")
    tested = command(tmp_path, "backtest", "--symbol", "X", "--candles", path, *options_of(foreign), "--json")

    assert (checked.exit_code, json.loads(checked.stdout)["is_playable"]) == (ExitCode.OK, True), checked.output
    assert (converted.exit_code, json.loads(converted.stdout)["dropped"]) == (ExitCode.OK, []), converted.output
    assert read_candles(out, timeframe="1h") == CANDLES
    assert tested.exit_code == ExitCode.OK, tested.output
    assert json.loads(tested.stdout)["symbols"]["X"]["candle_count"] == COUNT


@EACH
def test_foreign_file_in_python_gives_its_candles(tmp_path: Path, foreign: Foreign) -> None:
    from trading.strategies.registry import SHIPPED

    strategy = SHIPPED["sma_cross"](fast=2, slow=3)  # type: ignore[call-arg]  # the shipped strategy's parameters
    result = to.backtest(strategy, foreign.write(tmp_path), file_options=foreign.read_with)

    assert result.candles["SYMBOL"] == CANDLES


@REJECTED
def test_foreign_file_without_its_option_is_rejected_by_each_command_alike(tmp_path: Path, foreign: Foreign) -> None:
    path, out = foreign.write(tmp_path), tmp_path / "out.csv"

    checked = command(tmp_path, "candles", "check", path)
    tested = command(tmp_path, "backtest", "--symbol", "X", "--candles", path)
    converted = command(tmp_path, "candles", "convert", path, out)

    for result in (checked, tested, converted):
        assert result.exit_code == ExitCode.NO, result.output
        assert str(foreign.without) in " ".join(result.output.split()), result.output
    assert not out.exists()


@EACH
def test_foreign_file_is_read_by_the_keys_of_a_source(tmp_path: Path, foreign: Foreign) -> None:
    keys: dict[str, Any] = {"kind": "file", "speed": "max", "path": foreign.write(tmp_path).name}
    source = json.dumps({**keys, **foreign.read_with.model_dump(exclude_defaults=True, mode="json")})

    result = command(tmp_path, "backtest", "--symbol", "X", "--json", source=source)

    assert result.exit_code == ExitCode.OK, result.output
    assert json.loads(result.stdout)["symbols"]["X"]["candle_count"] == COUNT


def test_security_named_as_a_missing_number_is_distinguished_and_chosen(tmp_path: Path) -> None:
    path = FOREIGN["several names"].write(tmp_path)
    path.write_text(path.read_text().replace("AAA", "NA"))

    with pytest.raises(CandleFileError, match="tells rows apart: NA, BBB"):
        read_candles(path, timeframe="1h")
    candles = read_candles(path, timeframe="1h", options=CandleFileOptions(where={"Name": "NA"}))

    assert len(candles) == COUNT


def test_option_that_fits_nothing_is_rejected_with_what_was_found(tmp_path: Path) -> None:
    path = FOREIGN["several names"].write(tmp_path)

    for options, fault in (
        ({"where": {"Name": "CCC"}}, "--where Name=CCC: no row has this value; found AAA, BBB"),
        ({"where": {"Ticker": "AAA"}}, "--where Ticker: no such column; found date, open"),
        ({"where": {"Name": "AAA"}, "column": {"close": "Price"}}, "--column close= Price: no such column"),
        ({"where": {"Name": "AAA"}, "column": {"close": "open"}}, "one column would be read twice"),
        ({"where": {"Name": "AAA"}, "time_format": "%d/%m/%Y"}, "--time-format '%d/%m/%Y' reads none of its 30 times"),
    ):
        with pytest.raises(CandleFileError, match=fault):
            read_candles(path, timeframe="1h", options=CandleFileOptions(**options))
