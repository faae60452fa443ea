"""docs/reference/strategies.md and docs/how-to/prepare-candles.md say what there is."""

import re
from pathlib import Path

import pytest

from trading.market.quality import Market, examine
from trading.market.sessions import Session
from trading.market.timeframes import Timeframe
from trading.strategies import SHIPPED
from trading.strategies.strategy import AtrStrategy
from trading.strategy_checks import CheckName
from trading_orchestrator.testing.candles import make_candles

ROOT = Path(__file__).parents[4]
STRATEGIES = (ROOT / "docs" / "reference" / "strategies.md").read_text(encoding="utf-8")
CANDLES = (ROOT / "docs" / "how-to" / "prepare-candles.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_page_has_each_shipped_strategy_with_its_parameters_and_defaults(name: str) -> None:
    (line,) = [line for line in STRATEGIES.splitlines() if line.startswith(f"| `{name}` |")]
    own = {key: field for key, field in SHIPPED[name].model_fields.items() if key not in AtrStrategy.model_fields}

    assert dict(re.findall(r"`(\w+)` \(([\d.]+)\)", line)) == {key: str(field.default) for key, field in own.items()}
    assert all(field.description and field.metadata for field in SHIPPED[name].model_fields.values())


def test_page_has_the_parameters_that_all_shipped_strategies_share() -> None:
    shared = dict(re.findall(r"`(\w+_atr|atr_\w+)` \(([\d.]+)\)", STRATEGIES))

    assert shared == {key: str(field.default) for key, field in AtrStrategy.model_fields.items()}


def test_page_has_every_check_of_a_strategy() -> None:
    assert [check for check in CheckName if f"\n| {check} |" not in STRATEGIES] == []


def test_page_has_every_check_of_candles_with_its_weight() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (wrong|doubt|note) \|", CANDLES, flags=re.MULTILINE)
    documented = {name: weight for names, weight in rows for name in names.split(", ")}
    candles = make_candles(5)
    findings = examine(candles.open_ms, candles.values, Market(Timeframe.parse("1m"), Session().are_open, 2**45, 2**45))

    assert {one.check: one.severity.value for one in findings} | {"no time": "wrong"} == documented
