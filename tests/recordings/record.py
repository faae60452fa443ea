"""Makes the recording of a version: a ledger, paper books and a Redis that this very version wrote, and its answers.

`python -m tests.recordings.record tests/recordings/v0_1_0 replayable`, and the same with `by_hand`.

It runs on the version that it recorded, 0.1.0 at commit 4c23aff, with the fixtures of that version. Later versions read
what it wrote and need not run it: a recording made anew by them would no longer show that they read the old one.
"""

import gzip
import json
import logging
import shutil
import sqlite3
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from adapters.clock import now_ms
from adapters.redis import keys
from adapters.wiring.venues import open_venues
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.servers.redis_server import RedisServer
from tests.recordings.answers import answers, lines_of
from tests.recordings.commands import opened
from tests.recordings.market import ACCOUNT, FIRST_DAY_MS, MINUTES, RUNS, STRATEGY, files_of, symbols_of
from tests.recordings.scripted import FAILS
from trading.lifecycle import DesiredState, HeldBy
from trading.orders.orders import Leg, OrderRequest, Side, client_order_id
from trading.services.chain import AdvanceSymbol, ChainResult

FOLDER = Path("/tmp/recording")
"""Error texts name the candle file by its whole path, so the recording is made in a folder that says nothing."""

logger = logging.getLogger(__name__)

FAILING = ("SOFT", "HUNG", "LOST")
FAILS_AT = 9
LIMIT_S = 120.0
HOST = "recorder"


class Run:
    """One system whose services run in this process, a candle at a time, and in a worker where a process must fail."""

    def __init__(self, system: TradingSystem) -> None:
        from tasks import app, control, reconcile
        from tasks.engine.worker_context import runtime
        from tasks.orchestrators.factory import MultiSymbolTradingOrchestrator

        self.system, self.app, self.control, self.books = system, app, control, reconcile
        self.here = runtime()
        self.orchestrators = MultiSymbolTradingOrchestrator.of_cluster(self.here, app).orchestrators
        self.ledger = self.here.stores.ledger

    def step(self, symbol: str) -> ChainResult | None:
        """Run a whole chain as the tasks do; None where it failed, which its status then says."""
        from tasks.engine.step_wrappers import ServiceCall, run_work

        try:
            outcome = run_work(ServiceCall(self.here, symbol, lambda pipeline: pipeline.advance(AdvanceSymbol(symbol))))
            return outcome if isinstance(outcome, ChainResult) else None
        except Exception as error:  # noqa: BLE001  # the failures are part of what is recorded
            logger.warning("failed symbol=%s reason=%s: %s", symbol, type(error).__name__, error)
            return None

    def day(self, symbols: Iterable[str], actions: Mapping[tuple[int, str], Callable[[], Any]]) -> None:
        """Decide on a day's candles, minute by minute, each symbol in turn; deeds come before their candle."""
        for minute in range(MINUTES):
            for symbol in symbols:
                if action := actions.get((minute, symbol)):
                    action()
                if symbol not in FAILING or minute < FAILS_AT:
                    self.step(symbol)

    def replayable(self) -> None:
        """Run what can be worked out from candles and journal again."""
        actions = {
            (8, "PAUSED"): lambda: self.control.pause_symbol("PAUSED", "news: at noon | a speech"),
            # as in the moment between the two writes of a stop: the ledger knows, the store does not yet
            (9, "STOPPED"): lambda: self.ledger.set_desired("STOPPED", DesiredState.STOPPED, reason="no more of it"),
            (10, "STOPPED"): lambda: self.control.stop_symbol("STOPPED", "no more of it"),
            (8, "HELD"): lambda: self.ledger.hold(
                "HELD", DesiredState.PAUSED, held_by=HeldBy.CONFIG_CHANGE, reason="its configuration changes"
            ),
            (11, "QUAR"): lambda: self.heal_until("QUAR", "quarantined"),
            (12, "BAD"): self.orchestrators["BAD"].recover,
        }
        (symbols,) = RUNS["replayable"]
        self.day(symbols, actions)
        self.fail_in_a_worker()

    def by_hand(self) -> None:
        """Run what an operator did, what a faulty venue led to, and a drawdown that a person must clear."""
        first, second = RUNS["by_hand"]
        actions = {
            (7, "HALTED"): lambda: self.trade_by_hand("HALTED"),
            (7, "ADOPT"): lambda: self.trade_by_hand("ADOPT"),
            (8, "ADOPT"): lambda: self.adopt("ADOPT"),
            (12, "FLATTEN"): lambda: self.books.flatten("FLATTEN", "enough: for today | by hand"),
        }
        self.day(first, actions)
        self.day(second, {})

    def trade_by_hand(self, symbol: str) -> None:
        """Buy at the venue as a person does, and have ledger and venue compared."""
        at_ms = FIRST_DAY_MS
        identity = client_order_id("by-hand", symbol, STRATEGY, at_ms, Leg.ENTRY)
        order = OrderRequest(identity, symbol, STRATEGY, Leg.ENTRY, Side.BUY, 2.0, 100.0, at_ms)
        open_venues(self.system.settings, self.system.config.symbols)[symbol].submit(order)
        self.books.reconcile(symbol)

    def adopt(self, symbol: str) -> None:
        for row in self.ledger.incidents(symbol):
            if row["kind"] in ("position_mismatch", "unowned_position", "foreign_fill"):
                self.books.resolve_incident(row["id"], "mine: bought by hand", symbol, adopt=True, by="ann")
                return

    def heal_until(self, symbol: str, state: str) -> None:
        """Have the symbol fail after each step of the recovery, until it comes into a state."""
        deadline_s = time.monotonic() + LIMIT_S
        while self.orchestrators[symbol].state.value != state:
            assert time.monotonic() < deadline_s, f"{symbol} is {self.orchestrators[symbol].state}"
            if self.orchestrators[symbol].recover() is not None:
                self.step(symbol)
            time.sleep(0.1)

    def fail_in_a_worker(self) -> None:
        """Have steps overstay their time limits and their process die; the first restart of each does not help."""
        from tasks.engine.send_tick import send_tick

        queues = ",".join(FAILING)
        worker = self.system.celery("worker", "-A", "tasks", "worker", "-Q", queues, "-n", f"failing@{HOST}")
        for symbol in FAILING:
            send_tick(self.app, symbol, tick_id=f"first:{symbol}", life_s=60)
            self.wait_for_failure(symbol, after_ms=0)
            acted_ms = now_ms()
            self.orchestrators[symbol].recover()
            self.wait_for_failure(symbol, after_ms=acted_ms)
        worker.kill()
        worker.wait(LIMIT_S)
        key = keys.workers(self.here.settings.namespace)
        for node, text in self.here.stores.redis.hgetall(key).items():  # no name of the machine stays in it
            self.here.stores.redis.hset(key, node, json.dumps({**json.loads(text), "host": HOST}))

    def wait_for_failure(self, symbol: str, *, after_ms: int) -> None:
        key = keys.service(self.here.settings.namespace, symbol)

        def has_failed() -> bool:
            status = json.loads(self.here.stores.redis.hget(key, "StrategyEvaluationService") or b"{}")
            return bool(status.get("state") == "error" and status["reported_at_ms"] > after_ms)

        self.system.wait_until(has_failed, f"{symbol} fails", limit_s=LIMIT_S)


