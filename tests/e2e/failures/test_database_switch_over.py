"""PostgreSQL is switched over to its standby in mid-run: a symbol's chain resumes by itself and sends no order twice.

No connection breaks: the old primary stays up and answers reads, as one that a managed service drains. Only a client
that replaces its connections reaches the new primary.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.redis import keys
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.books import MakeSystem, assert_same, is_done, reference, symbols_of
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.postgres_pair import PostgresPair, start_pair
from trading.events.event import EventType
from trading.services.status import ErrorKind

SYMBOL = "XAUUSD"
CANDLES = 400
ERRORS = 8
"""Failed steps until the switch-over goes on: more than the recovery policy has actions before a quarantine."""
ACTIONS = {EventType.SERVICE_STOPPED, EventType.SYMBOL_RESTARTED, EventType.ORCHESTRATOR_QUARANTINED}
REOPENED = (EventType.SERVICE_STOPPED, "outside_failed")
"""Its clients are opened anew now and then while something outside fails: the only action that is allowed."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def postgres_pair() -> Iterator[PostgresPair]:
    pair = start_pair()
    yield pair
    pair.stop()


def statuses(system: TradingSystem) -> list[dict[str, Any]]:
    found: Any = system.stores().redis.hvals(keys.service(system.settings.namespace, SYMBOL))
    return [json.loads(text) for text in found]


def fails_repeatedly(system: TradingSystem) -> bool:
    return any(one["state"] == "error" and one["consecutive_errors"] >= ERRORS for one in statuses(system))


@pytest.mark.long
def test_switch_over_to_a_standby_resumes_without_quarantine_or_second_order(
    make_system: MakeSystem, postgres_pair: PostgresPair, tmp_path: Path
) -> None:
    files = {SYMBOL: write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, CANDLES, seed=3))}
    expected = reference(make_system, files)
    databases = {"TRADING__LEDGER_URL": postgres_pair.url, "TRADING__PAPER_URL": postgres_pair.url}
    quick = {"TRADING__ORCHESTRATOR__HEALTH_CHECK_INTERVAL": "1"}
    live = make_system(symbols_of(files), extra={**databases, **quick})
    for queue in (SYMBOL, "control"):
        live.worker(queue)
    live.beat()
    live.wait_until(
        lambda: bool(live.cursor_ms(SYMBOL) and live.stores().ledger.fills(SYMBOL)), "it trades", limit_s=90
    )

    postgres_pair.refuse_writes()
    live.wait_until(lambda: fails_repeatedly(live), "steps fail while no server accepts writes", limit_s=120)
    kinds = {one["error_kind"] for one in statuses(live) if one["state"] == "error"}
    at_ms = live.cursor_ms(SYMBOL)
    postgres_pair.promote()
    live.wait_until(lambda: live.cursor_ms(SYMBOL) > at_ms, "it resumes", limit_s=60)
    live.wait_until(is_done(live, files), "every candle decided", limit_s=200)

    assert kinds == {ErrorKind.TRANSIENT}
    acted = [event for _, _, event in live.stores().bus.recent(10_000) if event.type in ACTIONS]
    assert {(event.type, event.details["cause"]) for event in acted} <= {REOPENED}
    assert_same(live, expected)
