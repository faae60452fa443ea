"""A strategy that raises: what its author is told, by the call and by the service, and what is no fault of its own."""

import pickle
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from tests.fakes import Databases, Desk, planned, system_config
from tests.unit.trading.strategies.faulty_strategies import (
    FAULTY,
    Exits,
    HookRaises,
    Mute,
    Parses,
    Quits,
    Raises,
    Says,
    fault_of,
    line_of,
    rows,
)
from trading.errors import Interrupted, Transient
from trading.events.event import EventType
from trading.exits.exit_rules import ExitRules, ExitTerms
from trading.orders.orders import Side
from trading.strategies import PositionView, SignalBuilder, StrategyFault
from trading.strategies.errors import is_its_own
from trading.strategies.invocation import signals_of
from trading_orchestrator.testing.candles import at_place, make_candles

SHOWN = 20
FIFTH = "2026-03-02 00:04 UTC"


def test_error_of_its_own_code_reports_strategy_place_candle_and_its_own_line_alone() -> None:
    fault = fault_of(Raises(), last=2)
    line = line_of('rows["nope"] > 3')

    assert isinstance(fault.__cause__, KeyError)
    assert fault.summary == (
        f"strategy {FAULTY}:Raises: signals from the candle {FIFTH} on: KeyError: 'nope'; "
        "a row has: open_ms (the index), close"
    )
    (own,) = fault.lines
    assert (
        f'faulty_strategies.py, line {line}, in signals: return SignalBuilder(len(rows)).buy((rows["nope"] > 3)' in own
    )


def test_fault_is_whole_after_a_journey_between_processes() -> None:
    fault = fault_of(Raises()).of("XAUUSD", "mine", "at noon")

    again = pickle.loads(pickle.dumps(fault))

    assert str(again) == str(fault)
    assert str(fault).startswith(f"XAUUSD: strategy mine ({FAULTY}:Raises): signals from the candle")
    assert again.owner == ("XAUUSD", "mine")


@pytest.mark.parametrize(
    ("kind", "fault"), [(Quits, "SystemExit: 0"), (Exits, "SystemExit: None"), (Parses, "SystemExit: 2")]
)
def test_code_that_ends_the_process_is_reported_as_a_fault(kind: type[Says], fault: str) -> None:
    assert fault_of(kind()).fault == fault


def test_error_that_cannot_report_itself_is_named() -> None:
    def mute(_: pd.DataFrame) -> SignalBuilder:
        raise Mute

    assert fault_of(Says(answer=mute)).fault == "Mute"


@pytest.mark.parametrize("error", [Transient("venue", "no answer"), Interrupted("8 s"), MemoryError()])
def test_error_of_the_outside_that_hits_a_strategy_passes_as_it_is(error: Exception) -> None:
    def interrupted(_: pd.DataFrame) -> SignalBuilder:
        raise error

    with pytest.raises(type(error)) as caught:
        signals_of(Says(answer=interrupted), rows(), last=1, name="mine")

    assert caught.value is error


def test_exit_that_does_not_come_from_the_strategy_is_not_its_own() -> None:
    assert not is_its_own(SystemExit(1))


def desk_of(databases: Databases, name: str, plan: Mapping[int, str], params: Mapping[str, Any] | None = None) -> Desk:
    strategy = planned(dict(plan), stop_distance=2.0) if params is None else {"params": dict(params)}
    return Desk(databases, system_config({**strategy, "name": name}), make_candles(60), shown=SHOWN)


def test_service_reports_symbol_strategy_candle_and_line_and_reports_it_once(databases: Databases) -> None:
    desk = desk_of(databases, f"{FAULTY}:Raises", {}, {})

    for _ in range(2):
        with pytest.raises(StrategyFault):
            desk.advance(show=1)

    (event,) = desk.events_of(EventType.SERVICE_ERROR)
    assert event.reason.startswith(f"StrategyFault: XAUUSD: strategy {FAULTY}:Raises: signals from the candle ")
    assert "; a row has: open_ms (the index), close; " in event.reason
    line = line_of('rows["nope"] > 3')
    assert f"line {line}, in signals" in event.reason


def test_indicator_without_a_value_reports_symbol_strategy_and_candle(databases: Databases) -> None:
    desk = desk_of(databases, f"{FAULTY}:NoValue", {}, {})

    with pytest.raises(
        StrategyFault, match=r"XAUUSD: strategy .*:NoValue: indicators at the candle .* UTC: root, ACOS"
    ):
        desk.advance()


def test_hook_that_raises_reports_symbol_strategy_candle_and_what_its_row_has() -> None:
    position = PositionView(Side.BUY, 1.0, 100.0, at_place(0))

    with pytest.raises(StrategyFault) as caught:
        ExitRules(ExitTerms(), HookRaises()).evaluated(100.0, {"open_ms": 0.0, "close": 100.0}, position)

    fault = caught.value.of("XAUUSD", "mine", "at the candle")
    assert isinstance(caught.value.__cause__, KeyError)
    assert fault.summary == (
        f"XAUUSD: strategy mine ({FAULTY}:HookRaises): manage_position at the candle: KeyError: 'volume'; "
        "a row has: open_ms, close"
    )
    line = line_of('ExitNow("thin") if')
    assert f"line {line}, in manage_position" in fault.lines[0]
