"""The local bus, the outbox that keeps what the world shall hear, and the chronicle that sends it."""

from collections.abc import Sequence

import pytest

from trading.errors import Transient
from trading.events.bus import LocalBus, Outbox
from trading.events.decisions import NO_SIGNAL, CandleDecision, DecisionKind
from trading.events.event import Event, EventType
from trading.events.messages import Message, NewCandle
from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState
from trading.services.batch_commit import BatchCommitter
from trading_orchestrator.testing.candles import START_MS, SYMBOL, make_candles
from trading_orchestrator.testing.flaky_store import FlakyStore

FAILED = Event(type=EventType.DATA_FETCH_FAILED, symbol=SYMBOL, reason="no answer")
FILLED = Event(type=EventType.ORDER_FILLED, symbol=SYMBOL)
CANDLES = make_candles(3)
MESSAGE = NewCandle(
    symbol=SYMBOL,
    timeframe="1m",
    after_ms=0,
    candles=CANDLES.rows(),
    as_of_ms=START_MS + 200_000,
    desired=DesiredState.RUNNING,
    has_exposure=False,
    regime=Regime.UNKNOWN,
)


def close(committer: BatchCommitter) -> None:
    committer.commit(MESSAGE, CANDLES, [NO_SIGNAL] * 3, [Regime.UNKNOWN] * 3)


def test_bus_event_goes_to_the_subscribers_of_its_type_in_the_order_of_subscription() -> None:
    bus, received = LocalBus(), []
    bus.subscribe(lambda event: received.append(("all", event.type)))
    bus.subscribe(lambda event: received.append(("fills", event.type)), EventType.ORDER_FILLED)
    bus.subscribe(lambda event: received.append(("late", event.type)))

    bus.publish(FAILED)
    bus.publish(FILLED)

    assert received == [
        ("all", EventType.DATA_FETCH_FAILED),
        ("late", EventType.DATA_FETCH_FAILED),
        ("all", EventType.ORDER_FILLED),
        ("fills", EventType.ORDER_FILLED),
        ("late", EventType.ORDER_FILLED),
    ]


def test_bus_error_of_a_subscriber_reaches_the_publisher() -> None:
    def refuse(_event: Event | Message) -> None:
        raise RuntimeError("disk full")

    bus = LocalBus()
    bus.subscribe(refuse)

    with pytest.raises(RuntimeError, match="disk full"):
        bus.publish(FILLED)


def test_outbox_keeps_events_and_no_messages_between_stages() -> None:
    bus = LocalBus()
    outbox = Outbox(bus)

    for one in (FAILED, MESSAGE, FILLED):
        bus.publish(one)

    assert outbox.waiting() == (FAILED, FILLED)


def test_outbox_forget_drops_the_oldest_alone() -> None:
    bus = LocalBus()
    outbox = Outbox(bus)
    bus.publish(FAILED)
    seen = outbox.waiting()
    bus.publish(FILLED)

    outbox.forget(len(seen))

    assert outbox.waiting() == (FILLED,)


def test_outbox_reports_what_has_left_and_nothing_where_nothing_has() -> None:
    bus = LocalBus()
    outbox = Outbox(bus)
    left: list[Sequence[Event]] = []
    outbox.on_sent(left.append)
    outbox.forget(0)
    for one in (FAILED, FILLED):
        bus.publish(one)

    outbox.forget(1)
    outbox.forget(1)

    assert left == [[FAILED], [FILLED]]


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_chronicle_when_commits_fail_and_are_repeated_publishes_each_event_once(failures: int) -> None:
    bus, store = LocalBus(), FlakyStore()
    store.failures = [Transient("redis", "no answer")] * failures
    committer = BatchCommitter(store, Outbox(bus))
    bus.publish(FAILED)
    bus.publish(FILLED)

    for _ in range(failures):
        with pytest.raises(Transient):
            close(committer)
    assert store.events == []
    close(committer)
    close(committer)

    assert store.events == [FAILED, FILLED]


def test_chronicle_commits_candles_decisions_and_regimes_together() -> None:
    store = FlakyStore()
    committer = BatchCommitter(store, Outbox(LocalBus()))
    decisions = [(CandleDecision(DecisionKind.ACCEPTED, reason=reason),) for reason in "abc"]

    committer.commit(MESSAGE, CANDLES, decisions, [Regime.RANGING] * 3, has_exposure=False)

    snapshot = store.load(SYMBOL)
    assert (snapshot.cursor_ms, snapshot.has_exposure, snapshot.regime) == (CANDLES.last_open_ms, False, Regime.RANGING)
    assert store.journal(SYMBOL).decisions == decisions
