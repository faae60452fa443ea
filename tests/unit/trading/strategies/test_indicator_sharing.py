"""The indicators of several strategies: computed once, and each strategy sees what it would see alone."""

import pytest

from configs.plugins.strategies import load_strategy
from trading.indicators import compute
from trading.strategies import Strategy
from trading.strategies.indicator_sharing import SharedIndicators
from trading_orchestrator.testing.candles import make_candles

CANDLES = make_candles(400)
FAST = {"fast": 3, "slow": 7, "atr_period": 3}


def made(**params: dict[str, int]) -> dict[str, Strategy]:
    return {name: load_strategy("ema_cross", values) for name, values in params.items()}


@pytest.mark.parametrize(
    "others",
    [
        {"other": {"fast": 3, "slow": 7, "atr_period": 4}},
        {"other": {"fast": 5, "slow": 20, "atr_period": 3}},
        {"other": {"fast": 2, "slow": 7, "atr_period": 3}, "third": {"fast": 2, "slow": 7, "atr_period": 3}},
    ],
)
def test_strategy_among_others_sees_to_the_bit_what_it_sees_alone(others: dict[str, dict[str, int]]) -> None:
    strategies = made(own=FAST, **others)
    shared = SharedIndicators(strategies)

    table = shared.compute(CANDLES, rows=50)

    assert len(table) == 50
    for name, one in strategies.items():
        alone = compute(CANDLES, one.indicators(), window=one.startup_candle_count, rows=50)
        assert shared.rows_of(name, table) == alone


def test_what_two_strategies_need_over_the_same_window_is_computed_once() -> None:
    alike = SharedIndicators(made(own=FAST, other=FAST)).compute(CANDLES, rows=5)
    alone = SharedIndicators(made(own=FAST)).compute(CANDLES, rows=5)

    assert alike.values.shape == alone.values.shape
    assert alone.columns == ("fast", "slow", "atr")


def test_rows_begin_when_the_longest_window_is_whole() -> None:
    strategies = made(own=FAST, slow={"fast": 5, "slow": 20, "atr_period": 3})
    longest = max(one.startup_candle_count for one in strategies.values())
    shared = SharedIndicators(strategies)

    assert shared.window == longest > strategies["own"].startup_candle_count
    assert [len(shared.compute(CANDLES[:count], rows=50)) for count in (longest - 1, longest, longest + 1)] == [0, 1, 2]
