"""The symbol of a step, and the error of one that took too long."""

import pickle
from typing import Any

import pytest

from tasks.engine.task_failures import SoftTimeLimitExceeded, raise_soft_limit, symbol_of
from trading.strategies.errors import is_its_own


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "symbol"),
    [
        ("tasks.strategy", ("{json}",), {"symbol": "XAUUSD"}, "XAUUSD"),
        ("tasks.fetch", ["XAUUSD", 1], {}, "XAUUSD"),
        ("tasks.reconcile", ("XAUUSD",), None, "XAUUSD"),
        ("tasks.fetch", (), {}, ""),
        ("tasks.pause_symbol", ("XAUUSD",), {}, ""),
    ],
)
def test_symbol_is_that_of_the_router_and_only_a_step_has_one(name: str, args: Any, kwargs: Any, symbol: str) -> None:
    assert symbol_of(name, args, kwargs) == symbol


def test_soft_limit_that_comes_after_the_task_has_ended_does_nothing() -> None:
    raise_soft_limit(10, None)


@pytest.mark.parametrize(("symbol", "whose"), [("XAUUSD", " of XAUUSD"), ("", "")])
def test_soft_limit_reports_what_took_how_long_also_after_a_journey_between_processes(symbol: str, whose: str) -> None:
    error = SoftTimeLimitExceeded("tasks.strategy", symbol, 8)

    assert str(pickle.loads(pickle.dumps(error))) == f"tasks.strategy{whose} still ran after 8 s"


def test_soft_limit_that_hits_a_strategy_is_no_fault_of_it() -> None:
    assert not is_its_own(SoftTimeLimitExceeded("tasks.strategy", "XAUUSD", 8))
