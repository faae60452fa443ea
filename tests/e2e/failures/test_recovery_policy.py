"""Unhealthy symbols next to a healthy one, on real workers: the recovery steps of each, their order and their times.

All of them are unhealthy at the same time, so that each test waits for what has begun already.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from kombu.transport.redis import Channel

from adapters.redis.symbol_records import RedisSymbolRecords
from adapters.sources.file import read_candles
from tasks.engine.routing import PRIORITY_STEPS
from tasks.engine.send_tick import send_tick
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from tests.fixtures.strategies.moody import DIES, HANGS, RAISES, WELL
from trading.events.event import Event, EventType
from trading.orchestration.diagnosis import QUEUE_LIMIT
from trading.orchestration.symbol_port import SymbolRecord

SPEED = 60
"""A candle a second."""

HEALTHY, UNSERVED = "HEALTHY", "UNSERVED"
EVENTS = 10_000
FLOOD, LONG_S = 300, 3_600
"""Ticks sent at each look, and the seconds after which they expire."""

NOTED = {
    EventType.SERVICE_STOPPED: "service restart",
    EventType.SYMBOL_RESTARTED: "symbol restart",
    EventType.ORCHESTRATOR_QUARANTINED: "quarantine",
}
WHOLE_LADDER = ["service restart"] * 3 + ["symbol restart", "quarantine"]

pytestmark = pytest.mark.timeout(400)


@dataclass
class Ward:
    """A running system whose symbols a test can make unhealthy."""

    system: TradingSystem
    moods: Path

    def infect(self, symbol: str, mood: str) -> None:
        (self.moods / symbol).write_text(mood, encoding="utf-8")

    def events(self, symbol: str) -> list[tuple[int, Event]]:
        """Return a symbol's events with the wall time of each, oldest first."""
        recent = self.system.stores().bus.recent(EVENTS)
        return [(at_ms, event) for _, at_ms, event in recent if event.symbol == symbol]

    def actions(self, symbol: str) -> list[tuple[int, str, Event]]:
        """Return what was done about a symbol: (wall time, what, its event), oldest first."""
        return [(at_ms, NOTED[event.type], event) for at_ms, event in self.events(symbol) if event.type in NOTED]

    def course(self, symbol: str) -> list[str]:
        return [action for _, action, _ in self.actions(symbol)]

    def standing(self, symbol: str) -> SymbolRecord:
        return RedisSymbolRecords(self.system.stores().redis, "trading").read(symbol)

    def units(self, symbol: str) -> float:
        return sum(one.units for one in self.system.stores().ledger.positions() if one.symbol == symbol)

    def has_position(self, symbol: str) -> bool:
        return self.units(symbol) != 0

    def journal(self, symbol: str) -> list[int]:
        return list(self.system.journal(symbol))

    def missing(self, symbol: str) -> list[int]:
        """Return the candles of the symbol's market that were passed over."""
        decided = self.journal(symbol)
        market = read_candles(self.moods.parent / f"{symbol}.csv", timeframe="1m").open_ms.tolist()
        return [at_ms for at_ms in market if decided[0] <= at_ms <= decided[-1] and at_ms not in set(decided)]

    def depth(self, symbol: str) -> int:
        """Return how many messages wait in a symbol's queue."""
        names = [f"{symbol}{Channel.sep}{step}" if step else symbol for step in PRIORITY_STEPS]
        redis: Any = self.system.stores().redis
        return sum(redis.llen(name) for name in names)

    def wait_for_action(self, symbol: str, action: str, *, limit_s: float) -> None:
        self.system.wait_until(lambda: action in self.course(symbol), f"{action} of {symbol}", limit_s=limit_s)


def open_ward(folder: Path, server: RedisServer, sick: Mapping[str, str], *, unserved: bool) -> Iterator[Ward]:
    """Run symbols until the chosen ones hold a position, then make those unhealthy."""
    moods = folder / "moods"
    moods.mkdir()
    symbols = {}
    for name in (HEALTHY, *sick, *([UNSERVED] if unserved else [])):
        path = write_candles(folder / f"{name}.csv", generated_candles(name, 3_000))
        strategy = {"name": "tests.fixtures.strategies.moody:Moody", "params": {"mood": str(moods / name)}}
        symbols[name] = file_symbol(path, speed=SPEED, strategy=strategy, on_quarantine="flatten")
    quick = {"TRADING__ORCHESTRATOR__HEALTH_CHECK_INTERVAL": "1"}
    system = TradingSystem(folder / "system", server, symbols, extra=quick)
    ward = Ward(system, moods)
    try:
        for name in (HEALTHY, *sick, "control"):
            system.worker(name)
        system.beat()
        system.wait_until(lambda: all(map(ward.has_position, (HEALTHY, *sick))), "positions", limit_s=120)
        for name, mood in sick.items():
            ward.infect(name, mood)
        yield ward
    finally:
        system.stop()


@pytest.fixture
def ward(tmp_path: Path, own_redis: RedisServer) -> Iterator[Ward]:
    yield from open_ward(tmp_path, own_redis, {"RAISING": RAISES}, unserved=True)


