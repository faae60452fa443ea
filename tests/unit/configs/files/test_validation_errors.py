"""Each fault of the files gives one line that says where, what was found, and what is allowed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError, is_secret, shown
from configs.loading import load_system

SHIPPED = Path(__file__).parents[4] / "configs"
MISSING = object()


def faults_with(folder: Path, changes: dict[str, Any]) -> list[str]:
    """Return the faults of the shipped files after changes: dotted key path -> new value, or MISSING to remove it."""
    for name in ("services.yaml", "symbols.yaml"):
        content = yaml.safe_load((SHIPPED / name).read_text())
        for path, value in changes.items():
            if path.split(".", maxsplit=1)[0] in content:
                change(content, path, value)
        (folder / name).write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        load_system(folder, {})
    return [line.replace(f"{folder}/", "configs/") for line in caught.value.faults]


def change(content: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    for key in parents:
        content = content[key]
    if value is MISSING:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("services.data_fetching.fetch_interval", 0, "found 0; allowed: above 0.0 (Seconds of market time"),
        ("services.data_fetching.fetch_interval", True, "found true; allowed: a number"),
        ("services.data_fetching.fetch_interval", float("nan"), "found nan; allowed: "),
        ("services.data_fetching.candle_index", 0, "found 0; allowed: at least 1 (Position of the last closed bar"),
        ("services.data_fetching.candle_index", 1.5, "found 1.5; allowed: a whole number"),
        ("services.data_fetching.nbr_bars", 1, "found 1; allowed: at least candle_index, which is 2"),
        ("services.data_fetching.nbr_bars", True, "found true; allowed: a whole number"),
        ("services.data_fetching.enabled", "maybe", "found 'maybe'; allowed: true or false"),
        ("services.data_fetching.retry_attempts", None, "found nothing; allowed: a whole number"),
        ("services.strategy_evaluation.min_rows_required", 7, "found 7; allowed: at most indicator_calculation.recent"),
        ("services.strategy_evaluation.evaluation_mode", "x", "found 'x'; allowed: 'on_new_candle' or 'every_tick'"),
        ("services.trade_execution.execution_mode", "wet", "found 'wet'; allowed: 'immediate' or 'dry' (immediate: "),
        ("services.trade_execution", 5, "found 5; allowed: keys with values (Sending orders"),
        ("orchestrator.status_log_interval", -1, "found -1; allowed: above 0.0 (Seconds of real time"),
    ],
)
def test_services_with_a_wrong_value_say_what_is_allowed(
    tmp_path: Path, path: str, value: object, message: str
) -> None:
    lines = faults_with(tmp_path, {path: value})
    assert len(lines) == 1
    assert lines[0].startswith(f"configs/services.yaml: {path}: {message}")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("timeframe", "7x", "found '7x'; allowed: a whole number and one of m, h, d"),
        ("timeframe", 5, "found 5; allowed: text"),
        ("timeframe", MISSING, "missing; needed: Length of a candle"),
        ("source", MISSING, "missing; needed: Where the candles come from"),
        ("source.kind", MISSING, "missing; needed: "),
        ("source.kind", "oracle", "found 'oracle'; allowed: 'file', 'simulated'"),
        ("source.speed", 0, "found 0; allowed: 'max' or above 0.0 (Seconds of market time"),
        ("source.speed", "fast", "found 'fast'; allowed: 'max' or a number"),
        ("source.start", "2025-01-06T00:00:00", "found '2025-01-06T00:00:00'; allowed: an instant with its offset"),
        ("source.start", 5, "found 5; allowed: an ISO instant"),
        ("source.seed", -1, "found -1; allowed: at least 0"),
        ("source.start_price", "cheap", "found 'cheap'; allowed: a number (Price at which the walk begins"),
        ("source.colour", "red", "unknown key 'colour'; known keys: annual_volatility, kind, seed, speed, start"),
        ("venue.kind", "live", "found 'live'; allowed: 'paper'"),
        ("venue.fill_at", "open", "found 'open'; allowed: 'next_open' or 'close'"),
        ("venue.spread", -0.1, "found -0.1; allowed: at least 0.0 (Spread (ask price minus bid price)"),
        ("risk.units", -1, "found -1; allowed: above 0.0"),
        ("risk.unit", 1, "unknown key 'unit'; did you mean 'units'? known keys: "),
        ("units", 1, "unknown key 'units'; did you mean 'risk.units'? known keys: "),
        ("risk.spread", 1, "unknown key 'spread'; did you mean 'symbols.XAUUSD.venue.spread'? known keys: "),
        ("kind", 1, "unknown key 'kind'; known keys: "),
        ("session.kind", "sometimes", "found 'sometimes'; allowed: "),
        ("session", {"kind": "calendar"}, "kind 'calendar' requires calendar"),
        ("session.open", "x", "unknown key 'open'; did you mean 'opens'? known keys: "),
        ("strategy.name", 7, "found 7; allowed: text"),
        ("strategy.params", 7, "found 7; allowed: keys with values"),
        ("max_signal_age_s", -1, "found -1; allowed: above 0.0 (Seconds of market time"),
        ("allowed_regimes", ["ranging", "sunny"], "found 'sunny'; allowed: 'trending_up', "),
    ],
)
def test_symbol_with_a_wrong_value_reports_what_is_allowed(
    tmp_path: Path, path: str, value: object, message: str
) -> None:
    full = f"symbols.XAUUSD.{path}"
    lines = faults_with(tmp_path, {full: value})
    shown = full + ".1" if path == "allowed_regimes" else full
    assert len(lines) == 1
    assert lines[0].startswith(f"configs/symbols.yaml: {shown}: {message}")


def test_symbol_with_a_calendar_that_is_not_known_lists_those_near_it(tmp_path: Path) -> None:
    lines = faults_with(tmp_path, {"symbols.XAUUSD.session": {"kind": "calendar", "calendar": "XNYC"}})
    assert len(lines) == 1
    assert lines[0].startswith("configs/symbols.yaml: symbols.XAUUSD.session.calendar: found 'XNYC'; allowed: ")
    assert "'XNYC' is unknown, similar names: XNYS, " in lines[0]


@pytest.mark.parametrize("name", ["", "A" * 21, "BTC/USD", "BTC USD", ".hidden", "naïve", "BTC\n"])
def test_symbol_with_a_name_that_is_no_queue_name_is_rejected(tmp_path: Path, name: str) -> None:
    lines = faults_with(tmp_path, {"symbols": {name: good_symbol()}})
    assert len(lines) == 1
    assert "allowed: 1 to 20 letters, digits" in lines[0]


@pytest.mark.parametrize("name", ["control", "Control"])
def test_symbol_with_the_name_of_the_control_queue_is_rejected(tmp_path: Path, name: str) -> None:
    lines = faults_with(tmp_path, {"symbols": {name: good_symbol()}})
    assert len(lines) == 1
    assert "is the queue of the control tasks" in lines[0]


def test_symbols_with_names_that_differ_in_case_alone_are_rejected(tmp_path: Path) -> None:
    lines = faults_with(tmp_path, {"symbols": {"BTCUSD": good_symbol(), "btcusd": good_symbol()}})
    assert len(lines) == 1
    assert "differ in upper and lower case alone" in lines[0]


def test_symbols_without_any_are_rejected(tmp_path: Path) -> None:
    assert "found an empty mapping; allowed: at least 1" in faults_with(tmp_path, {"symbols": {}})[0]


def test_strategy_with_a_wrong_name_is_rejected(tmp_path: Path) -> None:
    lines = faults_with(tmp_path, {"symbols.XAUUSD.strategy.name": "ema_corss"})
    assert len(lines) == 1
    assert lines[0].startswith("configs/symbols.yaml: symbols.XAUUSD.strategy.name: found 'ema_corss'")
    assert "ema_cross" in lines[0]


def test_strategy_with_a_wrong_parameter_is_rejected(tmp_path: Path) -> None:
    lines = faults_with(tmp_path, {"symbols.XAUUSD.strategy.params": {"fast": -1, "slow": 13, "slw": 4}})
    text = "\n".join(lines)
    assert "symbols.XAUUSD.strategy.params.fast" in text
    assert "symbols.XAUUSD.strategy.params.slw" in text


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("strategy.params", {"fast": 20, "slow": 13}, "fast is 20 and slow is 13: fast must be below slow"),
        ("risk", {"sizing": "fixed_units"}, "sizing fixed_units requires units"),
        ("session", {"kind": "weekly"}, "kind 'weekly' requires timezone, opens, closes"),
    ],
)
def test_symbol_with_parts_at_odds_reports_which(tmp_path: Path, path: str, value: object, message: str) -> None:
    lines = faults_with(tmp_path, {f"symbols.XAUUSD.{path}": value})
    assert lines == [f"configs/symbols.yaml: symbols.XAUUSD.{path}: {message}"]


def test_account_with_a_wrong_limit_is_rejected(tmp_path: Path) -> None:
    lines = faults_with(tmp_path, {"account.starting_balance": 0, "account.max_daily_los": 5})
    assert [line.split(": ")[1] for line in lines] == ["account.starting_balance", "account.max_daily_los"]
    assert "did you mean 'max_daily_loss'?" in lines[1]


def test_files_with_many_faults_name_all_of_them(tmp_path: Path) -> None:
    changes = {
        "services.data_fetching.fetch_interval": "x",
        "orchestrator.health_check_interval": 0,
        "account.max_open_positions": -1,
        "symbols.XAUUSD.timeframe": "7x",
        "symbols.BTCUSD.venue.spread": -1,
        "symbols.BTCUSD.strategy.name": "nothing_such",
    }
    lines = faults_with(tmp_path, changes)
    assert sorted(line.split(": ")[1] for line in lines) == sorted(changes)


def test_fault_at_a_key_that_may_hold_a_secret_hides_the_value(tmp_path: Path) -> None:
    lines = faults_with(tmp_path, {"symbols.XAUUSD.strategy": {"name": "ema_cross", "params": {"api_key": "hunter2"}}})
    lines += faults_with(tmp_path, {"account.password": "hunter2"})
    assert "hunter2" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("symbols", "XAUUSD", "strategy", "params", "api_key"), True),
        (("symbols", "XAUUSD", "strategy", "params", "feed", "token", "value"), True),
        (("feed_url",), True),
        (("symbols", 0, "strategy", "params", "fast"), False),
        (("symbols", "XAUUSD", "curl"), False),
    ],
)
def test_secret_is_known_by_a_key_on_its_path(path: tuple[str | int, ...], expected: bool) -> None:
    assert is_secret(path) is expected
    assert ("hunter2" in shown(path, "hunter2")) is not expected


def good_symbol() -> dict[str, Any]:
    symbol: dict[str, Any] = yaml.safe_load((SHIPPED / "symbols.yaml").read_text())["symbols"]["BTCUSD"]
    symbol["source"]["start"] = "2025-01-06T00:00:00Z"
    return symbol
