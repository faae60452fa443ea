"""The digest of what decides: another one for each change that may change a decision, the same one for others."""

from typing import Any

import pytest

from configs.snapshot import DIGEST_LENGTH, deciding_digest
from tests.fakes import system_config
from trading_orchestrator.testing.candles import SYMBOL

PLAN = {"name": "ema_cross", "params": {"fast": 3, "slow": 7}}


def digest(strategy: dict[str, Any] = PLAN, **changes: Any) -> str:
    return deciding_digest(system_config(strategy, **changes), SYMBOL)


def test_digest_is_short_and_the_same_for_the_same_configuration() -> None:
    assert digest() == digest()
    assert len(digest()) == DIGEST_LENGTH


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": {"name": "ema_cross", "params": {"fast": 4, "slow": 7}}},
        {"risk": {"sizing": "fixed_units", "units": 3.0}},
        {"venue": {"kind": "paper", "fill_at": "next_open", "spread": 0.7}},
        {"account": {"max_open_positions": 7}},
        {"services": {"indicator_calculation": {"recent_rows_limit": 9}}},
    ],
)
def test_change_that_may_change_a_decision_changes_the_digest(changes: dict[str, Any]) -> None:
    assert digest(**changes) != digest()


def test_source_changes_nothing() -> None:
    system = system_config(PLAN)
    config = system.symbols[SYMBOL]
    other = config.model_copy(update={"source": config.source.model_copy(update={"speed": 7.0})})

    assert deciding_digest(system.model_copy(update={"symbols": {SYMBOL: other}}), SYMBOL) == digest()
