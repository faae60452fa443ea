"""Second stage: values and regimes at each new candle, from the stored window or from memory."""

import numpy as np
import pytest

from configs.plugins.strategies import load_strategy
from tests.fakes import Databases, Desk, system_config
from tests.fixtures.candle_files import generated_candles
from trading.errors import Transient
from trading.events.event import EventType, correlation_id
from trading.events.messages import IndicatorsUpdated, NewCandle
from trading.indicators import compute
from trading.indicators.regime import Regime
from trading.market.candles import Candles
from trading.services.chain import AdvanceSymbol, ChainOutcome
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles

EMA = {"name": "ema_cross", "params": {"fast": 3, "slow": 7}}
STRATEGY = load_strategy("ema_cross", {"fast": 3, "slow": 7})
WINDOW = STRATEGY.startup_candle_count
SHOWN = WINDOW + 20
ROWS = 6


def make_desk(
    databases: Databases, *, shown: int = SHOWN, series: Candles | None = None, regimes: bool = False
) -> Desk:
    services = {"indicator_calculation": {"track_regime_changes": regimes, "recent_rows_limit": ROWS}}
    return Desk(databases, system_config(EMA, services=services), series or make_candles(SHOWN + 60), shown=shown)


@pytest.fixture
def desk(databases: Databases) -> Desk:
    desk = make_desk(databases)
    desk.advance()
    return desk


def updated(desk: Desk, *, show: int) -> IndicatorsUpdated:
    """Let candles close, and run the first two stages."""
    desk.source.shown += show
    new = desk.pipeline.fetch.handle(AdvanceSymbol(SYMBOL))
    assert isinstance(new, NewCandle)
    answer = desk.pipeline.indicators.handle(new)
    assert isinstance(answer, IndicatorsUpdated)
    return answer


@pytest.mark.parametrize("show", [1, 2, 17])
def test_indicators_of_a_batch_are_those_of_the_whole_history(desk: Desk, show: int) -> None:
    answer = updated(desk, show=show)

    expected = compute(
        desk.source.candles[: desk.source.shown], STRATEGY.indicators(), window=WINDOW, rows=ROWS - 1 + show
    )
    assert answer.rows == expected


def test_indicators_hand_on_the_candles_and_what_came_with_them(desk: Desk) -> None:
    answer = updated(desk, show=2)

    assert answer.candles == desk.source.candles[SHOWN : SHOWN + 2]
    assert (answer.after_ms, answer.as_of_ms) == (at_place(SHOWN - 1), desk.source.as_of_ms)
    assert answer.regimes == [Regime.UNKNOWN] * 2


def test_indicators_from_memory_and_from_the_store_are_the_same(desk: Desk) -> None:
    desk.play(SHOWN + 5)
    from_memory = updated(desk, show=1)
    desk.restart()
    from_store = updated(desk, show=0)

    assert from_store.rows == from_memory.rows


def test_indicators_after_an_error_are_computed_from_the_store_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: object, **__: object) -> Candles:
        raise Transient("redis", "no answer")

    expected = updated(desk, show=1)
    desk.restart()
    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "window", no_answer)
        with pytest.raises(Transient):
            updated(desk, show=0)
    assert desk.pipeline.indicators.get_status()["state"] == "error"

    assert updated(desk, show=0).rows == expected.rows
    assert desk.pipeline.indicators.get_status()["state"] == "running"


def test_indicators_of_a_batch_that_was_never_committed_do_not_stay_in_memory(desk: Desk) -> None:
    lost = updated(desk, show=3)
    again = updated(desk, show=0)

    assert again.rows == lost.rows


def test_indicators_while_the_window_fills_have_a_row_for_each_whole_window(databases: Databases) -> None:
    desk = make_desk(databases, shown=WINDOW - 2)
    desk.advance()

    counts = []
    for _ in range(9):
        counts.append(len(updated(desk, show=1).rows))
        desk.advance()

    assert counts == [0, 1, 2, 3, 4, 5, 6, 6, 6]


def test_indicators_that_are_not_enabled_end_the_chain_and_decide_nothing(databases: Databases) -> None:
    config = system_config(EMA, services={"indicator_calculation": {"enabled": False}})
    desk = Desk(databases, config, make_candles(SHOWN), shown=SHOWN)

    assert desk.advance().reason is ChainOutcome.DISABLED
    assert desk.journal == {}


def test_regime_changes_in_a_batch_are_reported_with_the_candle_of_each(databases: Databases) -> None:
    series = generated_candles(SYMBOL, 900)
    desk = make_desk(databases, shown=500, series=series, regimes=True)
    desk.advance()

    answer = updated(desk, show=400)

    changes = [event for event in desk.events_of(EventType.REGIME_CHANGED) if event.market_ms > at_place(499)]
    first = desk.store.load(SYMBOL).regime
    steps = zip([first, *answer.regimes], answer.regimes, answer.candles.open_ms.tolist(), strict=False)
    expected = [(open_ms, f"{before} -> {after}") for before, after, open_ms in steps if before is not after]
    assert len(expected) > 3
    assert Regime.UNKNOWN not in answer.regimes
    assert [(event.market_ms, event.reason) for event in changes] == expected
    assert [event.correlation_id for event in changes] == [correlation_id(SYMBOL, "1m", at) for at, _ in expected]


def flat_candles(moving: int, still: int, later: int) -> Candles:
    """Return a walk, a stretch at one price, and a walk again."""
    noise = np.random.default_rng(5)
    moves = noise.normal(0, 1, moving + still + later)
    moves[moving : moving + still] = 0.0
    close = np.round(1_000 + np.cumsum(moves), 2)
    opened = np.concatenate((close[:1], close[:-1]))
    values = np.column_stack((opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(len(close))))
    return Candles(np.array([at_place(place) for place in range(len(close))], np.int64), values)


@pytest.mark.parametrize("shown", [150, 700, 1_195])
def test_rows_on_a_flat_are_those_of_the_whole_history_wherever_the_services_begin(
    databases: Databases, shown: int
) -> None:
    """Services that begin inside the flat, and begin anew at every third batch, look back to its last move."""
    services = {"indicator_calculation": {"track_regime_changes": True, "recent_rows_limit": ROWS}}
    rsi = {"name": "rsi_reversion", "params": {"period": 5}}
    strategy = load_strategy("rsi_reversion", {"period": 5})
    desk = Desk(databases, system_config(rsi, services=services), flat_candles(300, 900, 60), shown=shown)
    desk.advance()

    for number, show in enumerate([1, 3, 7, 20, 2, 1, 30]):
        if number % 3 == 2:
            desk.pipeline.indicators.reset()
        desk.source.shown += show
        new = desk.pipeline.fetch.handle(AdvanceSymbol(SYMBOL))
        assert isinstance(new, NewCandle)
        answer = desk.pipeline.indicators.handle(new)
        assert isinstance(answer, IndicatorsUpdated)
        desk.pipeline.strategy.handle(answer)
        known = desk.source.candles[: desk.source.shown]
        window = strategy.startup_candle_count
        whole = compute(known, strategy.indicators(), window=window, rows=len(answer.rows))
        assert answer.rows == whole
