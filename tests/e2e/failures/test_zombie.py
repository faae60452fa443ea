"""A worker is frozen and replaced, and wakes up long after: whatever it does, the books stay those of one process.

Frozen before it decides, it is refused by the fence. Frozen between its claim and the call of the venue, its order is
sent by whoever settles, and its own send is the same order again. What happens when the order was given up meanwhile is
in `docs/explanation/fencing.md`: no fence reaches a call that is on its way, so the send is found and cancelled, or an
incident is opened.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.redis import keys
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.apps.zombie import Zombie
from tests.fixtures.apps.zombie_app import BEFORE_DECIDING, BEFORE_SENDING, WHILE_DECIDING
from tests.fixtures.books import (
    MakeSystem,
    assert_same,
    assert_venue_agrees,
    is_done,
    reference,
    symbols_of,
    venue_books,
)
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.incidents.incident import IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.orders import decided_open_ms

SYMBOL = "XAUUSD"
CANDLES = 220
LATER = 50
"""Candles that the second worker has to decide before the first one wakes up."""
MINUTE_MS = 60_000
VISIBILITY_LIMIT_S = 120.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {SYMBOL: write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, CANDLES, seed=3))}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def databases(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings of a system whose ledger and venue are kept in SQLite files, or in PostgreSQL."""
    if request.param == "sqlite":
        return {}
    return on_postgresql(request.getfixturevalue("postgres_url"))


def on_postgresql(postgres_url: str) -> dict[str, str]:
    """Return the settings of a system whose ledger and venue are kept in a PostgreSQL database."""
    url = postgres_url.replace("postgresql://", "postgresql+psycopg://")
    return {"TRADING__LEDGER_URL": url, "TRADING__PAPER_URL": url}


def orders_of(system: TradingSystem, leg: str) -> list[dict[str, Any]]:
    """Return the orders of a leg, oldest first."""
    rows = system.stores().ledger.orders(SYMBOL, limit=100_000)
    return sorted((row for row in rows if row["leg"] == leg), key=lambda row: row["market_ms"])