@pytest.fixture
def flooded_ward(tmp_path: Path, own_redis: RedisServer) -> Iterator[Ward]:
    yield from open_ward(tmp_path, own_redis, {"FLOODED": WELL}, unserved=False)


@pytest.fixture
def full_ward(tmp_path: Path, own_redis: RedisServer) -> Iterator[Ward]:
    yield from open_ward(tmp_path, own_redis, {"HANGING": HANGS, "DYING": DIES}, unserved=False)


@pytest.mark.long
def test_strategy_that_always_raises_is_restarted_quarantined_flattened_and_brought_back(ward: Ward) -> None:
    symbol, ledger = "RAISING", ward.system.stores().ledger
    before = len(ward.journal(HEALTHY))
    ward.wait_for_action(symbol, "quarantine", limit_s=90)

    assert ward.course(symbol) == WHOLE_LADDER
    reasons = [event.reason for _, action, event in ward.actions(symbol) if action == "service restart"]
    fault = f"StrategyFault: {symbol}: strategy tests.fixtures.strategies.moody:Moody: signals from the candle "
    assert [reason.partition(fault)[0] for reason in reasons] == [f"restart {number} of 3: " for number in (1, 2, 3)]
    assert len({reason.partition(fault)[2] for reason in reasons}) == 1
    at_s = [at_ms / 1000 for at_ms, _, _ in ward.actions(symbol)]
    waits_s = [later - earlier for earlier, later in pairwise(at_s)]
    assert all(wait_s >= least_s for wait_s, least_s in zip(waits_s, (0.9, 1.9, 3.9, 7.9), strict=True)), waits_s
    assert ledger.quarantine(symbol) == "flatten"
    [incident] = [row for row in ledger.incidents(symbol) if row["kind"] == "quarantined"]
    assert f"3 service and 1 symbol restart(s) did not help: {fault}" in incident["reason"]
    assert ": ValueError: in a bad mood; " in incident["reason"]

    ward.system.wait_until(lambda: not ward.has_position(symbol), "the position is closed, as its policy says")
    decided = ward.journal(symbol)
    ward.infect(symbol, WELL)
    with ward.system.client() as app:
        answer = app.send_task("tasks.clear_quarantine", [symbol, "mood lifted"]).get(timeout=60)
    assert answer["was_quarantined"]
    ward.system.wait_until(lambda: ward.standing(symbol).state.value == "running", "it runs again")
    ward.system.wait_until(lambda: ward.has_position(symbol), "it trades again")
    assert ward.journal(symbol)[: len(decided)] == decided
    assert ward.missing(symbol) == []
    assert ledger.incidents(symbol) == []

    assert ward.course(HEALTHY) == []
    assert ward.missing(HEALTHY) == []
    assert len(ward.journal(HEALTHY)) >= before + 15, "a candle a second, all the while"

    [published] = ledger.incidents(UNSERVED)
    assert (published["kind"], published["reason"]) == ("sick", "no worker consumes its queue")
    assert not published["halts"]
    ward.system.worker(UNSERVED)
    ward.system.wait_until(lambda: not ledger.incidents(UNSERVED), "a worker has come, and the incident is over")
    assert ward.course(UNSERVED) == []


@pytest.mark.long
def test_steps_that_hang_and_processes_that_die_climb_the_ladder_beside_a_symbol_that_trades_on(
    full_ward: Ward,
) -> None:
    before = len(full_ward.journal(HEALTHY))
    for symbol in ("DYING", "HANGING"):
        full_ward.wait_for_action(symbol, "quarantine", limit_s=240)
        assert full_ward.course(symbol) == WHOLE_LADDER

    causes = {symbol: full_ward.actions(symbol)[0][2].details["cause"] for symbol in ("DYING", "HANGING")}
    assert causes == {"DYING": "step_lost", "HANGING": "step_hung"}
    assert full_ward.course(HEALTHY) == []
    assert full_ward.missing(HEALTHY) == []
    assert len(full_ward.journal(HEALTHY)) >= before + 15


@pytest.mark.long
def test_queue_that_is_flooded_is_emptied_beside_a_symbol_that_trades_on(flooded_ward: Ward) -> None:
    symbol, system = "FLOODED", flooded_ward.system
    before, sent = len(flooded_ward.journal(HEALTHY)), 0
    with system.client() as client:

        def is_restarted() -> bool:
            nonlocal sent
            for _ in range(FLOOD):
                send_tick(client, symbol, tick_id=f"tick:{symbol}:{sent}", life_s=LONG_S)
                sent += 1
            return bool(flooded_ward.actions(symbol))

        system.wait_until(is_restarted, "the flooded symbol is restarted", limit_s=60)

    _, action, event = flooded_ward.actions(symbol)[0]
    assert (action, event.details["cause"]) == ("symbol restart", "queue_grows")
    system.wait_until(lambda: flooded_ward.depth(symbol) < QUEUE_LIMIT, "its queue is short again")
    system.wait_until(lambda: flooded_ward.standing(symbol).state.value == "running", "it is well again")
    assert flooded_ward.missing(symbol) == []
    assert flooded_ward.course(HEALTHY) == []
    assert flooded_ward.missing(HEALTHY) == []
    assert len(flooded_ward.journal(HEALTHY)) > before
