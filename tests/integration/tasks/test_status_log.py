"""The status line: what is true of the symbols and the account, for people and as fields."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.engine import worker_context as runtime_module
from tasks.engine.routing import CONTROL_QUEUE, route
from tasks.engine.stages import LOG_STATUS
from tasks.status_log import log_status
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.services.chain import AdvanceSymbol
from worker.log_format import HumanFormatter, JsonFormatter

TRADED, UNSEEN = "XAUUSD", "XPTUSD"
BALANCE = 1_000_000


@pytest.fixture
def system(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[TradingSystem]:
    """A system that holds a position, on one of its two symbols."""
    path = write_candles(tmp_path / "gold.csv", generated_candles(TRADED, 120, seed=3))
    system = make_system({TRADED: file_symbol(path), UNSEEN: file_symbol(path)})
    runtime_module._runtime_of.cache_clear()
    with system.as_environment():
        while not any(position.is_open and position.realised for position in system.stores().ledger.positions()):
            runtime_module.runtime().pipeline(TRADED).advance(AdvanceSymbol(TRADED))
        yield system
    runtime_module._runtime_of.cache_clear()


def status(caplog: pytest.LogCaptureFixture) -> tuple[str, dict[str, Any]]:
    """Have the task write its line, and return it in both formats."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "trading.status"):
        log_status()
    (record,) = [record for record in caplog.records if record.name == "trading.status"]
    return HumanFormatter().format(record), json.loads(JsonFormatter().format(record))


def test_status_has_for_each_symbol_state_candle_position_and_profit(
    system: TradingSystem, caplog: pytest.LogCaptureFixture
) -> None:
    line, found = status(caplog)

    (held,) = [position for position in system.stores().ledger.positions() if position.is_open]
    traded, unseen = found["symbols"]
    assert found["event"] == "status"
    assert (traded["symbol"], traded["units"]) == (TRADED, held.units)
    assert traded["average_price"] == pytest.approx(held.average_price)
    assert traded["state"] == "running"
    assert traded["candle"].startswith("2026-03-02T0")
    assert traded["realised"] == pytest.approx(held.realised)
    assert traded["pnl"] == pytest.approx(held.realised + held.unrealised(traded["close"]))
    assert unseen == {
        "symbol": UNSEEN,
        "state": "starting",
        "candle": None,
        "close": None,
        "units": 0.0,
        "average_price": 0.0,
        "realised": 0.0,
        "unrealised": 0.0,
        "pnl": 0.0,
        "reason": "",
        "last_error": "",
    }
    assert found["balance"] == pytest.approx(BALANCE + held.realised)
    assert found["pnl"] == pytest.approx(traded["pnl"])
    assert (found["account"], found["open_incidents"]) == ("test", 0)
    assert f"status balance {found['balance']:,.2f} P&L {found['pnl']:+,.2f} incidents 0 | {TRADED} running" in line
    assert f"{held.units:+g} @ {held.average_price:,.6g}" in line
    assert f"{UNSEEN} starting - flat" in line


def test_status_reports_of_a_pause_and_of_what_halts_a_symbol(
    system: TradingSystem, caplog: pytest.LogCaptureFixture
) -> None:
    stores = system.stores()
    stores.store.set_desired(TRADED, DesiredState.PAUSED)
    stores.ledger.open_incidents([Incident(IncidentKind.POSITION_MISMATCH, UNSEEN, "key", "50% more than ours")])

    line, found = status(caplog)

    assert [one["state"] for one in found["symbols"]] == ["paused", "halted"]
    assert "50% more than ours" in found["symbols"][1]["reason"]
    assert found["open_incidents"] == 1
    assert "incidents 1" in line


def test_status_that_can_not_be_read_is_one_warning(system: TradingSystem, caplog: pytest.LogCaptureFixture) -> None:
    system.redis.kill()

    line, found = status(caplog)

    assert (found["level"], found["event"]) == ("WARNING", "status_unknown")
    assert "status_unknown reason=redis:" in line
    system.redis.start()


def test_status_is_written_by_whoever_serves_the_control_queue() -> None:
    assert log_status.name == LOG_STATUS
    assert (route(LOG_STATUS, (), {}, {}) or {})["queue"] == CONTROL_QUEUE
