"""Loading the shipped files, and files that lie elsewhere."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.loading import SystemConfig, load_system
from configs.plugins.sources import FileSource, SimulatedSource

SHIPPED = Path(__file__).parents[3] / "configs"
DOCUMENTED = """
services:
  data_fetching: {enabled: true, fetch_interval: 30, retry_attempts: 3, candle_index: 2, nbr_bars: 2}
  indicator_calculation: {enabled: true, recent_rows_limit: 6, track_regime_changes: true}
  strategy_evaluation: {enabled: true, evaluation_mode: on_new_candle, min_rows_required: 3}
  trade_execution: {enabled: true, execution_mode: immediate}
orchestrator: {enable_auto_restart: true, health_check_interval: 60, status_log_interval: 10}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("services.yaml", "symbols.yaml"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def shipped(**environ: str) -> SystemConfig:
    return load_system(SHIPPED, environ)


def test_services_file_as_shipped_has_the_documented_keys_and_values() -> None:
    assert yaml.safe_load((SHIPPED / "services.yaml").read_text()) == yaml.safe_load(DOCUMENTED)


def test_services_file_as_shipped_equals_the_defaults_of_the_models(folder: Path) -> None:
    (folder / "services.yaml").write_text("services: {}\norchestrator: {}\n")
    bare = load_system(folder, {})
    assert (bare.services, bare.orchestrator) == (shipped().services, shipped().orchestrator)


def test_services_file_as_shipped_explains_every_key() -> None:
    lines = (SHIPPED / "services.yaml").read_text().splitlines()
    assert [line for line in lines if ": " in line and not line.startswith("#") and "#" not in line] == []


def test_system_as_shipped_trades_two_symbols_a_minute_per_second() -> None:
    config = shipped()
    assert list(config.symbols) == ["XAUUSD", "BTCUSD"]
    assert config.account.starting_balance == 100_000
    for symbol in config.symbols.values():
        assert isinstance(symbol.source, SimulatedSource)
        assert (symbol.timeframe, symbol.source.speed, list(symbol.books)) == ("1m", 60, ["ema_cross"])
        assert symbol.source.start == datetime(2025, 1, 6, tzinfo=UTC)
    assert [symbol.session.kind for symbol in config.symbols.values()] == ["weekly", "always"]


def test_signal_age_left_out_is_three_timeframes(folder: Path) -> None:
    assert shipped().symbols["XAUUSD"].max_signal_age_s == 180
    hourly = shipped(TRADING__SYMBOLS__XAUUSD__TIMEFRAME="1h").symbols["XAUUSD"]
    assert (hourly.max_signal_age_s, hourly.grid.length_ms) == (10_800, 3_600_000)
    assert shipped(TRADING__SYMBOLS__XAUUSD__MAX_SIGNAL_AGE_S="7").symbols["XAUUSD"].max_signal_age_s == 7


def test_file_source_with_a_relative_path_starts_at_the_folder_of_the_files(folder: Path) -> None:
    text = (folder / "symbols.yaml").read_text()
    symbols = yaml.safe_load(text)
    symbols["symbols"]["XAUUSD"]["source"] = {"kind": "file", "path": "data/gold.csv.gz", "speed": "max", "step": 50}
    symbols["symbols"]["BTCUSD"]["source"] = {"kind": "file", "path": "/elsewhere/bitcoin.csv"}
    symbols["symbols"]["XAUUSD"]["allowed_regimes"] = ["ranging"]
    (folder / "symbols.yaml").write_text(yaml.safe_dump(symbols))
    config = load_system(folder, {})
    gold, bitcoin = config.symbols["XAUUSD"], config.symbols["BTCUSD"]
    assert gold.source == FileSource(kind="file", path=folder / "data" / "gold.csv.gz", speed="max", step=50)
    assert isinstance(bitcoin.source, FileSource)
    assert bitcoin.source.path == Path("/elsewhere/bitcoin.csv")
    assert gold.allowed_regimes == ("ranging",)


def test_system_loaded_rejects_changes() -> None:
    config = shipped()
    with pytest.raises(ValidationError, match="frozen"):
        config.services.data_fetching.fetch_interval = 1  # type: ignore[misc]  # the change that must be refused


def test_system_from_the_settings_folder_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING__CONFIG_DIR", str(folder))
    monkeypatch.setenv("TRADING__ACCOUNT__MAX_OPEN_POSITIONS", "9")
    assert load_system().account.max_open_positions == 9
    assert load_system(environ={}) == shipped()


def test_system_with_both_files_missing_names_both(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_system(tmp_path, {})
    assert [line.split(":")[0] for line in caught.value.faults] == ["services.yaml", "symbols.yaml"]


def test_config_error_pickled_keeps_its_faults() -> None:
    import pickle

    error = ConfigError(["a: 1", "b: 2"])
    assert pickle.loads(pickle.dumps(error)).faults == error.faults
    assert str(error) == "a: 1\nb: 2"


@pytest.mark.parametrize(("step", "is_refused"), [(1, True), (2, False)])
def test_candle_index_beyond_what_a_played_source_shows_is_rejected(step: int, is_refused: bool) -> None:
    environ = {
        "TRADING__SERVICES__DATA_FETCHING__CANDLE_INDEX": "3",
        "TRADING__SERVICES__DATA_FETCHING__NBR_BARS": "3",
        "TRADING__SYMBOLS__XAUUSD__SOURCE__SPEED": "max",
        "TRADING__SYMBOLS__XAUUSD__SOURCE__STEP": str(step),
    }
    if is_refused:
        with pytest.raises(ConfigError, match="candle_index: found 3; allowed: at most 2, because XAUUSD plays"):
            shipped(**environ)
    else:
        assert shipped(**environ).services.data_fetching.candle_index == 3