def record(folder: Path, run: str) -> None:
    """Run a system, and put what it wrote, and what it answers, into a folder."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    server = RedisServer(FOLDER / "redis").start()
    system = TradingSystem(
        FOLDER / "system",
        server,
        symbols_of(run),
        account=ACCOUNT,
        extra={"TRADING__ORCHESTRATOR__HEALTH_CHECK_INTERVAL": "1", FAILS: "1"},
    )
    candles = FOLDER / "system" / "configs" / "candles"
    candles.mkdir()
    for name, text in files_of(run).items():
        (candles / f"{name}.csv").write_text(text, encoding="utf-8")
    try:
        with system.as_environment():
            recorder = Run(system)
            getattr(recorder, run)()
            recorder.app.close()
        _rewrite(server)
    finally:
        system.stop()
        server.stop()
    _store(folder)
    with opened(folder, FOLDER / "copy") as recorded:
        text = lines_of(answers(recorded, list(symbols_of(run))))
    (folder / "answers.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _rewrite(server: RedisServer) -> None:
    """Leave in the append-only file what the product keeps, as commands that any server can read."""
    with closing(server.client()) as client:
        foreign = [key for key in client.scan_iter() if not key.startswith("trading:")]
        if foreign:
            client.delete(*foreign)  # Celery's messages and results
        client.config_set("aof-use-rdb-preamble", "no")
        client.bgrewriteaof()
        deadline_s = time.monotonic() + LIMIT_S
        while (found := client.info("persistence"))["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"]:
            assert time.monotonic() < deadline_s, "the append-only file is not rewritten"
            time.sleep(0.1)


def _store(folder: Path) -> None:
    shutil.rmtree(folder / "configs", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(FOLDER / "system" / "configs", folder / "configs")
    for name in ("ledger", "paper"):
        whole = FOLDER / f"{name}.sqlite3"
        with (
            closing(sqlite3.connect(FOLDER / "system" / "var" / whole.name)) as source,
            closing(sqlite3.connect(whole)) as copy,
        ):
            source.backup(copy)
        (folder / f"{name}.sqlite3.gz").write_bytes(gzip.compress(whole.read_bytes(), 9, mtime=0))
    with tarfile.open(folder / "appendonlydir.tar.gz", "w:gz") as archive:
        archive.add(FOLDER / "redis" / "redis" / "appendonlydir", "appendonlydir", filter=_without_owner)


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    record(Path(sys.argv[1]) / sys.argv[2], sys.argv[2])
