"""Doubles for tests of the rules: a store in memory, a source that plays a script, and things that fail on demand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from sqlalchemy import event
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.ledger import tables
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import migrate
from adapters.symbol_store.memory import MemoryStore
from adapters.venues import paper_books
from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.paper import PaperVenue
from adapters.wiring.pipeline import build_pipeline
from adapters.wiring.pipeline_spec import pipeline_spec
from configs.loading import SystemConfig
from configs.services import OrchestratorConfig, ServicesConfig
from configs.symbols import SymbolConfig
from trading.errors import Transient
from trading.events.decisions import describe
from trading.events.event import Event, EventType
from trading.execution.validated_venue import ValidatedVenue
from trading.indicators import Indicator
from trading.lifecycle import DesiredState
from trading.market.candles import COLUMNS, Candles
from trading.orders.orders import Fill, OpenOrder, OrderRequest, VenueOrder, VenuePosition
from trading.ports.candle_source import Bars, CandleSource
from trading.ports.ledger import Ledger
from trading.ports.symbol_store import Commit, SymbolStore
from trading.ports.venue import QuotesSpread, Venue, VenueTerms
from trading.risk.rules import AccountLimits
from trading.services.chain import AdvanceSymbol, ChainResult
from trading.services.pipeline import SymbolPipeline
from trading.strategies import Strategy
from trading.strategies.signal import SignalSide
from trading.strategies.signal_builder import SignalBuilder

SYMBOL = "XAUUSD"
START_MS = int(pd.Timestamp("2026-03-02T00:00Z").timestamp() * 1000)
MINUTE_MS = 60_000
PLANNED_STRATEGY = "tests.fakes:PlannedStrategy"

WRITES = ("decide", "flatten", "mark", "record_fills", "move_stop", "refuse_stop", "open_incidents", "mark_published")
"""What the execute stage writes into the ledger."""

T = TypeVar("T")


def make_candles(count: int, *, seed: int = 5, price: float = 100.0) -> Candles:
    """Return candles of one minute that walk at random from `price`; the same ones for the same arguments."""
    steps = np.random.default_rng(seed).normal(0.0, 0.4, count)
    close = np.round(price + np.cumsum(steps), 2)
    opens = np.concatenate(([price], close[:-1]))
    high, low = np.maximum(opens, close) + 0.05, np.minimum(opens, close) - 0.05
    values = np.column_stack((opens, high, low, close, np.full(count, 10.0)))
    return Candles(START_MS + np.arange(count, dtype=np.int64) * MINUTE_MS, values)


class PlannedStrategy(Strategy):
    """Asks for what its plan says, at the candles that it names by their open time."""

    plan: Mapping[int, SignalSide]
    stop_distance: float | None = None
    target_distance: float | None = None

    def indicators(self) -> Mapping[str, Indicator]:
        return {}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        open_ms, close = rows.index.to_numpy(), rows["close"].to_numpy()
        stop, target = self.stop_distance or np.nan, self.target_distance or np.nan

        def at(side: SignalSide) -> Any:
            return np.isin(open_ms, [planned for planned, what in self.plan.items() if what is side])

        said = SignalBuilder(len(rows))
        said.buy(at(SignalSide.BUY), reason="planned", stop_loss=close - stop, take_profit=close + target)
        said.sell(at(SignalSide.SELL), reason="planned", stop_loss=close + stop, take_profit=close - target)
        return said.close(at(SignalSide.CLOSE), reason="planned")


class FlakyStore(MemoryStore):
    """The store in memory, with commits that fail on demand and contents that can be lost.

    Attributes:
        failures: Errors to raise, one for each commit, before commits work again.
    """

    def __init__(self) -> None:
        super().__init__(window_limit=2_000)
        self.failures: list[Exception] = []

    def commit(self, commit: Commit, events: Sequence[Event]) -> int:
        if self.failures:
            raise self.failures.pop(0)
        return super().commit(commit, events)

    def decisions(self, symbol: str) -> dict[int, str]:
        """Return the decision on each candle, by its open time."""
        kept = self.journal(symbol)
        return dict(zip(kept.open_ms, map(describe, kept.decisions), strict=True))

    def lose_exposure(self, symbol: str) -> None:
        """Forget that something is open, as a Redis does that lost its last second."""
        self._change(symbol, has_exposure=False)

    def forget(self) -> None:
        """Lose everything but the events, as a Redis without its file does."""
        self._symbols.clear()


class ScriptedSource:
    """A `CandleSource` over a tape that shows as much as the test says, and fails as often as it says.

    Attributes:
        tape: All candles, those of the future too; a test may replace them.
        shown: How many of them have closed.
        now_ms: Market time; None for half a minute after the newest closed candle ended.
        failures: Errors to raise, one for each question, before it answers again.
        asked: Names of the questions so far.
    """

    def __init__(self, tape: Candles, *, shown: int) -> None:
        self.tape = tape
        self.shown = shown
        self.now_ms: int | None = None
        self.failures: list[Exception] = []
        self.asked: list[str] = []

    @property
    def as_of_ms(self) -> int:
        if self.now_ms is not None:
            return self.now_ms
        return self.tape[: self.shown].last_open_ms + MINUTE_MS * 3 // 2

    def newest(self, count: int, *, after_ms: int | None) -> Bars:
        self._asked("newest")
        return Bars(self._bars()[-count:], self.as_of_ms)

    def history(self, until_ms: int, *, count: int) -> Candles:
        self._asked("history")
        return self.tape[: self.shown].until(until_ms)[-count:]

    def since(self, after_ms: int, *, limit: int) -> Bars:
        self._asked("since")
        missed = self._bars().after(after_ms)
        return Bars(missed[:limit], self.as_of_ms, len(missed) > limit)

    def close(self) -> None:
        self.asked.append("close")

    def spoil(self, at: int, **values: float) -> None:
        """Show a candle with other values, as `spoil(3, high=float("nan"))`."""
        table = self.tape.values.copy()
        for name, value in values.items():
            table[at, COLUMNS.index(name)] = value
        self.tape = Candles(self.tape.open_ms, table)

    def drop(self, *places: int) -> None:
        """Lose candles of the tape; those before the newest closed one make `shown` smaller."""
        kept = np.setdiff1d(np.arange(len(self.tape)), places)
        self.shown -= sum(1 for place in places if place < self.shown)
        self.tape = Candles(self.tape.open_ms[kept], self.tape.values[kept])

    def _bars(self) -> Candles:
        """Return the closed candles, and the forming one at the price at which it opened."""
        closed, following = self.tape[: self.shown], self.tape[self.shown : self.shown + 1]
        forming = Candles(following.open_ms, following.values[:, [0, 0, 0, 0, 4]])
        return closed.then(forming) if len(forming) else closed

    def _asked(self, question: str) -> None:
        self.asked.append(question)
        if self.failures:
            raise self.failures.pop(0)


class FlakyVenue:
    """A real venue behind a line that breaks when the test says so.

    Attributes:
        silent: Methods that raise Transient whenever they are called.
        submitted: The `client_order_id` of each order that reached the venue, each time that it did.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._failures: list[tuple[str, Exception, bool]] = []
        self.submitted: list[str] = []
        self.silent: set[str] = set()

    def fail(self, method: str, error: Exception, *, after: bool = False) -> None:
        """Raise `error` at the next call of `method`; with `after` the venue has done what was asked by then."""
        self._failures.append((method, error, after))

    def submit(self, request: OrderRequest) -> VenueOrder:
        def send() -> VenueOrder:
            self.submitted.append(request.client_order_id)
            return self._venue.submit(request)

        return self._call("submit", send)

    def quoted_spread(self, symbol: str) -> float | None:
        return cast("QuotesSpread", self._venue).quoted_spread(symbol)

    def cancel(self, client_order_id: str) -> VenueOrder:
        return self._call("cancel", lambda: self._venue.cancel(client_order_id))

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        self._call("move_stop", lambda: self._venue.move_stop(entry_id, stop_loss, open_ms))

    def find(self, client_order_id: str) -> VenueOrder | None:
        return self._call("find", lambda: self._venue.find(client_order_id))

    def sync(self, symbol: str, candles: Candles) -> int:
        return self._call("sync", lambda: self._venue.sync(symbol, candles))

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        return self._call("fills", lambda: self._venue.fills(symbol, after=after))

    def positions(self) -> Sequence[VenuePosition]:
        return self._call("positions", self._venue.positions)

    @property
    def terms(self) -> VenueTerms:
        return self._venue.terms

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        return self._call("open_orders", lambda: self._venue.open_orders(symbol))

    def clock_ms(self) -> int:
        return self._call("clock_ms", self._venue.clock_ms)

    def _call(self, method: str, ask: Callable[[], T]) -> T:
        if method in self.silent:
            raise Transient("venue", f"no answer to {method}")
        due = next((failure for failure in self._failures if failure[0] == method), None)
        if due is None:
            return ask()
        self._failures.remove(due)
        _, error, is_late = due
        if is_late:
            ask()
        raise error