def entry_amid(expected: TradingSystem, *, is_reversal: bool) -> dict[str, Any]:
    """Return a filled entry with candles enough before and after it: one by itself, or one that turned a position."""
    exits = {row["market_ms"] for row in orders_of(expected, "exit")}
    entries = [row for row in orders_of(expected, "entry") if row["state"] == "filled"]
    chosen = [row for row in entries if (row["market_ms"] in exits) is is_reversal]
    assert len(chosen) > 4, "the candles hardly trade: the test shows nothing"
    return chosen[len(chosen) // 3]


def exit_with(expected: TradingSystem, entry: dict[str, Any]) -> dict[str, Any]:
    """Return the exit that was decided on together with an entry."""
    return next(row for row in orders_of(expected, "exit") if row["market_ms"] == entry["market_ms"])


def fail_over(live: TradingSystem, open_ms: int) -> None:
    """Let another worker take the symbol over, and go on far beyond the candle of the frozen one."""
    live.worker(SYMBOL)
    live.wait_until(
        lambda: live.cursor_ms(SYMBOL) >= open_ms + LATER * MINUTE_MS, "the second worker goes on", limit_s=60
    )


def refused_by_the_fence(live: TradingSystem) -> list[int]:
    """Return the open time of the candle of each signal that the fence refused, as the stream of events tells."""
    entries: Any = live.stores().redis.xrange(keys.events(live.settings.namespace))
    events = [json.loads(fields[b"event"]) for _, fields in entries]
    rejected = [event for event in events if event["type"] == "SIGNAL_REJECTED"]
    return [event["market_ms"] for event in rejected if event["details"].get("rule") == "fence"]


@pytest.mark.long
def test_worker_frozen_before_it_decides_is_rejected_by_the_fence_when_it_wakes_up(
    make_system: MakeSystem, files: dict[str, Path], databases: dict[str, str]
) -> None:
    expected = reference(make_system, files)
    entry = entry_amid(expected, is_reversal=False)
    open_ms = decided_open_ms(entry["client_order_id"])
    live = make_system(symbols_of(files), extra=databases)

    with Zombie(live, SYMBOL, BEFORE_DECIDING, str(open_ms)) as zombie:
        live.beat()
        zombie.freeze()
        assert live.stores().ledger.fence(SYMBOL) < open_ms, "it had decided before it was frozen"  # type: ignore[operator]
        fail_over(live, open_ms)
        live.wait_until(zombie.has_lost_its_message, "the visibility time is over", limit_s=VISIBILITY_LIMIT_S)
        sent, rejections = zombie.sent(), refused_by_the_fence(live)
        zombie.wake_up()

        assert zombie.decided()[-1] == f"{open_ms} 0", "the zombie decided once more"
        assert zombie.sent() == sent, "the zombie sent an order"
        assert refused_by_the_fence(live) == [*rejections, open_ms]
        zombie.rejoin()
        live.wait_until(is_done(live, files), "every candle decided", limit_s=120)
    assert_same(live, expected)


@pytest.mark.long
def test_worker_frozen_while_it_holds_the_lock_of_the_account_loses_it_and_writes_nothing(
    make_system: MakeSystem, files: dict[str, Path], postgres_url: str
) -> None:
    expected = reference(make_system, files)
    open_ms = decided_open_ms(entry_amid(expected, is_reversal=False)["client_order_id"])
    live = make_system(symbols_of(files), extra=on_postgresql(postgres_url))

    with Zombie(live, SYMBOL, WHILE_DECIDING, str(open_ms)) as zombie:
        live.beat()
        zombie.freeze()
        fail_over(live, open_ms)
        decided, sent = zombie.decided(), zombie.sent()
        zombie.wake_up()

        assert zombie.ended()[0] == "tasks.execute FAILURE"
        assert (zombie.decided(), zombie.sent()) == (decided, sent)
        zombie.rejoin()
        live.wait_until(is_done(live, files), "every candle decided", limit_s=120)
    assert_same(live, expected)


@pytest.mark.parametrize("is_reversal", [False, pytest.param(True, marks=pytest.mark.long)], ids=["entry", "reversal"])
@pytest.mark.long
def test_worker_frozen_between_claim_and_send_sends_the_same_order_again_when_it_wakes_up(
    make_system: MakeSystem, files: dict[str, Path], *, is_reversal: bool
) -> None:
    expected = reference(make_system, files)
    entry = entry_amid(expected, is_reversal=is_reversal)
    first = exit_with(expected, entry) if is_reversal else entry
    client_order_id, open_ms = first["client_order_id"], decided_open_ms(first["client_order_id"])
    live = make_system(symbols_of(files))

    with Zombie(live, SYMBOL, BEFORE_SENDING, client_order_id) as zombie:
        live.beat()
        zombie.freeze()
        (claimed, *planned) = live.stores().ledger.unsettled(SYMBOL)
        assert (claimed.request.client_order_id, claimed.state.value, claimed.attempt) == (
            client_order_id,
            "submitting",
            1,
        )
        assert [(one.request.client_order_id, one.state.value) for one in planned] == (
            [(entry["client_order_id"], "planned")] if is_reversal else []
        )
        fail_over(live, open_ms)
        (order,) = (row for row in orders_of(live, first["leg"]) if row["client_order_id"] == client_order_id)
        sent = zombie.sent()
        zombie.wake_up()

        assert zombie.sent() == [*sent, f"{client_order_id} {order['venue_order_id']}"], "it is the first order again"
        zombie.rejoin()
        live.wait_until(is_done(live, files), "every candle decided", limit_s=120)
    assert_same(live, expected)


def wake_up_with_a_given_up_order(live: TradingSystem, zombie: Zombie, client_order_id: str) -> None:
    """Freeze it before it sends, have its order given up because of a pause, and let it send all the same."""
    stores = live.stores()
    live.beat()
    zombie.freeze()
    stores.ledger.set_desired(SYMBOL, DesiredState.PAUSED, reason="a person asks for it")
    stores.store.set_desired(SYMBOL, DesiredState.PAUSED)
    fail_over(live, decided_open_ms(client_order_id))
    assert state_of(live, client_order_id) == "canceled"
    with venue_books(live) as venue:
        assert venue.find(client_order_id) is None
    zombie.wake_up()
    assert zombie.sent()[-1].split()[0] == client_order_id, "the zombie did not send: the test shows nothing"


def state_of(system: TradingSystem, client_order_id: str) -> str:
    rows = system.stores().ledger.orders(SYMBOL, limit=100_000)
    return next(str(row["state"]) for row in rows if row["client_order_id"] == client_order_id)


@pytest.mark.long
def test_order_sent_after_it_was_abandoned_is_taken_back_while_it_waits(
    make_system: MakeSystem, files: dict[str, Path]
) -> None:
    entry = entry_amid(reference(make_system, files), is_reversal=False)
    client_order_id = entry["client_order_id"]
    live = make_system(symbols_of(files))

    with Zombie(live, SYMBOL, BEFORE_SENDING, client_order_id) as zombie, venue_books(live) as venue:
        wake_up_with_a_given_up_order(live, zombie, client_order_id)
        with live.client() as app:
            app.send_task("tasks.reconcile", args=[SYMBOL], ignore_result=True)

        def is_taken_back() -> bool:
            order = venue.find(client_order_id)
            return order is not None and order.state.value == "canceled"

        live.wait_until(is_taken_back, "the order is canceled at the venue")
        assert not any(row["client_order_id"] == client_order_id for row in live.stores().ledger.fills(limit=100_000))
        assert state_of(live, client_order_id) == "canceled"
        zombie.rejoin()
    assert_venue_agrees(live)


@pytest.mark.long
def test_order_filled_after_it_was_given_up_is_booked_and_reported(
    make_system: MakeSystem, files: dict[str, Path]
) -> None:
    at_once = {"kind": "paper", "fill_at": "close"}
    entry = entry_amid(reference(make_system, files, venue=at_once), is_reversal=False)
    client_order_id = entry["client_order_id"]
    live = make_system(symbols_of(files, venue=at_once))
    ledger = live.stores().ledger

    with Zombie(live, SYMBOL, BEFORE_SENDING, client_order_id) as zombie:
        wake_up_with_a_given_up_order(live, zombie, client_order_id)
        live.wait_until(lambda: bool(ledger.incidents_of(SYMBOL)), "a person is told")

        (incident,) = ledger.incidents_of(SYMBOL)
        assert incident.kind is IncidentKind.LATE_FILL
        assert incident.details["client_order_id"] == client_order_id
        assert state_of(live, client_order_id) == "filled"
        assert [one.units for one in ledger.positions()] == [1.0 if entry["side"] == "buy" else -1.0]
        zombie.rejoin()
    assert_venue_agrees(live)
