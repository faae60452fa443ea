"""Stopping a symbol speaks of what stays open; closing can pause the symbol in the same command."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks import control, reconcile
from tasks.engine import worker_context as runtime_module
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.lifecycle import DesiredState
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.cli.operate.control import _print
from trading_orchestrator.cli.operate.flatten import _print_result

SYMBOL = "XAUUSD"


@pytest.fixture
def system(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[TradingSystem]:
    """A system that holds a position."""
    path = write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, 300, seed=3))
    system = make_system({SYMBOL: file_symbol(path)})
    runtime_module._runtime_of.cache_clear()
    with system.as_environment():
        while not positions(system):
            tick()
        yield system
    runtime_module._runtime_of.cache_clear()


def tick() -> None:
    runtime_module.runtime().pipeline(SYMBOL).advance(AdvanceSymbol(SYMBOL))


def positions(system: TradingSystem) -> list[Any]:
    return [one for one in system.stores().ledger.positions() if one.is_open]


def test_stop_with_an_open_position_reports_its_units_and_its_stop(
    system: TradingSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    (held,) = positions(system)

    answer = control.stop_symbol(SYMBOL, "holiday")
    _print([answer], as_json=False)
    shown = capsys.readouterr().out

    assert answer["positions"] == [
        {
            "strategy": held.strategy,
            "units": held.units,
            "average_price": held.average_price,
            "stop_loss": held.stop_loss,
        }
    ]
    assert f"{SYMBOL}: running -> stopped" in shown
    assert f"a position of {held.units:+.10g} units" in shown
    assert "stays open and is not managed; only its stop at" in shown
    assert "at the venue protects it" in shown
    assert f"flatten {SYMBOL} --pause" in shown


def test_stop_without_a_position_warns_of_nothing(system: TradingSystem, capsys: pytest.CaptureFixture[str]) -> None:
    reconcile.flatten(SYMBOL, "out", pause=True)
    while positions(system):
        tick()

    _print([control.stop_symbol(SYMBOL, "holiday")], as_json=False)

    assert capsys.readouterr().out == f"{SYMBOL}: paused -> stopped\n"


@pytest.mark.parametrize("before", [DesiredState.RUNNING, DesiredState.STOPPED])
def test_flatten_with_pause_closes_and_opens_nothing_again(
    system: TradingSystem, capsys: pytest.CaptureFixture[str], before: DesiredState
) -> None:
    if before is DesiredState.STOPPED:
        control.stop_symbol(SYMBOL, "holiday")
        assert reconcile.flatten(SYMBOL, "out")["outcome"] == "refused"

    answer = reconcile.flatten(SYMBOL, "out", pause=True)
    _print_result([answer])
    for _ in range(60):
        tick()

    assert (answer["outcome"], answer["desired"]) == ("closing", "paused")
    assert f"{SYMBOL} is paused and opens nothing until: celery -A tasks trading resume" in capsys.readouterr().out
    assert positions(system) == []
    assert system.stores().ledger.desired(SYMBOL) is DesiredState.PAUSED
