"""Control tasks build the orchestrator of the symbol that they are for, and use its rows in the ledger alone."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from celery import Celery
from sqlalchemy.engine import Engine

from tasks import control
from tasks.engine import worker_context as runtime_module
from tasks.engine.worker_context import Runtime
from tasks.orchestrators import factory
from tasks.orchestrators.cluster import ClusterSymbol
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.errors import UnknownSymbol

COUNT = 500
NAMES = [f"S{number:03}" for number in range(COUNT)]
ONE = "S007"
NAMED = re.compile(r"\bS\d{3}\b")


@pytest.fixture
def built(
    request: pytest.FixtureRequest,
    make_system: Callable[..., TradingSystem],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[list[str]]:
    """Configure 500 symbols, or as many as a parameter says, and yield those that an orchestrator is built for."""
    found: list[str] = []

    class Listed(ClusterSymbol):
        def __init__(self, symbol: str, here: Runtime, app: Celery) -> None:
            found.append(symbol)
            super().__init__(symbol, here, app)

    path = write_candles(tmp_path / "candles.csv", generated_candles("XAUUSD", 30))
    system = make_system({name: file_symbol(path) for name in NAMES[: getattr(request, "param", COUNT)]})
    monkeypatch.setattr(factory, "ClusterSymbol", Listed)
    runtime_module._runtime_of.cache_clear()
    with system.as_environment():
        yield found
    runtime_module._runtime_of.cache_clear()


@contextmanager
def ledger_parameters() -> Iterator[list[str]]:
    """Yield the parameters of each statement that any ledger runs meanwhile."""
    found: list[str] = []

    def listen(_connection: object, _cursor: object, _statement: str, parameters: object, *_: object) -> None:
        found.append(str(parameters))

    sa.event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield found
    finally:
        sa.event.remove(Engine, "before_cursor_execute", listen)


def named(parameters: list[str]) -> set[str]:
    return {name for text in parameters for name in NAMED.findall(text)}


def test_pause_of_one_symbol_builds_and_touches_that_one_of_500(built: list[str]) -> None:
    with ledger_parameters() as bound_values:
        answer = control.pause_symbol(ONE, "lunch")

    assert answer == {"symbol": ONE, "before": "running", "now": "paused", "reason": "lunch"}
    assert built == [ONE]
    assert named(bound_values) == {ONE}


def test_clear_quarantine_of_one_symbol_builds_that_one_of_500(built: list[str]) -> None:
    answer = control.clear_quarantine(ONE, "looked")

    assert (answer["symbol"], answer["was_quarantined"], built) == (ONE, False, [ONE])


def test_status_of_one_symbol_reads_that_one_of_500(built: list[str]) -> None:
    with ledger_parameters() as bound_values:
        rows = control.status(ONE)

    assert [row["symbol"] for row in rows] == [ONE]
    assert named(bound_values) == {ONE}
    assert built == []


def test_status_of_all_symbols_follows_their_order_in_the_configuration(built: list[str]) -> None:
    assert [row["symbol"] for row in control.status()] == NAMES
    assert built == []


def test_command_for_an_unknown_symbol_builds_none(built: list[str]) -> None:
    with pytest.raises(UnknownSymbol):
        control.pause_symbol("GOLD")

    assert built == []


@pytest.mark.parametrize("built", [10], indirect=True)
def test_pause_all_builds_each_symbol_and_pauses_those_that_run(built: list[str]) -> None:
    control.stop_symbol(ONE, "broken")
    built.clear()

    answers = control.pause_all("lunch")

    assert built == NAMES[:10]
    assert [answer["symbol"] for answer in answers] == [name for name in NAMES[:10] if name != ONE]
    assert {answer["now"] for answer in answers} == {"paused"}
