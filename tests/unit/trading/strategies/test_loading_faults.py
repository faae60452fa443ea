"""A strategy that cannot be made: its file, its parameters, its indicators, its startup count."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from configs.plugins.strategies import load_strategy
from tests.unit.trading.strategies.faulty_strategies import (
    FAULTY,
    Says,
    Validates,
    WithIndicators,
)
from trading.indicators import Indicator, ema, sma
from trading.strategies import StrategyFault
from trading.strategies.invocation import RESERVED, made


@pytest.mark.parametrize("name", RESERVED)
def test_indicator_with_the_name_of_what_a_row_has_of_its_candle_is_rejected(name: str) -> None:
    with pytest.raises(StrategyFault, match=f"an indicator named '{name}'; allowed: .* names open_ms, open, high, low"):
        load_strategy(f"{FAULTY}:WithIndicators", {"named": {"fast": ema(3), name: ema(5)}})


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        (None, "indicators: answered None; allowed: a mapping of column names to Indicator"),
        ([ema(3)], "indicators: answered a list|answered \\[Indicator"),
        ({5: ema(3)}, "answered 5 as the name of a column"),
        ({"fast": "ema"}, "answered 'ema' for 'fast'"),
        ({"fast": ema(0)}, r"answered fast = EMA\(0\); allowed: an indicator that looks back on at least one candle"),
        (lambda: {"fast": Indicator("NOPE")}, "indicators: ValueError: TA-Lib has no function 'NOPE'"),
        (lambda: {"fast": ema("x")}, "indicators, fast: TypeError"),  # type: ignore[arg-type]
    ],
)
def test_indicators_that_cannot_be_computed_are_rejected_when_the_strategy_is_made(named: object, fault: str) -> None:
    with pytest.raises(StrategyFault, match=fault):
        made(WithIndicators, {"named": named})


@pytest.mark.parametrize("count", [0, 4, "20", None, True])
def test_startup_count_that_is_none_or_too_small_is_rejected(count: object) -> None:
    class Counts(Says):
        def indicators(self) -> Mapping[str, Indicator]:
            return {"mean": sma(5)}

        @property
        def startup_candle_count(self) -> int:
            return count  # type: ignore[return-value]

    with pytest.raises(
        StrategyFault, match=f"startup_candle_count: answered {count!r}; allowed: a whole number, at least 5"
    ):
        made(Counts, {})


def test_error_of_its_validator_that_is_none_of_a_parameter_is_reported_with_its_line() -> None:
    with pytest.raises(StrategyFault, match=r"parameters: TypeError: no such thing; .*in _is_sound: raise TypeError"):
        made(Validates, {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def (:\n", r"cannot be imported: SyntaxError: .*; broken_for_a_test.py, line 1: def \(:"),
        (
            "x = 1\ny = x / 0\n",
            r"ZeroDivisionError: division by zero; broken_for_a_test.py, line 2, in <module>: y = x / 0",
        ),
        ("import not_there_for_a_test\n", r"No module named 'not_there_for_a_test'; broken_for_a_test.py, line 1"),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3; broken_for_a_test.py, line 2"),
    ],
)
def test_file_that_raises_when_it_is_imported_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, fault: str
) -> None:
    (tmp_path / "broken_for_a_test.py").write_text(text)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match=fault):
        load_strategy("broken_for_a_test:Mine", {})
