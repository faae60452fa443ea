"""`trading explain` of candles on which a strategy raised, or was not asked: the records, and no new call."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from configs.loading import load_system
from tasks.engine.worker_context import Runtime
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.strategies.moody import RAISES, WELL
from trading.services.chain import AdvanceSymbol
from trading.strategies import StrategyFault
from trading_orchestrator.cli.app import trading

GOLD, MINUTE_MS, CANDLES, DECIDED = "XAUUSD", 60_000, 120, 60
TAPE = generated_candles(GOLD, CANDLES, seed=3)
FAILED_MS = int(TAPE.open_ms[DECIDED])


class Failing:
    """A system that decided `DECIDED` candles with a position open, and whose strategy raises on the next one."""

    def __init__(self, system: TradingSystem, mood: Path) -> None:
        self.system = system
        self._mood = mood
        with system.as_environment():
            self._here = Runtime(system.settings, load_system(system.folder / "configs"))
            while system.cursor_ms(GOLD) < FAILED_MS - MINUTE_MS:
                self.advance()
            self.change_mood(RAISES)
            with pytest.raises(StrategyFault):
                self.advance()
            self._here.report(self._here.pipeline(GOLD))

    def advance(self) -> None:
        self._here.pipeline(GOLD).advance(AdvanceSymbol(GOLD))

    def change_mood(self, mood: str) -> None:
        self._mood.write_text(mood, encoding="utf-8")

    def explain(self, *arguments: str, at_ms: int = FAILED_MS) -> Result:
        instant = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
        return CliRunner().invoke(trading, ["explain", GOLD, instant, *arguments], env=self.system.environment)

    def explained(self, at_ms: int = FAILED_MS) -> dict[str, Any]:
        answer = self.explain("--json", at_ms=at_ms)
        assert answer.exit_code == 0, answer.output
        return cast("dict[str, Any]", json.loads(answer.stdout))


@pytest.fixture
def failing(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Failing:
    path, mood = write_candles(tmp_path / "gold.csv", TAPE), tmp_path / "mood"
    mood.write_text(WELL, encoding="utf-8")
    strategy = {"name": "tests.fixtures.strategies.moody:Moody", "params": {"mood": str(mood)}}
    return Failing(make_system({GOLD: file_symbol(path, strategy=strategy)}), mood)


def test_candle_on_which_a_strategy_raised_shows_candle_indicators_regime_and_the_recorded_error(
    failing: Failing,
) -> None:
    decided, found = failing.explained(FAILED_MS - MINUTE_MS), failing.explained()

    assert found["entry"]["values"] == TAPE.rows()[DECIDED][1:]
    assert found["headline_kind"] == "failed"
    assert found["headline"].startswith(f"not decided: StrategyFault: {GOLD}: strategy ")
    assert "in a bad mood" in found["headline"]
    now, before = (one["values"][0] for one in (found, decided))
    assert now["before"] == before["now"]
    assert now["now"] == pytest.approx(sum(row[4] for row in TAPE.rows()[DECIDED - 2 : DECIDED + 1]) / 3)
    assert found["entry"]["regime"] in {"trending", "ranging", "volatile", "quiet", "unknown"}
    assert [one["type"] for one in found["events"]].count("SERVICE_ERROR") == 1
    assert (found["signal"], found["notes"]) == (None, [])
    assert "in a bad mood" in failing.explain().stdout


def test_candle_on_which_a_strategy_raised_does_not_evaluate_it_again(failing: Failing) -> None:
    failing.change_mood(WELL)

    found = failing.explained()

    assert found["signal"] is None
    assert "in a bad mood" in found["headline"]


def test_candle_that_the_source_does_not_show_yet_is_not_explained(failing: Failing) -> None:
    answer = failing.explain(at_ms=int(TAPE.open_ms[-1]))

    assert answer.exit_code == 1
    assert "not decided yet" in answer.stderr


@pytest.mark.parametrize("mood", [RAISES, WELL])
def test_candle_of_a_quarantined_symbol_shows_what_is_recorded_and_does_not_evaluate_the_strategy(
    failing: Failing, mood: str
) -> None:
    failing.system.stores().ledger.set_quarantine(GOLD, "hold", cause="step_failed", reason="it raised")
    failing.system.stores().store.set_quarantine(GOLD, "hold")
    failing.advance()
    failing.change_mood(mood)

    found = failing.explained()

    assert found["headline"] == "no trade: the symbol was quarantined (hold)"
    assert found["said"] == "not evaluated: quarantined (hold): nothing is decided"
    assert (found["signal"], found["notes"]) == (None, [])
    assert found["values"][0]["now"] is not None
    assert any("in a bad mood" in one["reason"] for one in found["events"] if one["type"] == "SERVICE_ERROR")


def test_decided_candle_whose_strategy_raises_now_shows_the_rest(failing: Failing) -> None:
    found = failing.explained(FAILED_MS - MINUTE_MS)

    assert found["values"][0]["now"] is not None
    assert found["signal"] is None
    assert [note for note in found["notes"] if "the signal cannot be recomputed" in note and "in a bad mood" in note]


@pytest.mark.parametrize(
    ("offset", "headline"),
    [(-1, "no trade: the strategy gave no signal"), (0, "not decided: StrategyFault: ")],
    ids=["candle before", "candle on which it raises"],
)
def test_candle_of_a_backtest_in_which_a_strategy_raises_is_explained(
    make_system: Callable[..., TradingSystem], tmp_path: Path, offset: int, headline: str
) -> None:
    path = write_candles(tmp_path / "gold.csv", TAPE)
    strategy = {"name": "tests.fixtures.strategies.failing_at:FailingAt", "params": {"from_ms": FAILED_MS}}
    system = make_system({GOLD: file_symbol(path, strategy=strategy)})
    instant = datetime.fromtimestamp((FAILED_MS + offset * MINUTE_MS) / 1000, UTC).isoformat()

    arguments = ["explain", GOLD, instant, "--candles", str(path), "--json"]
    answer = CliRunner().invoke(trading, arguments, env=system.environment)

    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert found["headline"].startswith(headline)
    assert found["entry"]["values"] == TAPE.rows()[DECIDED + offset][1:]
    assert found["values"][0]["now"] is not None
