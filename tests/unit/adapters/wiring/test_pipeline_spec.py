"""The terms of one symbol, read from the configuration, and the pipeline that they make."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from adapters.ledger.memory import MemoryLedger
from adapters.sources import SimulatedSource
from adapters.symbol_store.memory import MemoryStore
from adapters.venues.memory import MemoryVenue
from adapters.wiring.pipeline import build_pipeline
from adapters.wiring.pipeline_spec import EnabledServices, PipelineSpec, pipeline_spec
from configs.loading import load_system
from configs.snapshot import deciding_digest
from trading.errors import Broken
from trading.services.data_fetching import BATCH_LIMIT
from trading.services.trade_execution import MOST_WATCHED
from trading.strategies.builtin.cross import EmaCross

SHIPPED = Path(__file__).parents[4] / "configs"
SYMBOL = "XAUUSD"


NOTHING: Mapping[str, str] = MappingProxyType({})


def spec_of(environ: Mapping[str, str] = NOTHING, *, replay_batch: int | None = None) -> PipelineSpec:
    system = load_system(SHIPPED, {f"TRADING__{name}": value for name, value in environ.items()})
    return pipeline_spec(system, SYMBOL, replay_batch=replay_batch)


def test_spec_of_a_symbol_holds_what_the_files_say() -> None:
    system = load_system(SHIPPED, {})
    spec = pipeline_spec(system, SYMBOL)
    config = system.symbols[SYMBOL]

    assert (spec.symbol, spec.timeframe, spec.session) == (SYMBOL, config.timeframe, config.session)
    assert list(spec.strategies) == list(config.books)
    assert spec.entry_rules.max_signal_age_s == config.max_signal_age_s
    assert spec.execution.max_signal_age_ms == 1000 * config.max_signal_age_s
    assert spec.fetch.nbr_bars == system.services.data_fetching.nbr_bars
    assert spec.strategy.min_rows_required == system.services.strategy_evaluation.min_rows_required
    assert spec.digest == deciding_digest(system, SYMBOL)
    assert spec.enabled == EnabledServices()
    assert (spec.execution.is_dry_run, spec.is_replay, spec.needs_spread) == (False, False, False)


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("DATA_FETCHING", "fetch"),
        ("INDICATOR_CALCULATION", "indicators"),
        ("STRATEGY_EVALUATION", "strategy"),
        ("TRADE_EXECUTION", "execute"),
    ],
)
def test_spec_of_a_disabled_service_disables_that_one_alone(service: str, name: str) -> None:
    enabled = spec_of({f"SERVICES__{service}__ENABLED": "false"}).enabled

    assert enabled == EnabledServices(**{name: False})


def test_spec_of_a_dry_run_sends_no_order() -> None:
    assert spec_of({"SERVICES__TRADE_EXECUTION__EXECUTION_MODE": "dry"}).execution.is_dry_run


def test_spec_with_a_limit_of_the_spread_needs_the_spread_of_the_venue() -> None:
    assert spec_of({f"SYMBOLS__{SYMBOL}__RISK__MAX_SPREAD": "0.5"}).needs_spread


def test_spec_of_a_replay_takes_its_batch_and_repeats_no_candle() -> None:
    every_tick = {"SERVICES__STRATEGY_EVALUATION__EVALUATION_MODE": "every_tick"}
    live, replayed = spec_of(every_tick), spec_of(every_tick, replay_batch=500)

    assert (live.fetch.batch_limit, live.most_watched) == (BATCH_LIMIT, MOST_WATCHED)
    assert (live.fetch.repeat_last, live.fetch.is_replay, live.is_replay) == (True, False, False)
    assert (replayed.fetch.batch_limit, replayed.most_watched) == (500, 500)
    assert (replayed.fetch.repeat_last, replayed.fetch.is_replay, replayed.is_replay) == (False, True, True)


def test_spec_with_strategies_given_takes_them_and_their_history() -> None:
    system = load_system(SHIPPED, {})
    name = next(iter(system.symbols[SYMBOL].books))
    short, long = (pipeline_spec(system, SYMBOL, strategies={name: EmaCross(fast=2, slow=slow)}) for slow in (3, 200))

    assert short.strategies[name] == EmaCross(fast=2, slow=3)
    assert short.fetch.history_count < long.fetch.history_count


def test_spec_is_the_same_for_the_same_configuration() -> None:
    one, other = spec_of(), spec_of()

    names = [name for name in PipelineSpec.__struct_fields__ if name != "evaluate"]  # a function of its own each time
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]


def test_pipeline_whose_indicators_look_back_further_than_redis_keeps_is_broken() -> None:
    spec = spec_of()
    source = SimulatedSource(SYMBOL, "1m", seed=1, start_ms=0, start_price=100.0)
    with pytest.raises(
        Broken, match=rf"look back {spec.fetch.history_count} candles and Redis keeps 10; set TRADING__"
    ):
        build_pipeline(
            spec,
            source=source,
            store=MemoryStore(),
            ledger=MemoryLedger("test", 1_000.0),
            venue=MemoryVenue({}),
            window_limit=10,
        )


def test_history_of_the_spec_is_that_of_the_indicator_service() -> None:
    spec = spec_of()
    source = SimulatedSource(SYMBOL, "1m", seed=1, start_ms=0, start_price=100.0)
    pipeline = build_pipeline(
        spec, source=source, store=MemoryStore(), ledger=MemoryLedger("test", 1_000.0), venue=MemoryVenue({})
    )

    assert pipeline.indicators.history_count == spec.fetch.history_count
