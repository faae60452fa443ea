"""The symbol store in Redis: the contract, and what only Redis can show."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from sqlalchemy.engine import Engine

from adapters.ledger.ledger import SqlLedger
from adapters.redis import keys
from adapters.redis.client import connect
from adapters.symbol_store.redis import RedisSymbolStore
from adapters.wiring.symbol_status import read_status
from tests.fakes import planned, system_config
from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import Transient
from trading.events.decisions import NO_SIGNAL, decode, describe
from trading.events.event import Event
from trading.market.feed_health import FeedSnapshot
from trading.structs import replace
from trading_orchestrator.testing.candles import at_place
from trading_orchestrator.testing.contracts.store import SymbolStoreContract
from trading_orchestrator.testing.contracts.store.examples import FILLED, SYMBOL, begin, commit_of

NAMESPACE = "contract"
LIMIT = 30
WALL_MS = 1_800_000_000_000


@dataclass
class InRedis:
    client: redis.Redis
    window_limit: int = LIMIT
    wall_ms: int = WALL_MS

    def __post_init__(self) -> None:
        self.store = RedisSymbolStore(
            self.client,
            NAMESPACE,
            window_limit=LIMIT,
            journal_limit=1_000,
            events_limit=1_000,
            now_ms=lambda: self.wall_ms,
        )

    def journal(self, symbol: str) -> dict[int, str]:
        entries: Any = self.client.xrange(keys.journal(NAMESPACE, symbol))
        return {int(entry.split(b"-")[0]): describe(decode(fields[b"decisions"])) for entry, fields in entries}

    def events(self) -> list[Event]:
        entries: Any = self.client.xrange(keys.events(NAMESPACE))
        return [Event.model_validate_json(fields[b"event"]) for _, fields in entries]


@pytest.fixture
def in_redis(redis_url: str) -> Iterator[InRedis]:
    client = connect(redis_url)
    yield InRedis(client)
    client.close()


class TestRedisSymbolStore(SymbolStoreContract):
    @pytest.fixture
    def kept(self, in_redis: InRedis) -> InRedis:
        return in_redis


def test_redis_commit_sends_each_event_to_the_channel_too(in_redis: InRedis) -> None:
    begin(in_redis.store)
    channel = in_redis.client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    channel.subscribe(keys.events(NAMESPACE))
    channel.get_message(timeout=60)
    in_redis.store.commit(commit_of(10, 10), [FILLED])

    received = channel.get_message(timeout=60)

    channel.close()
    assert received is not None
    assert Event.model_validate_json(received["data"]) == FILLED


def test_redis_commit_after_the_state_was_lost_keeps_what_the_journal_recorded(in_redis: InRedis) -> None:
    begin(in_redis.store)
    in_redis.store.commit(commit_of(10, 14), [])
    in_redis.client.delete(keys.state(NAMESPACE, SYMBOL), keys.window(NAMESPACE, SYMBOL))
    begin(in_redis.store, 11)

    assert in_redis.store.commit(commit_of(12, 16, text="again"), []) == 5

    texts = {at_place(place): f"{'decided' if place < 15 else 'again'} {place}" for place in range(10, 17)}
    assert in_redis.journal(SYMBOL) == texts
    assert in_redis.store.load(SYMBOL).cursor_ms == at_place(16)


def test_status_shows_the_last_decisions_and_the_last_action(in_redis: InRedis, engine: Engine) -> None:
    system, ledger = system_config(planned({})), SqlLedger(engine, "main", 1_000.0)

    def shown() -> tuple[str, str, int | None]:
        (row,) = read_status(in_redis.client, ledger, system, NAMESPACE)
        return row.decision, row.last_action, row.last_action_ms

    begin(in_redis.store)
    old: Any = {"decision": "no signal", "said": "buy at 5: crossed", "said_ms": "60000"}
    in_redis.client.hset(keys.state(NAMESPACE, SYMBOL), mapping=old)
    assert shown() == ("no signal", "buy at 5: crossed", 60_000), "as version 0.1.0 left them"
    in_redis.store.commit(replace(commit_of(10, 10), decisions=[NO_SIGNAL]), [])
    assert shown() == ("no signal", "buy at 5: crossed", 60_000)
    in_redis.store.commit(commit_of(11, 11), [])
    in_redis.store.commit(replace(commit_of(12, 12), decisions=[NO_SIGNAL]), [])
    assert shown() == ("no signal", "decided 11", at_place(11))


def test_redis_state_that_lacks_a_part_counts_as_unknown(in_redis: InRedis) -> None:
    begin(in_redis.store)
    in_redis.client.delete(keys.state(NAMESPACE, SYMBOL))
    in_redis.store.commit(commit_of(10, 10), [])

    assert in_redis.store.load(SYMBOL).cursor_ms is None


def test_redis_that_died_is_transient_in_every_method(own_redis: RedisServer) -> None:
    client = connect(own_redis.url)
    store = InRedis(client).store
    begin(store)
    own_redis.kill()

    for method_call in (
        lambda: store.load(SYMBOL),
        lambda: store.window(SYMBOL, 5, until_ms=at_place(9)),
        lambda: begin(store),
        lambda: store.mark_exposed(SYMBOL),
        lambda: store.request_restart(SYMBOL),
        lambda: store.record_fetch(SYMBOL, FeedSnapshot(at_place(9), at_place(8))),
        lambda: store.feed(SYMBOL),
        lambda: store.commit(commit_of(10, 10), []),
    ):
        with pytest.raises(Transient):
            method_call()
    client.close()


def test_redis_restarted_has_what_was_committed(own_redis: RedisServer) -> None:
    client = connect(own_redis.url)
    kept = InRedis(client)
    begin(kept.store)
    kept.store.commit(commit_of(10, 12), [FILLED])
    own_redis.restart()

    assert kept.store.load(SYMBOL).cursor_ms == at_place(12)
    assert kept.store.commit(commit_of(13, 13), []) == 1
    assert kept.events() == [FILLED]
    client.close()
