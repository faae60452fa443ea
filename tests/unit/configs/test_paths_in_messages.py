"""Messages name the configuration in force, and `found; allowed` is said of values alone."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError
from configs.loading import load_system, symbols_file
from configs.settings import load_settings
from trading.errors import UnknownSymbol
from trading_orchestrator.cli.context import Access

SHIPPED = Path(__file__).parents[3] / "configs"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped files in a folder of another name."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("services.yaml", "symbols.yaml"):
        shutil.copy(SHIPPED / name, folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADING__CONFIG_DIR", str(folder))
    return folder


def edit(path: Path, strategy: str) -> str:
    """Give the first symbol a strategy, and return the symbol's name."""
    content = yaml.safe_load(path.read_text())
    symbol = next(iter(content["symbols"]))
    content["symbols"][symbol]["strategy"] = {"name": strategy}
    content["symbols"][symbol].pop("strategies", None)
    path.write_text(yaml.safe_dump(content))
    return str(symbol)


def faults(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_system(folder)
    return list(caught.value.faults)


def test_unknown_symbol_names_the_file_in_force(mine: Path) -> None:
    with Access() as access, pytest.raises(UnknownSymbol, match=r"\(see .*mine/symbols\.yaml\)"):
        access.known("NOPE")
    assert symbols_file(load_settings()).endswith("mine/symbols.yaml")


def test_fault_of_services_names_the_file_in_force(mine: Path) -> None:
    path = mine / "services.yaml"
    content = yaml.safe_load(path.read_text())
    content["services"]["data_fetching"]["nbr_bars"] = 1
    path.write_text(yaml.safe_dump(content))

    assert all("mine/services.yaml: services.data_fetching.nbr_bars" in fault for fault in faults(mine))


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        ("import no_such_module_at_all\n", "cannot be imported: ModuleNotFoundError"),
        ("VALUE = 1\n", "has no 'Own'"),
        ("Own = 1\n", "is 1, not a subclass"),
        (None, "cannot be imported from"),
    ],
)
def test_strategy_whose_code_cannot_be_used_is_no_wrong_value(
    mine: Path, monkeypatch: pytest.MonkeyPatch, module: str | None, fault: str
) -> None:
    monkeypatch.syspath_prepend(str(mine.parent))
    monkeypatch.delitem(sys.modules, "broken_of_mine", raising=False)
    if module is not None:
        (mine.parent / "broken_of_mine.py").write_text(module)
    symbol = edit(mine / "symbols.yaml", "broken_of_mine:Own")

    (found,) = faults(mine)

    assert f"mine/symbols.yaml: symbols.{symbol}.strategy.name: strategy 'broken_of_mine:Own'" in found
    assert fault in found
    assert "allowed:" not in found


def test_strategy_of_an_unknown_name_reports_which_are_allowed(mine: Path) -> None:
    edit(mine / "symbols.yaml", "ema_corss")

    (found,) = faults(mine)

    assert "strategy.name: found 'ema_corss'; allowed: donchian_breakout, ema_cross" in found
