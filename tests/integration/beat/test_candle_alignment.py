"""Ticks aligned to the close of a candle: which symbols are overdue, and how long beat sleeps."""

import json
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from adapters.redis import keys
from beat.overdue import overdue
from tests.fixtures.candle_files import START_MS
from tests.integration.beat.beats import SYMBOLS, Beat

MINUTE_MS = 60_000
ALIGNED = {
    "TRADING__SERVICES__DATA_FETCHING__TICK_ALIGNMENT": "candle_close",
    "TRADING__SERVICES__DATA_FETCHING__TICK_OFFSET": "2.0",
}
NOW_S = START_MS / 1000 + 3_600.0
"""A whole minute."""


@pytest.mark.parametrize(
    ("behind_s", "is_late"), [(60.0, False), (61.9, False), (62.0, True), (3_600.0, True), (None, True)]
)
@pytest.mark.parametrize("played_since_s", [None, 500.0])
def test_symbol_is_overdue_when_the_candle_after_its_last_one_closed_longer_ago_than_the_offset(
    make_beat: Callable[..., Beat], behind_s: float | None, is_late: bool, played_since_s: float | None
) -> None:
    """`behind_s`: seconds since the close of the last candle decided; `played_since_s`: since the market was begun."""
    beat = make_beat(**ALIGNED)
    namespace, symbol = beat.system.settings.namespace, SYMBOLS[0]
    wall_s = NOW_S
    if played_since_s is not None:
        wall_s = NOW_S + 12_345.6
        anchor = [int((NOW_S - played_since_s) * 1000), int((wall_s - played_since_s) * 1000)]
        beat.client.set(keys.market_clock(namespace, symbol), json.dumps(anchor))
    if behind_s is not None:
        cursor_ms = int((NOW_S - behind_s) * 1000) - MINUTE_MS
        beat.client.hset(keys.state(namespace, symbol), "cursor_ms", cursor_ms)

    found = overdue(beat.client, namespace, beat.system.config, [symbol], wall_s)

    assert found == ({symbol} if is_late else set())


def test_symbol_is_not_overdue_while_its_market_is_closed(make_beat: Callable[..., Beat]) -> None:
    beat = make_beat(**ALIGNED)
    session = {"kind": "weekly", "timezone": "UTC", "opens": "mon 02:00", "closes": "fri 17:00"}
    config = beat.system.config.symbols["XAUUSD"]
    weekly = config.model_validate({**config.model_dump(exclude_unset=True), "session": session})
    system = beat.system.config.model_copy(update={"symbols": {"XAUUSD": weekly}})

    def late(at_s: float) -> bool:
        return bool(overdue(beat.client, beat.system.settings.namespace, system, ["XAUUSD"], at_s))

    assert (late(START_MS / 1000 + 7_000.0), late(START_MS / 1000 + 7_400.0)) == (False, True)


def test_beat_aligned_to_the_close_sends_further_ticks_only_to_symbols_that_wait_for_a_candle(
    make_beat: Callable[..., Beat],
) -> None:
    beat = make_beat(
        **ALIGNED, TRADING__SERVICES__DATA_FETCHING__FETCH_INTERVAL="0.05", TRADING__SYMBOLS__XAUUSD__TIMEFRAME="1d"
    )
    namespace = beat.system.settings.namespace
    beat.client.hset(keys.state(namespace, "BTCUSD"), "cursor_ms", 2**50)
    beat.tick()
    assert Counter(one.kind for one in beat.sent("XAUUSD")) == {"tick": 1, "reconcile": 1}, "not two at once"

    def again(symbol: str) -> int:
        return sum(one.kind == "again" for one in beat.sent(symbol))

    beat.system.wait_until(lambda: beat.tick() >= 0 and again("XAUUSD") >= 3, "further ticks")

    assert again("BTCUSD") == 0, "its candles are all decided"
    assert sum(one.kind == "tick" for one in beat.sent("XAUUSD")) == 1


def test_beat_whose_symbols_wait_for_nothing_sleeps_until_something_is_due(
    make_beat: Callable[..., Beat], monkeypatch: pytest.MonkeyPatch
) -> None:
    beat = make_beat(**ALIGNED)
    amid_a_minute = SimpleNamespace(time=lambda: NOW_S + 30.0, monotonic=time.monotonic)
    monkeypatch.setattr("beat.scheduler.time", amid_a_minute)
    for symbol in SYMBOLS:
        beat.client.hset(keys.state(beat.system.settings.namespace, symbol), "cursor_ms", 2**50)

    assert 0.0 < beat.tick() <= 32.0