class Crash(Exception):
    """Stands for the death of a process."""


class Fuse:
    """Crashes at the n-th call that it watches, before the call or after it took effect; once.

    Attributes:
        calls: Names of the watched calls so far.
    """

    def __init__(self, blows_at: int = 0, *, after: bool = False) -> None:
        """Make a fuse that blows at call number `blows_at`, counted from one; 0 for never."""
        self.calls: list[str] = []
        self._blows_at = blows_at
        self._after = after

    def watch(self, target: T, *names: str) -> T:
        """Return `target` with its methods `names` watched."""
        return cast("T", _Watched(target, names, self))

    def call(self, name: str, ask: Callable[[], Any]) -> Any:
        self.calls.append(name)
        blows = len(self.calls) == self._blows_at
        if blows and not self._after:
            raise Crash(f"before {name}")
        answer = ask()
        if blows:
            raise Crash(f"after {name}")
        return answer


class _Watched:
    def __init__(self, target: object, names: Sequence[str], fuse: Fuse) -> None:
        self._target = target
        self._names = names
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name not in self._names:
            return found
        return lambda *args, **kwargs: self._fuse.call(name, lambda: found(*args, **kwargs))


def system_config(
    strategy: Mapping[str, Any] | None,
    *,
    services: Mapping[str, Any] | None = None,
    account: Mapping[str, Any] | None = None,
    **symbol: Any,
) -> SystemConfig:
    """Return the configuration of one symbol; regimes are not tracked unless `services` says so."""
    settings = {"indicator_calculation": {"track_regime_changes": False}, **(services or {})}
    config = {
        "timeframe": "1m",
        "source": {"kind": "simulated", "seed": 1, "start_price": 100.0, "start": "2026-03-02T00:00:00Z"},
        "venue": {"kind": "paper"},
        "strategy": strategy,
        "risk": {"sizing": "fixed_units", "units": 2.0},
        "session": {"kind": "always"},
        **symbol,
    }
    return SystemConfig(
        services=ServicesConfig.model_validate(settings),
        orchestrator=OrchestratorConfig(),
        account=AccountLimits.model_validate({"name": "main", "starting_balance": 100_000.0, **(account or {})}),
        symbols={SYMBOL: SymbolConfig.model_validate(config)},
    )


