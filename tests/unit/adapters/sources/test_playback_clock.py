"""Market time, and its agreement between several processes."""

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from adapters.clock import now_ms
from adapters.redis.client import connect
from adapters.sources.playback_clock import AnchorStore, MarketClock, MemoryAnchorStore, RedisAnchorStore, Speed
from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import Transient
from trading_orchestrator.testing.manual_clock import WALL_MS, ManualClock

START_MS = 1_750_000_000_000
BAR_MS = 60_000


def market(wall: ManualClock, speed: Speed, anchors: AnchorStore | None = None) -> MarketClock:
    return MarketClock(
        speed,
        start_ms=START_MS,
        close_of=lambda open_ms: open_ms + BAR_MS,
        now_ms=wall,
        anchors=MemoryAnchorStore() if anchors is None else anchors,
    )


def test_clock_at_full_speed_has_no_position() -> None:
    assert market(ManualClock(), "max").position_ms(None) is None


def test_clock_first_read_stands_at_the_start() -> None:
    assert market(ManualClock(), 1.0).position_ms(None) == START_MS


def test_clock_first_read_with_a_cursor_stands_at_the_close_of_its_candle() -> None:
    assert market(ManualClock(), 1.0).position_ms(START_MS + 5 * BAR_MS) == START_MS + 6 * BAR_MS


@pytest.mark.parametrize(("speed", "market_ms"), [(1.0, 1_500), (60, 90_000), (0.5, 750), (0.001, 1)])
def test_clock_after_a_while_has_gone_on_by_speed(speed: float, market_ms: int) -> None:
    wall = ManualClock()
    clock = market(wall, speed)
    clock.position_ms(None)
    wall.now_ms += 1_500

    assert clock.position_ms(None) == START_MS + market_ms


def test_clock_running_takes_no_notice_of_the_cursor() -> None:
    wall = ManualClock()
    clock = market(wall, 60)
    clock.position_ms(None)
    wall.now_ms += 1_000

    assert clock.position_ms(START_MS + 1_000 * BAR_MS) == START_MS + 60_000


def test_clock_of_a_host_that_is_behind_stands_at_the_anchor() -> None:
    wall = ManualClock()
    anchors = MemoryAnchorStore()
    market(wall, 60, anchors).position_ms(None)
    wall.now_ms -= 5_000

    assert market(wall, 60, anchors).position_ms(None) == START_MS


def test_clock_with_its_anchor_cleared_continues_from_the_cursor() -> None:
    wall = ManualClock()
    anchors = MemoryAnchorStore()
    market(wall, 60, anchors).position_ms(None)
    wall.now_ms += 3_600_000
    anchors.clear()

    assert market(wall, 60, anchors).position_ms(START_MS) == START_MS + BAR_MS


@given(st.floats(0.001, 10_000), st.lists(st.integers(0, 10_000_000), min_size=1, max_size=20))
def test_clocks_over_one_anchor_agree_and_never_go_back(speed: float, waits_ms: list[int]) -> None:
    wall = ManualClock()
    anchors = MemoryAnchorStore()
    first, second = market(wall, speed, anchors), market(wall, speed, anchors)
    before = START_MS
    for wait_ms in waits_ms:
        wall.now_ms += wait_ms
        position = first.position_ms(None)
        assert position is not None
        assert position >= before
        assert second.position_ms(START_MS + BAR_MS) == position
        before = position


@pytest.mark.parametrize("speed", [0, -1.0, float("nan"), float("inf"), "fast"])
def test_clock_with_a_speed_that_is_none_is_rejected_by_name(speed: Speed) -> None:
    with pytest.raises(ValueError, match=r"speed .*expected 'max' or a number above 0"):
        market(ManualClock(), speed)


def test_now_read_twice_is_a_time_of_this_century_and_does_not_go_back() -> None:
    first = now_ms()

    assert 1_600_000_000_000 < first <= now_ms() < 4_102_444_800_000


def test_redis_anchor_set_by_two_keeps_the_first(redis_url: str) -> None:
    one, other = (RedisAnchorStore(connect(redis_url), "market:XAUUSD") for _ in range(2))
    assert one.get() is None

    assert one.set_if_absent((START_MS, WALL_MS)) == (START_MS, WALL_MS)
    assert other.set_if_absent((1, 2)) == (START_MS, WALL_MS)
    assert other.get() == (START_MS, WALL_MS)


def test_redis_anchor_of_another_market_is_another(redis_url: str) -> None:
    client = connect(redis_url)
    RedisAnchorStore(client, "market:XAUUSD").set_if_absent((1, 2))

    assert RedisAnchorStore(client, "market:BTCUSD").get() is None


def test_redis_anchor_read_by_a_client_that_decodes_is_the_same(redis_url: str) -> None:
    RedisAnchorStore(connect(redis_url), "market").set_if_absent((1, 2))
    decoding = redis.Redis.from_url(redis_url, decode_responses=True)

    assert RedisAnchorStore(decoding, "market").get() == (1, 2)
    decoding.close()


def test_redis_anchor_cleared_lets_the_market_start_again(redis_url: str) -> None:
    anchors = RedisAnchorStore(connect(redis_url), "market")
    wall = ManualClock()
    market(wall, 60, anchors).position_ms(None)
    anchors.clear()
    wall.now_ms += 1_000

    assert market(wall, 60, anchors).position_ms(START_MS + BAR_MS) == START_MS + 2 * BAR_MS


def test_redis_anchor_without_its_server_is_transient(own_redis: RedisServer) -> None:
    anchors = RedisAnchorStore(connect(own_redis.url), "market")
    own_redis.kill()

    for method_call in (anchors.get, anchors.clear, lambda: anchors.set_if_absent((1, 2))):
        with pytest.raises(Transient, match="redis"):
            method_call()
