"""Errors on the command line name the value found and the values allowed."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

ROOT = Path(__file__).parents[4]
FLOATS = [
    ("backtest", "--symbol", "XAUUSD", "--periods-per-year"),
    ("pause", "--all", "--timeout"),
    ("clear-quarantine", "XAUUSD", "--reason", "seen", "--timeout"),
    ("reconcile", "--timeout"),
    ("flatten", "XAUUSD", "--reason", "seen", "--timeout"),
    ("symbols", "reload", "--timeout"),
    ("resolve", "1", "--reason", "seen", "--timeout"),
    ("resolve", "1", "--reason", "seen", "--adopt", "--price"),
]
WHOLE = [
    ("orders", "--limit"),
    ("fills", "--limit"),
    ("decisions", "XAUUSD", "--limit"),
    ("events", "--limit"),
    ("incidents", "--limit"),
    ("resolve", "--reason", "seen"),
    ("up", "--symbols-per-worker"),
]


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(trading, list(arguments), env={"TRADING__CONFIG_DIR": str(ROOT / "configs"), **environ})


def refused(*arguments: str, **environ: str) -> str:
    result = run(*arguments, **environ)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, ""), result.output
    return result.stderr


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "0"])
@pytest.mark.parametrize("arguments", FLOATS, ids=lambda words: f"{words[0]} {words[-1]}")
def test_number_that_makes_no_sense_is_rejected(arguments: tuple[str, ...], text: str) -> None:
    assert "is not in the range" in refused(*arguments, text)


@pytest.mark.parametrize("arguments", FLOATS, ids=lambda words: f"{words[0]} {words[-1]}")
def test_word_in_the_place_of_a_number_is_rejected(arguments: tuple[str, ...]) -> None:
    assert "'many' is not a valid number" in refused(*arguments, "many")


@pytest.mark.parametrize("arguments", WHOLE, ids=lambda words: words[0])
def test_whole_number_that_no_store_can_be_requested_with_is_rejected(arguments: tuple[str, ...]) -> None:
    assert "is not in the range 1<=x<=2147483647" in refused(*arguments, "99999999999999999999")
    assert "'nan' is not a valid whole number" in refused(*arguments, "nan")


@pytest.mark.parametrize("which", [("--symbol", "XAUUSD"), ("--journal", "XAUUSD")])
@pytest.mark.parametrize(
    ("first", "last", "hint"),
    [
        ("2026-04-02", "2026-04-01", "they are reversed"),
        ("2026-04-01", "2026-04-01", "so the range is empty"),
        ("2026-04-01T02:00+02:00", "2026-04-01", "so the range is empty"),
    ],
)
def test_times_in_the_wrong_order_are_reported_so(which: tuple[str, str], first: str, last: str, hint: str) -> None:
    message = refused("replay", *which, "--from", first, "--to", last)

    assert "is not before --to 2026-04-01 00:00 UTC" in message
    assert hint in message


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31T23:59Z", "9999-12-31T23:59:59-23:00", "2200-01-01"])
def test_time_that_no_market_knows_is_rejected(text: str) -> None:
    assert "expected a time from 1970 to 2200" in refused("explain", "XAUUSD", text)


@pytest.mark.parametrize(
    ("group", "known"),
    [
        ("config", "check, schema, show"),
        ("ledger", "backup, migrate, restore, revision, verify"),
        ("symbols", "add, list, reload, remove, set"),
        ("candles", "check, convert, resample"),
    ],
)
def test_verb_that_a_group_does_not_have_is_reported_with_those_it_has(group: str, known: str) -> None:
    assert f"{group} has no command 'bogus'; commands: {known}" in refused(group, "bogus")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("units=1", "--set units: symbols.XAUUSD.units: unknown key 'units'; did you mean 'risk.units'?"),
        ("max_daily_loss=5", "unknown key 'max_daily_loss'; did you mean 'account.max_daily_loss'?"),
        ("strategy.units=1", "did you mean 'symbols.XAUUSD.risk.units'?"),
        ("risk.unit=1", "did you mean 'units'?"),
        ("kind=1", "unknown key 'kind'; known keys: "),
        ("risk.units=", "--set risk.units=: expected KEY=VALUE"),
        ("a..b=1", "--set a..b=1: expected KEY=VALUE"),
        ("risk.units=.nan", "found nan; allowed: a finite number"),
    ],
)
def test_setting_that_is_none_reports_where_one_is(setting: str, message: str) -> None:
    assert message in refused("backtest", "--symbol", "XAUUSD", "--set", setting)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("backup", ""), "the name is empty"),
        (("restore", ""), "the name is empty"),
        (("verify", ""), "the name is empty"),
        (("backup", "ledger.copy", "--paper", ""), "the name is empty"),
    ],
)
def test_empty_name_of_a_file_is_reported_so(arguments: tuple[str, ...], message: str) -> None:
    assert message in refused("ledger", *arguments)


def test_report_never_takes_the_place_of_what_is_no_plain_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    assert "is not a regular file" in refused("backtest", "--symbol", "XAUUSD", "--report", str(pipe))
    assert pipe.is_fifo()
    assert "the name is empty" in refused("backtest", "--symbol", "XAUUSD", "--report", "")
    assert "the name is too long" in refused("backtest", "--symbol", "XAUUSD", "--report", "x" * 250)


def test_symbol_from_a_file_that_is_no_text_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    assert "not UTF-8 text" in refused("symbols", "add", "NEW", "--from", str(tmp_path / "binary"))
