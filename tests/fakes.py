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
from adapters.venues import paper_books
from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.paper import PaperVenue
from adapters.wiring.pipeline import build_pipeline
from adapters.wiring.pipeline_spec import pipeline_spec
from configs.loading import SystemConfig
from configs.services import OrchestratorConfig, ServicesConfig
from configs.symbols import SymbolConfig
from trading.events.event import Event, EventType
from trading.execution.validated_venue import ValidatedVenue
from trading.indicators import Indicator
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.ports.candle_source import CandleSource
from trading.ports.ledger import Ledger
from trading.ports.symbol_store import SymbolStore
from trading.ports.venue import Venue
from trading.risk.rules import AccountLimits
from trading.services.chain import AdvanceSymbol, ChainResult
from trading.services.pipeline import SymbolPipeline
from trading.strategies import Strategy
from trading.strategies.signal import SignalSide
from trading.strategies.signal_builder import SignalBuilder
from trading_orchestrator.testing.candles import MINUTE_MS, START_MS, SYMBOL, place_of
from trading_orchestrator.testing.flaky_store import FlakyStore
from trading_orchestrator.testing.flaky_venue import FlakyVenue
from trading_orchestrator.testing.scripted_source import ScriptedSource

PLANNED_STRATEGY = "tests.fakes:PlannedStrategy"

WRITES = (
    "decide",
    "flatten",
    "mark",
    "record_fills",
    "move_stop",
    "refuse_stop",
    "open_incidents",
    "end_incidents",
    "mark_published",
)
"""Writes of the execute stage into the ledger."""

T = TypeVar("T")


class PlannedStrategy(Strategy):
    """Requests the actions of its plan, at candles named by their open time."""

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

        builder = SignalBuilder(len(rows))
        builder.buy(at(SignalSide.BUY), reason="planned", stop_loss=close - stop, take_profit=close + target)
        builder.sell(at(SignalSide.SELL), reason="planned", stop_loss=close + stop, take_profit=close - target)
        return builder.close(at(SignalSide.CLOSE), reason="planned")


class Crash(Exception):
    """Simulates the death of a process."""


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

    def call(self, name: str, method_call: Callable[[], Any]) -> Any:
        self.calls.append(name)
        blows = len(self.calls) == self._blows_at
        if blows and not self._after:
            raise Crash(f"before {name}")
        answer = method_call()
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
        series: Candles,
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
        self.source = ScriptedSource(series, shown=shown)
        self.store = FlakyStore()
        databases.empty()
        self.ledger = SqlLedger(databases.ledger, config.account.name, config.account.starting_balance)
        self.paper = PaperVenue(databases.paper, {SYMBOL: config.symbols[SYMBOL].backtest_fills(SYMBOL)})
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
        """Continue with a new process, whose writes another fuse counts."""
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


def open_engine(path: Path, where: str) -> Engine:
    """Make an engine that does not wait for the disk: here nobody pulls the plug."""
    engine = create_engine(f"sqlite:///{path}", where=where)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF").close())
    return engine


_WALL = ("written_at_ms", "id", "decision_id", "venue_order_id")


def _plain(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    kept = [{name: value for name, value in row.items() if name not in _WALL} for row in rows]
    return sorted(kept, key=repr)
