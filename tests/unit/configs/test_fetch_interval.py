"""When symbols are woken, as the configuration says it."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from configs.fetch_interval import PROMPT_S, fetch_interval_s, is_aligned, longest_pause_s
from configs.services import DataFetchingConfig
from tests.fakes import planned, system_config
from trading_orchestrator.testing.candles import SYMBOL

SHIPPED = Path(__file__).parents[3] / "configs" / "services.yaml"


def test_ticks_are_those_of_the_document_unless_something_else_is_requested() -> None:
    assert (DataFetchingConfig().tick_alignment, DataFetchingConfig().tick_offset) == ("interval", 2.0)
    assert (
        not {"tick_alignment", "tick_offset"} & yaml.safe_load(SHIPPED.read_text())["services"]["data_fetching"].keys()
    )


@pytest.mark.parametrize(
    "wrong",
    [{"tick_alignment": "close"}, {"tick_offset": -1.0}, {"tick_offset": 60.0}, {"tick_offset": float("nan")}],
)
def test_tick_keys_with_a_wrong_value_are_rejected(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataFetchingConfig.model_validate(wrong)


@pytest.mark.parametrize(
    ("alignment", "speed", "aligned", "interval_s", "pause_s"),
    [
        ("interval", 1.0, False, 20.0, 20.0),
        ("interval", 10.0, False, 2.0, 2.0),
        ("interval", "max", False, PROMPT_S, PROMPT_S),
        ("candle_close", 1.0, True, 20.0, 300.0),
        ("candle_close", 10.0, False, 2.0, 2.0),
        ("candle_close", "max", False, PROMPT_S, PROMPT_S),
    ],
)
def test_ticks_follow_the_close_where_the_market_goes_by_the_clock_on_the_wall(
    alignment: str, speed: float | str, aligned: bool, interval_s: float, pause_s: float
) -> None:
    source = {"kind": "simulated", "seed": 1, "start_price": 1.0, "start": "2026-01-05T00:00:00Z", "speed": speed}
    fetching = {"tick_alignment": alignment, "fetch_interval": 20.0}
    system = system_config(planned({}), source=source, timeframe="5m", services={"data_fetching": fetching})
    config = system.symbols[SYMBOL]

    found = system.services.data_fetching

    assert is_aligned(found, config) is aligned
    assert fetch_interval_s(found, config) == interval_s
    assert longest_pause_s(found, config) == pause_s
