"""Messages that no step sent: a real worker rejects them, records that, and decides on the true candle next."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from adapters import clock
from adapters.redis import keys
from adapters.wiring.symbol_status import SymbolStatus, read_status
from tasks.engine.send_tick import send_tick
from tasks.engine.signatures import SIGNATURE_HEADER, signature_of
from tasks.orchestrators.factory import MultiSymbolTradingOrchestrator
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import InvalidMessage
from trading.events.decisions import CandleDecision, DecisionKind
from trading.events.event import EventType
from trading.events.messages import IndicatorsUpdated, Message, NewCandle, SignalGenerated
from trading.indicators.regime import Regime
from trading.indicators.rows import IndicatorRows
from trading.lifecycle import DesiredState
from trading.market.candles import CLOSE, Candles
from trading.orchestration.symbol_orchestrator import SymbolHealth
from trading.strategies.signal import Signal, SignalSide

SYMBOL, OTHER = "XAUUSD", "BTCUSD"
YEAR_2200_MS = 7_258_118_400_000
FOREVER_MS = 2**52
WARM = 12
STILL = 1e-6
"""A market that stands still: the test moves it, by its anchor in Redis."""
MINUTE_MS = 60_000


class Forger:
    """Someone who can write to Redis, and a worker that consumes the queues of two symbols."""

    def __init__(self, system: TradingSystem, client: Celery, history: Candles) -> None:
        self.system = system
        self.client = client
        self.history = history
        self.stores = system.stores()

    def tick(self, symbol: str = SYMBOL) -> None:
        """Let the market show one more candle, send a true tick, and wait until the candle is decided."""
        before = self.system.cursor_ms(symbol)
        self.show(symbol)
        send_tick(self.client, symbol, tick_id=f"tick:{symbol}:{uuid.uuid4()}", life_s=60)
        self.system.wait_until(lambda: self.system.cursor_ms(symbol) > before, f"a decided candle of {symbol}")

    def show(self, symbol: str = SYMBOL) -> None:
        """Let the market show the candle after the last decided one."""
        before = self.system.cursor_ms(symbol)
        market_ms = (before or self.history.last_open_ms - (len(self.history) - 1) * MINUTE_MS) + 2 * MINUTE_MS
        anchor = json.dumps([market_ms, clock.now_ms()])
        self.stores.redis.set(keys.market_clock(self.system.settings.namespace, symbol), anchor)

    def next_candle(self) -> Candles:
        """Return the candle that a true message would hold."""
        return self.history.after(self.system.cursor_ms(SYMBOL))[:1]

    def carried(self, candles: Candles, **changes: Any) -> dict[str, Any]:
        fields = {
            "symbol": SYMBOL,
            "timeframe": "1m",
            "after_ms": self.system.cursor_ms(SYMBOL),
            "candles": candles,
            "as_of_ms": candles.last_open_ms + MINUTE_MS,
            "newest_ms": candles.last_open_ms,
            "desired": DesiredState.RUNNING,
            "has_exposure": True,
        }
        return fields | changes

    def signals(self, candles: Candles, *, signal: dict[str, Any] | None = None, **changes: Any) -> SignalGenerated:
        """Return a message that buys at the close of the last candle."""
        fields: dict[str, Any] = {
            "strategy": "sma_cross",
            "open_ms": candles.last_open_ms,
            "side": SignalSide.BUY,
            "price": float(candles.values[-1, CLOSE]),
            "reason": "forged",
        }
        decided = [(CandleDecision(DecisionKind.NO_SIGNAL),)] * len(candles)
        return SignalGenerated(
            **self.carried(candles, **changes),
            signals=[Signal(**fields | (signal or {}))],
            regimes=[Regime.UNKNOWN] * len(candles),
            decisions=decided,
        )

    def new_candle(self, candles: Candles, **changes: Any) -> NewCandle:
        return NewCandle(**self.carried(candles, **changes), regime=Regime.UNKNOWN)

    def updated(self, candles: Candles, **changes: Any) -> IndicatorsUpdated:
        spec = self.system.pipeline(SYMBOL).indicators._shared.columns
        rows = IndicatorRows.from_rows(
            spec, [[int(candles.last_open_ms), float(candles.values[-1, CLOSE]), *[1.0] * len(spec)]]
        )
        return IndicatorsUpdated(**self.carried(candles, **changes), rows=rows, regimes=[Regime.UNKNOWN])

    def send(
        self, task: str, message: Message | str, *, symbol: Any = SYMBOL, is_signed: bool = True, **options: Any
    ) -> Any:
        """Send a message to a step; `is_signed` with the key of the ledger, which a forger does not have."""
        text = message if isinstance(message, str) else message.model_dump_json()
        headers = dict(options.pop("headers", {}))
        if is_signed:
            key = self.stores.ledger.message_key()
            headers[SIGNATURE_HEADER] = signature_of(key, task=task, symbol=symbol, deadline_ms=FOREVER_MS, text=text)
        kwargs = {"message": text, "symbol": symbol, "deadline_ms": FOREVER_MS}
        return self.client.send_task(task, kwargs=kwargs, headers=headers, ignore_result=False, **options)

    def rejects(self, rule: str, task: str, message: Message | str, *, owner: str = SYMBOL, **options: Any) -> None:
        """Send a message, and check that it moves nothing, is recorded, and that the true candle is decided next.

        Args:
            owner: The symbol of the queue, which gets the incident.
        """
        books, count, event_count = (
            self.books(),
            self.rejected_count(owner),
            self.event_count(EventType.MESSAGE_REJECTED),
        )
        self.show()
        answer = self.send(task, message, **options)

        with pytest.raises(InvalidMessage) as error:
            answer.get(timeout=60)

        assert error.value.rule == rule
        assert self.books() == books
        [incident] = [row for row in self.stores.ledger.incidents(owner) if row["key"] == f"{task}:{rule}"]
        assert (incident["kind"], incident["halts"]) == ("message_rejected", False)
        assert self.rejected_count(owner) == count + 1
        assert self.event_count(EventType.MESSAGE_REJECTED) == event_count + 1
        self.tick()
        assert self.system.cursor_ms(SYMBOL) == books["cursor"] + MINUTE_MS

    def books(self) -> dict[str, Any]:
        """Return all that a message could have moved."""
        ledger = self.stores.ledger
        return {
            "cursor": self.system.cursor_ms(SYMBOL),
            "fence": ledger.fence(SYMBOL),
            "decisions": ledger.decisions(SYMBOL),
            "orders": ledger.orders(SYMBOL),
            "journal": list(self.system.journal(SYMBOL)),
            "desired": ledger.desired(SYMBOL),
        }

    def status(self) -> SymbolStatus:
        system = self.system
        [row] = read_status(
            self.stores.redis, self.stores.ledger, system.config, system.settings.namespace, names=[SYMBOL]
        )
        return row

    def health(self) -> SymbolHealth:
        return MultiSymbolTradingOrchestrator.connect(self.system.settings).check_health()["symbols"][SYMBOL]

    def rejected_count(self, symbol: str = SYMBOL) -> int:
        found: Any = self.stores.redis.hgetall(keys.service(self.system.settings.namespace, symbol))
        counts = {name.decode(): json.loads(text)["rejected_count"] for name, text in found.items()}
        return sum(counts.values())

    def event_count(self, kind: EventType) -> int:
        return sum(event.type is kind for _, _, event in self.stores.bus.recent(1_000))

    def push(self, queue: str, item: str) -> None:
        """Put an item into a queue as anybody can who can write to Redis."""
        self.stores.redis.lpush(queue, item)


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    """One worker for all tests of the module: none of them may stop it."""
    folder = tmp_path_factory.mktemp("forged")
    server = RedisServer(folder / "redis").start()
    history = generated_candles(SYMBOL, 300)
    path = write_candles(folder / "gold.csv", history)
    system = TradingSystem(
        folder / "system", server, {name: file_symbol(path, speed=STILL) for name in (SYMBOL, OTHER)}
    )
    system.worker(SYMBOL, OTHER)
    with system.client() as client:
        forger = Forger(system, client, history)
        for _ in range(WARM):
            forger.tick()
        yield forger
    system.stop()
    server.stop()


def test_execute_message_that_nobody_signed_trades_nothing(forger: Forger) -> None:
    forger.rejects("message_signature", "tasks.execute", forger.signals(forger.next_candle()), is_signed=False)


def test_rejected_message_is_visible_in_status_and_health_until_it_is_resolved(forger: Forger) -> None:
    with pytest.raises(InvalidMessage, match="message_format"):
        forger.send("tasks.strategy", "no JSON").get(timeout=60)

    assert "message_rejected" in forger.status().rejected
    assert forger.status().state == "warming_up"
    health = forger.health()
    assert not health["is_healthy"]
    assert "message_rejected" in [one["kind"] for one in health["sicknesses"]]
    for row in forger.stores.ledger.incidents(SYMBOL):
        forger.stores.ledger.resolve_incident(row["id"], "passwords changed")
    forger.tick()
    assert forger.status().rejected == ""
    assert forger.health()["is_healthy"]


def test_execute_message_signed_for_another_text_trades_nothing(forger: Forger) -> None:
    true = forger.signals(forger.next_candle())
    key = forger.stores.ledger.message_key()
    signature = signature_of(
        key, task="tasks.execute", symbol=SYMBOL, deadline_ms=FOREVER_MS, text=true.model_dump_json()
    )
    forged = forger.signals(forger.next_candle(), signal={"size_units": 1e6})

    headers = {SIGNATURE_HEADER: signature}
    forger.rejects("message_signature", "tasks.execute", forged, is_signed=False, headers=headers)


@pytest.mark.parametrize("task", ["tasks.indicators", "tasks.strategy", "tasks.execute"])
def test_candle_of_the_year_2200_moves_neither_cursor_nor_fence(forger: Forger, task: str) -> None:
    candle = Candles(forger.next_candle().open_ms * 0 + YEAR_2200_MS, forger.next_candle().values)
    make = {"tasks.indicators": forger.new_candle, "tasks.strategy": forger.updated, "tasks.execute": forger.signals}

    forger.rejects("message_time", task, make[task](candle))


def test_message_of_another_symbol_is_rejected(forger: Forger) -> None:
    forger.rejects("message_symbol", "tasks.execute", forger.signals(forger.next_candle(), symbol=OTHER))


def test_price_that_is_not_the_close_of_its_candle_is_rejected(forger: Forger) -> None:
    message = forger.signals(forger.next_candle(), signal={"price": 1.0})

    forger.rejects("message_signal", "tasks.execute", message)


def test_strategy_that_is_not_configured_is_rejected(forger: Forger) -> None:
    message = forger.signals(forger.next_candle(), signal={"strategy": "../../etc/passwd"})

    forger.rejects("message_strategy", "tasks.execute", message)


def test_text_that_is_no_message_is_rejected(forger: Forger) -> None:
    forger.rejects("message_format", "tasks.execute", '{"type": "SIGNAL_GENERATED", "symbol": 3}')


def test_step_through_the_queue_of_another_symbol_is_rejected(forger: Forger) -> None:
    forger.rejects("message_queue", "tasks.execute", forger.signals(forger.next_candle()), owner=OTHER, queue=OTHER)


@pytest.mark.parametrize("task", ["tasks.flatten", "tasks.reconcile"])
def test_task_that_queries_the_venue_is_rejected_outside_of_its_symbols_queue(forger: Forger, task: str) -> None:
    for queue in (OTHER, "control"):
        answer = forger.client.send_task(task, kwargs={"symbol": SYMBOL}, queue=queue, ignore_result=False)
        with pytest.raises(InvalidMessage, match="message_queue"):
            answer.get(timeout=60)


def test_stop_on_the_wrong_side_is_rejected_by_the_entry_rules_in_the_ledger(forger: Forger) -> None:
    candle = forger.next_candle()
    forger.show()
    above = float(candle.values[-1, CLOSE]) + 5
    answer = forger.send("tasks.execute", forger.signals(candle, signal={"stop_loss": above}))
    answer.get(timeout=60)

    newest = forger.stores.ledger.decisions(SYMBOL)[0]
    assert (newest["open_ms"], newest["outcome"], newest["rule"]) == (candle.last_open_ms, "refused", "stop_side")


def test_tick_with_another_task_in_its_chain_runs_neither(forger: Forger) -> None:
    books = forger.books()
    stop = {"task": "tasks.stop_symbol", "args": [], "kwargs": {"symbol": SYMBOL}, "options": {}, "immutable": True}
    kwargs = {"symbol": SYMBOL, "deadline_ms": FOREVER_MS, "expected_ms": None}
    for embedded in ({"chain": [stop]}, {"link": [stop]}, {"link_error": [stop]}):
        answer = forger.client.send_task("tasks.fetch", kwargs=kwargs, ignore_result=False, **embedded)
        with pytest.raises(InvalidMessage, match="message_chain"):
            answer.get(timeout=60)

    forger.tick()
    assert forger.books()["desired"] is DesiredState.RUNNING
    assert forger.books()["cursor"] == books["cursor"] + MINUTE_MS


def test_task_of_celery_that_calls_a_step_is_unknown_to_the_worker(forger: Forger) -> None:
    books = forger.books()
    text = forger.signals(forger.next_candle()).model_dump_json()
    step = {"task": "tasks.execute", "args": [], "kwargs": {}, "options": {}}
    arguments = {"task": step, "it": [[text, SYMBOL, FOREVER_MS]]}
    forger.client.send_task("celery.starmap", kwargs=arguments, queue=SYMBOL)

    forger.tick()
    assert forger.books()["decisions"] == books["decisions"]
    assert "celery.starmap" in forger.system.logs()


@pytest.mark.parametrize("item", ["no JSON", "[]", '{"body": "e30="}', '{"headers": {"task": "tasks.fetch"}}'])
def test_item_that_is_no_message_leaves_the_worker_running(forger: Forger, item: str) -> None:
    worker = forger.system._children[f"worker-{SYMBOL}-{OTHER}"]
    pid = worker.pid
    forger.push(SYMBOL, item)

    forger.tick()
    assert worker.pid == pid
    assert worker.ended() is None


@pytest.mark.parametrize("symbol", ["../../etc/passwd", "X" * 10_000, "XAUUSD\nERROR forged", 5, None, ["XAUUSD"]])
def test_symbol_that_is_not_configured_is_rejected_by_steps_and_control_tasks(forger: Forger, symbol: Any) -> None:
    books, conf = forger.books(), forger.client.conf
    without_router = Celery("forger", broker=conf.broker_url, backend=conf.result_backend, set_as_current=False)
    for task, kwargs in (
        ("tasks.fetch", {"symbol": symbol, "deadline_ms": FOREVER_MS}),
        ("tasks.stop_symbol", {"symbol": symbol}),
        ("tasks.flatten", {"symbol": symbol}),
        ("tasks.reconcile", {"symbol": symbol}),
    ):
        answer = without_router.send_task(task, kwargs=kwargs, queue=SYMBOL, ignore_result=False)
        with pytest.raises(Exception, match=r"unknown symbol|message_symbol|message_queue|^argument: ") as error:
            answer.get(timeout=60)
        assert len(str(error.value)) < 400

    without_router.close()
    assert forger.books() == books
    forger.tick()
