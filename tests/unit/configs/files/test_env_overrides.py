"""The environment over the files."""

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.files.env_overrides import apply_overrides
from configs.loading import SystemConfig, load_system

SHIPPED = Path(__file__).parents[4] / "configs"


def loaded(**environ: str) -> SystemConfig:
    return load_system(SHIPPED, environ)


def faults_of(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(**environ)
    return str(caught.value)


def test_override_of_each_section_replaces_the_value_of_the_file() -> None:
    config = loaded(
        TRADING__SERVICES__DATA_FETCHING__FETCH_INTERVAL="5",
        TRADING__ORCHESTRATOR__ENABLE_AUTO_RESTART="false",
        TRADING__ACCOUNT__MAX_DAILY_LOSS="123.5",
        TRADING__SYMBOLS__XAUUSD__RISK__UNITS="2",
    )
    assert config.services.data_fetching.fetch_interval == 5
    assert config.orchestrator.enable_auto_restart is False
    assert config.account.max_daily_loss == 123.5
    assert config.symbols["XAUUSD"].risk.units == 2


def test_override_in_lower_case_finds_its_key() -> None:
    assert load_system(SHIPPED, {"trading__symbols__xauusd__risk__units": "2"}).symbols["XAUUSD"].risk.units == 2


def test_override_of_a_key_that_the_file_leaves_out_adds_it() -> None:
    symbol = loaded(TRADING__SYMBOLS__XAUUSD__ALLOWED_REGIMES="[ranging, volatile]").symbols["XAUUSD"]
    assert symbol.allowed_regimes == ("ranging", "volatile")


def test_override_of_a_strategy_parameter_reaches_the_strategy() -> None:
    books = loaded(TRADING__SYMBOLS__XAUUSD__STRATEGY__PARAMS__FAST="4").symbols["XAUUSD"].books
    assert books["ema_cross"].params["fast"] == 4
    assert "strategy.params.swiftness" in faults_of(TRADING__SYMBOLS__XAUUSD__STRATEGY__PARAMS__SWIFTNESS="4")


def test_override_with_an_empty_value_changes_nothing() -> None:
    assert loaded(TRADING__SYMBOLS__XAUUSD__RISK__UNITS=" ") == loaded()


def test_override_outside_the_sections_is_left_to_the_settings() -> None:
    assert loaded(TRADING__REDIS_URL="redis://x", SYMBOLS__XAUUSD__RISK__UNITS="9", HOME="/") == loaded()


def test_override_with_a_wrong_value_names_the_variable_and_not_the_file() -> None:
    name = "TRADING__SYMBOLS__XAUUSD__TIMEFRAME"
    assert faults_of(**{name: "7x"}).startswith(f"{name}: symbols.XAUUSD.timeframe: found '7x'; allowed: a whole")


def test_override_at_odds_with_the_file_names_both() -> None:
    text = faults_of(TRADING__SYMBOLS__XAUUSD__STRATEGY__PARAMS__FAST="50")
    assert text == (
        "configs/symbols.yaml with TRADING__SYMBOLS__XAUUSD__STRATEGY__PARAMS__FAST: "
        "symbols.XAUUSD.strategy.params: fast is 50 and slow is 13: fast must be below slow"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TRADING__SERVICES__DATA_FETCHING__FETCH_INTERVL", "did you mean 'fetch_interval'? known keys: candle_index"),
        ("TRADING__SERVICES__FETCHING__ENABLED", "services.fetching: unknown key 'fetching'"),
        ("TRADING__ORCHESTRATOR__X", "known keys: enable_auto_restart, health_check_interval, reconcile_interval"),
        ("TRADING__ACCOUNT__MAX_DAILY", "account.max_daily: unknown key"),
        ("TRADING__SYMBOLS__XAUUSD__UNITS", "unknown key 'units'; did you mean 'risk.units'? known keys: "),
        ("TRADING__SYMBOLS__XAUUSD__FAST", "did you mean 'strategy.params.fast'?"),
        ("TRADING__SYMBOLS__XAGUSD__RISK__UNITS", "did you mean 'XAUUSD'? known keys: BTCUSD, XAUUSD"),
        ("TRADING__SYMBOLS__XAUUSD__RISK__UNITS__MORE", "symbols.XAUUSD.risk.units holds a value"),
    ],
)
def test_override_that_matches_nothing_is_rejected(name: str, message: str) -> None:
    text = faults_of(**{name: "1"})
    assert text.startswith(f"{name}: ")
    assert message in text


def test_override_that_is_no_yaml_is_rejected() -> None:
    assert faults_of(TRADING__ACCOUNT__NAME="{") == "TRADING__ACCOUNT__NAME: not a YAML value"


def test_override_of_a_name_with_a_dash_is_written_with_an_underscore() -> None:
    contents = {"symbols.yaml": {"symbols": {"BTC-USD": {"timeframe": "1m"}}}}
    origins, faults = apply_overrides(contents, {"TRADING__SYMBOLS__BTC_USD__TIMEFRAME": "5m"})
    assert contents["symbols.yaml"]["symbols"]["BTC-USD"] == {"timeframe": "5m"}
    assert origins == {("symbols", "BTC-USD", "timeframe"): "TRADING__SYMBOLS__BTC_USD__TIMEFRAME"}
    assert faults == []


def test_override_that_could_mean_two_symbols_is_rejected() -> None:
    contents = {"symbols.yaml": {"symbols": {"BTC-USD": {"timeframe": "1m"}, "BTC.USD": {"timeframe": "1m"}}}}
    _, faults = apply_overrides(contents, {"TRADING__SYMBOLS__BTC_USD__TIMEFRAME": "5m"})
    assert faults == ["TRADING__SYMBOLS__BTC_USD__TIMEFRAME: symbols.BTC_USD could be any of BTC-USD, BTC.USD"]
