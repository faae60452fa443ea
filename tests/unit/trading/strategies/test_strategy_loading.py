"""How a strategy is found by its name, and what is reported where there is none."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from configs.plugins.strategies import load_strategy
from trading.orders.orders import Side
from trading.strategies import SHIPPED
from trading.strategies.builtin.cross import EmaCross
from trading.strategies.position_exits import ExitNow, MoveStop, PositionRule, PositionView


class Trailing(EmaCross):
    """Moves its stop behind the market."""

    def manage_position(self, row: Mapping[str, float], position: PositionView) -> ExitNow | MoveStop | None:
        return MoveStop(row["close"] - 2 * row["atr"], "trailing") if position.side is Side.BUY else None


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_load_strategy_by_its_short_name_uses_the_defaults(name: str) -> None:
    assert type(load_strategy(name, {})) is SHIPPED[name]


def test_load_strategy_by_import_path_finds_the_class() -> None:
    strategy = load_strategy("trading.strategies.builtin.cross:EmaCross", {"fast": 5})
    assert strategy == load_strategy("ema_cross", {"fast": 5})


def test_load_strategy_of_a_file_in_the_current_folder_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_strategy_file.py").write_text(
        "from trading.strategies import Signals, Strategy\n"
        "class Quiet(Strategy):\n"
        "    level: float = 1.0\n"
        "    def indicators(self):\n        return {}\n"
        "    def signals(self, rows):\n        return Signals(len(rows))\n"
        "class Half(Strategy):\n"
        "    def indicators(self):\n        return {}\n"
    )
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    strategy = load_strategy("own_strategy_file:Quiet", {"level": 2.0})
    assert strategy.model_dump() == {"level": 2.0}
    assert strategy.startup_candle_count == 1
    with pytest.raises(ValueError, match="'own_strategy_file:Half' does not define: signals"):
        load_strategy("own_strategy_file:Half", {})


def test_load_strategy_with_manage_position_is_a_rule_of_positions_and_others_are_not() -> None:
    assert isinstance(load_strategy("tests.unit.trading.strategies.test_strategy_loading:Trailing", {}), PositionRule)
    assert not isinstance(load_strategy("ema_cross", {}), PositionRule)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ema_crosss", "'ema_crosss' is not the name of a strategy"),
        ("no.such.module:Thing", "cannot be imported from .*No module named 'no'"),
        (":Thing", "cannot be imported from .*Empty module name"),
        ("trading.market.candles:Nothing", "candles.py has no 'Nothing'"),
        ("trading.market.candles:Candles", "not a subclass of trading.strategies.Strategy"),
        ("trading.strategies.strategy:Strategy", "does not define: indicators, signals"),
    ],
)
def test_load_strategy_that_is_none_reports_what_was_found_and_what_is_allowed(name: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"{fault}.*Use one of: donchian_breakout, ema_cross.*package.module:Class"):
        load_strategy(name, {})


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"fast": 50, "slow": 20}, "fast is 50 and slow is 20: fast must be below slow"),
        ({"fats": 5}, "Extra inputs are not permitted"),
        ({"stop_atr": -1}, "greater than or equal to 0"),
        ({"stop_atr": float("nan")}, "finite number"),
    ],
)
def test_load_strategy_with_wrong_parameters_is_a_validation_error(params: dict[str, float], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        load_strategy("ema_cross", params)