def planned(plan: Mapping[int, str], **distances: float) -> dict[str, Any]:
    """Return the configuration of a `PlannedStrategy`; its plan names candles by their place on the tape."""
    by_time = {START_MS + place * MINUTE_MS: SignalSide(side) for place, side in plan.items()}
    return {"name": PLANNED_STRATEGY, "params": {"plan": by_time, **distances}}


class Databases:
    """Ledger and paper books in SQLite files, for one desk after the other: so each statement is compiled once.

    With `url` the ledger is in that database.
    """

    def __init__(self, folder: Path, *, url: str = "") -> None:
        self.ledger = create_engine(url) if url else open_engine(folder / "ledger.db", "ledger")
        self.paper = open_engine(folder / "paper.db", "paper")
        migrate(self.ledger)
        paper_books.create_tables(self.paper)

    def empty(self) -> None:
        """Delete every row."""
        for engine, metadata in ((self.ledger, tables.metadata), (self.paper, paper_books.metadata)):
            with engine.begin() as connection:
                for table in reversed(metadata.sorted_tables):
                    connection.execute(table.delete())


class Desk:
    """One symbol's services, on a store in memory, a scripted source, and a real ledger and paper venue in SQLite.

    Attributes:
        pipeline: The services of the present process; `restart` makes those of a new one.
        slept_s: What the services waited for, in seconds.
    """

    def __init__(
        self,
        databases: Databases,
        config: SystemConfig,
        tape: Candles,
        *,
        shown: int = 10,
        fuse: Fuse | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Make a desk whose services run.

        Args:
            databases: Emptied first; the desk before this one is of no use any more.
            shown: How many candles of the tape have closed.
            fuse: Watches every write of the execute stage.
            faults: What the venue lies about; each process begins to lie anew.
        """
        self.config = config
        self.source = ScriptedSource(tape, shown=shown)
        self.store = FlakyStore()
        databases.empty()
        self.ledger = SqlLedger(databases.ledger, config.account.name, config.account.starting_balance)
        self.paper = PaperVenue(databases.paper, {SYMBOL: config.symbols[SYMBOL].venue.backtest_fills(SYMBOL)})
        self.venue = FlakyVenue(self.paper)
        self.slept_s: list[float] = []
        self._fuse = fuse or Fuse()
        self._faults = faults
        self.restart()

    def restart(self) -> None:
        """Build the services anew, as a new process does."""
        watch = self._fuse.watch
        venue: Venue = self.venue
        if self._faults is not None:
            venue = FaultInjectingVenue(venue, self._faults, now_s=lambda: self._lied_s, sleep_s=self._sleep)
        self.pipeline: SymbolPipeline = build_pipeline(
            pipeline_spec(self.config, SYMBOL),
            source=cast("CandleSource", self.source),
            store=watch(cast("SymbolStore", self.store), "mark_exposed", "commit"),
            ledger=watch(cast("Ledger", self.ledger), *WRITES),
            venue=watch(ValidatedVenue(venue), "submit", "sync", "move_stop"),
            now_s=lambda: 0.0,
            sleep_s=self._sleep,
        )

    def watch(self, fuse: Fuse) -> None:
        """Go on with a new process, whose writes another fuse watches."""
        self._fuse = fuse
        self.restart()

    def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)

    @property
    def _lied_s(self) -> float:
        return sum(self.slept_s)

    def flush(self) -> None:
        """Let the events leave that wait for a commit, as a task does at its end."""
        events = self.pipeline.outbox.waiting()
        self.store.events += events
        self.pipeline.outbox.forget(len(events))

    def want(self, state: DesiredState) -> None:
        """Say what is wanted of the symbol, as the control tasks do."""
        self.ledger.set_desired(SYMBOL, state, reason="test")
        self.store.set_desired(SYMBOL, state)

    def advance(self, *, show: int = 0) -> ChainResult:
        """Let `show` more candles close, and run a chain."""
        self.source.shown += show
        return self.pipeline.advance(AdvanceSymbol(SYMBOL))

    def play(self, until: int, *, step: int = 1) -> None:
        """Advance `step` candles at a time until `until` candles of the tape have closed."""
        while self.source.shown < until:
            self.advance(show=min(step, until - self.source.shown))

    @property
    def events(self) -> list[Event]:
        """All events that left the services, those that still wait too."""
        return [*self.store.events, *self.pipeline.outbox.waiting()]

    def events_of(self, *types: EventType) -> list[Event]:
        return [event for event in self.events if event.type in types]

    @property
    def cursor(self) -> int | None:
        """Place on the tape of the last candle decided."""
        cursor_ms = self.store.load(SYMBOL).cursor_ms
        return None if cursor_ms is None else place_of(cursor_ms)

    @property
    def journal(self) -> dict[int, str]:
        """The decision on each candle, by its place on the tape."""
        return {place_of(open_ms): text for open_ms, text in self.store.decisions(SYMBOL).items()}

    def orders(self) -> list[tuple[str, str, str]]:
        """Return (id, leg, state) of each order in our ledger, sorted."""
        rows = self.ledger.orders(SYMBOL, limit=100_000)
        return sorted((row["client_order_id"], row["leg"], row["state"]) for row in rows)

    def books(self) -> dict[str, Any]:
        """Return what ledger and venue came to, without wall times and row numbers."""
        return {
            "decisions": _plain(self.ledger.decisions(limit=100_000)),
            "orders": _plain(self.ledger.orders(limit=100_000)),
            "fills": _plain(self.ledger.fills(limit=100_000)),
            "positions": list(self.ledger.positions()),
            "venue": [list(self.paper.fills(SYMBOL, after=0)), list(self.paper.positions()), self.paper.cash()],
        }


def place_of(open_ms: int) -> int:
    """Return the place on the tape of a candle."""
    return (open_ms - START_MS) // MINUTE_MS


def at_place(place: int) -> int:
    """Return the open time of the candle at a place of the tape."""
    return START_MS + place * MINUTE_MS


def open_engine(path: Path, where: str) -> Engine:
    """Make an engine that does not wait for the disk: here nobody pulls the plug."""
    engine = create_engine(f"sqlite:///{path}", where=where)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF").close())
    return engine


_WALL = ("written_at_ms", "id", "decision_id", "venue_order_id")


def _plain(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    kept = [{name: value for name, value in row.items() if name not in _WALL} for row in rows]
    return sorted(kept, key=repr)
