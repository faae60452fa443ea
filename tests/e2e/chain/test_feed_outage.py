"""A feed fails for ten minutes of market time and comes back: nobody does anything, and no candle is missed.

Minutes last a second here. The strategy turns round at every candle, so each one that is too old shows whether an entry
was taken on it.
"""

import json
from pathlib import Path

import pytest

from adapters import clock
from adapters.redis import keys
from adapters.wiring.symbol_status import read_status
from tests.fixtures.apps.feed_switch import FOLDER, Fault, switch_off, switch_on
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.books import MakeSystem, assert_venue_agrees, open_times, symbols_of
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.market.feed_health import FeedIssue, FeedTroubleKind, feed_issue

FAILING, OTHER = "XAUUSD", "BTCUSD"
MINUTE_MS = 60_000
SPEED = 60.0
OUTAGE_MS = 10 * MINUTE_MS
FRESH_MS = 3 * MINUTE_MS
"""`max_signal_age_s`, which is three timeframes."""
CANDLES = 3_000
HISTORY = 1_500
"""Candles before the market begins: more than the indicators look back."""
TURNS = {"name": "benchmarks.strategies:Flip", "params": {}}

pytestmark = pytest.mark.timeout(300)

KINDS = {
    Fault.NO_ANSWER: FeedTroubleKind.ERROR,
    Fault.EMPTY: FeedTroubleKind.SILENT,
    Fault.REPEATED: FeedTroubleKind.REPEATING,
}


class Market:
    """Two symbols played at one clock, the feed of one of which can be switched off."""

    def __init__(self, make_system: MakeSystem, folder: Path) -> None:
        self._switches = folder / "switches"
        self._switches.mkdir()
        files = {
            name: write_candles(folder / f"{name}.csv", generated_candles(name, CANDLES, seed=at))
            for at, name in enumerate((FAILING, OTHER), 5)
        }
        symbols = symbols_of(files, speed=SPEED, strategy=TURNS)
        self.times = {name: open_times(path) for name, path in files.items()}
        self.system: TradingSystem = make_system(symbols, extra={FOLDER: str(self._switches)})
        self._begun_ms, self._wall_ms = self.times[FAILING][HISTORY], clock.now_ms()
        for name in files:
            key = keys.market_clock(self.system.settings.namespace, name)
            self.system.stores().redis.set(key, json.dumps([self._begun_ms, self._wall_ms]))

    def start(self) -> None:
        self._processes = [self.system.beat()]
        for name in (FAILING, OTHER):
            arguments = ("-A", "tasks", "worker", "-Q", name, "-I", "tests.fixtures.apps.feed_switch")
            self._processes.append(self.system.celery(name, *arguments))

    def stop(self) -> None:
        for process in self._processes:
            process.terminate(20.0)

    def now_ms(self) -> int:
        return self._begun_ms + int((clock.now_ms() - self._wall_ms) * SPEED)

    def fail(self, fault: Fault) -> None:
        switch_on(self._switches, FAILING, fault)

    def heal(self) -> None:
        switch_off(self._switches, FAILING)

    def trouble(self, symbol: str) -> FeedIssue | None:
        """Return what is wrong with a feed, from what Redis holds alone."""
        client, namespace = self.system.stores().redis, self.system.settings.namespace
        status = client.hget(keys.service(namespace, symbol), "DataFetchingService")
        return feed_issue(
            self.system.stores().store.feed(symbol),
            self.system.config.symbols[symbol].feed_terms,
            now_ms=clock.now_ms(),
            fetch=json.loads(status) if status else None,
        )

    def is_in(self, kind: FeedTroubleKind) -> bool:
        found = self.trouble(FAILING)
        return found is not None and found.kind is kind

    def decided(self, symbol: str, count: int) -> bool:
        return len(self.system.journal(symbol)) >= count


def feed_status(system: TradingSystem, symbol: str) -> str:
    """Return what the status says of a feed: its state when the fetch service is sick, else what is wrong."""
    stores, config = system.stores(), system.config
    rows = read_status(stores.redis, stores.ledger, config, system.settings.namespace)
    [row] = [row for row in rows if row.symbol == symbol]
    return row.feed or row.state


def entries(system: TradingSystem, symbol: str) -> list[int]:
    """Return the open times of the candles that an entry was taken on."""
    rows = system.stores().ledger.orders(symbol, limit=100_000)
    return sorted(int(row["correlation_id"].rpartition(":")[2]) for row in rows if row["leg"] == "entry")


@pytest.mark.long
@pytest.mark.parametrize("fault", [Fault.NO_ANSWER, Fault.EMPTY, Fault.REPEATED])
def test_feed_that_fails_for_ten_minutes_is_reported_and_recovers_without_an_operator(
    make_system: MakeSystem, tmp_path: Path, fault: Fault
) -> None:
    market = Market(make_system, tmp_path)
    system, kind = market.system, KINDS[fault]
    market.start()
    system.wait_until(lambda: all(market.decided(name, 5) for name in (FAILING, OTHER)), "both symbols trade")
    assert market.trouble(FAILING) is None

    market.fail(fault)
    failed_ms, other_before_ms = market.now_ms(), system.cursor_ms(OTHER)
    system.wait_until(lambda: market.is_in(kind), f"the feed is told as {kind}")
    system.wait_until(lambda: market.now_ms() >= failed_ms + OUTAGE_MS, "ten minutes pass")

    found = market.trouble(FAILING)
    assert found is not None
    assert (found.kind, found.is_transient) == (kind, True)
    assert found.missing > FRESH_MS // MINUTE_MS
    assert system.cursor_ms(FAILING) <= failed_ms
    assert feed_status(system, FAILING) == ("error" if fault is Fault.NO_ANSWER else f"{kind}: {found.reason}")
    assert market.trouble(OTHER) is None
    assert system.cursor_ms(OTHER) >= other_before_ms + OUTAGE_MS // 2, "the other symbol did not go on meanwhile"

    healed_ms = market.now_ms()
    market.heal()
    system.wait_until(lambda: max(entries(system, FAILING), default=0) > healed_ms, "it enters again")
    system.wait_until(lambda: market.trouble(FAILING) is None, "the feed is well")
    market.stop()

    for name in (FAILING, OTHER):
        journal = list(system.journal(name))
        first = market.times[name].index(journal[0])
        assert journal == market.times[name][first : first + len(journal)], "a candle is missing, or out of order"
    stale_ms = [at for at in system.journal(FAILING) if failed_ms <= at and at + MINUTE_MS < healed_ms - FRESH_MS]
    assert len(stale_ms) >= (OUTAGE_MS - FRESH_MS) // MINUTE_MS - 2, (
        "hardly a candle was too old: the test shows nothing"
    )
    assert not set(stale_ms) & set(entries(system, FAILING))
    rules = {row["open_ms"]: row["rule"] for row in system.stores().ledger.decisions(FAILING, limit=100_000)}
    assert {rules[at] for at in stale_ms} == {"max_signal_age"}
    assert set(stale_ms) <= set(entries(system, OTHER)), "the other symbol took no part in it"
    assert_venue_agrees(system)
