"""N processes race for what an account's limits leave, on both databases: never exceeded by one unit, never locked up.

Each transaction takes a number from a counter that all processes share, just before it commits and while it holds the
account's lock: the numbers are the order of the commits. An observer then replays all transactions in that order with
arithmetic of its own, and looks at each limit after every single one; besides, each process adds up the rows after each
entry that was accepted. In the end the rows must say what the replay says, and the whole limit must be free again.

`TRADING_TEST_RACE_TRIES=10000` runs the whole of it; `-n 0 -rP` shows the figures.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from threading import BrokenBarrierError

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import migrate
from tests.racing.observer import Replay
from tests.racing.racer import LIMITS, STRATEGY, Track, enter_track, race
from tests.racing.transactions import DAY_MS, T0_MS, TRIES_A_DAY, Contest, Report, Transaction
from trading.risk.rules import AccountLimits, evaluate_signal
from trading.strategies.signal import Signal, SignalSide

RACERS = 4
TRIES = int(os.environ.get("TRADING_TEST_RACE_TRIES", "240"))
SEED = int(os.environ.get("TRADING_TEST_SEED", "3"))
LIMITED = {"max_open_positions": 5, "max_notional": 900.0, "max_daily_loss": 50.0}
CLOSE_TO_THE_LIMIT = {"max_open_positions": 0, "max_notional": 60.0, "max_daily_loss": 4.0}
"""Largest distance of a race's highest moment from its limit: prices and units do not add up to each number."""

pytestmark = pytest.mark.timeout(120 + TRIES // 10)


class Racetrack:
    """Processes that are there for all races of this file, and what they share."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._track = Track(context, RACERS)
        self._pool = ProcessPoolExecutor(RACERS, context, initializer=enter_track, initargs=(self._track,))

    def race(self, contest: Contest) -> list[Report]:
        """Run one race, and return the report of each process.

        Raises:
            Exception: What went wrong first, in whichever process.
        """
        self._track.meeting.reset()
        for counter in (self._track.commits, self._track.fills):
            counter.value = 0
        racing = [self._pool.submit(race, number, contest) for number in range(RACERS)]
        failures = [failure for one in racing if (failure := one.exception()) is not None]
        for failure in failures:
            if not isinstance(failure, BrokenBarrierError):
                raise failure
        return [one.result() for one in racing]

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture(scope="module")
def racetrack() -> Iterator[Racetrack]:
    track = Racetrack()
    yield track
    track.close()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    migrate(engine)
    yield engine
    engine.dispose()


def switches(committed: Sequence[Transaction]) -> int:
    """Count how often an accepted entry was followed by one of another process."""
    accepted = [transaction.racer for transaction in committed if transaction.is_accepted]
    return sum(one != other for one, other in pairwise(accepted))


def enter(ledger: SqlLedger, account: AccountLimits, symbol: str, *, price: float, units: float) -> bool:
    """Request an entry that loses 1.0 per unit at its stop, on a day after the race."""
    open_ms = T0_MS + 10_000 * DAY_MS
    signal = Signal(
        strategy=STRATEGY,
        open_ms=open_ms,
        side=SignalSide.BUY,
        price=price,
        stop_loss=price - 1.0,
        size_units=units,
        reason="the race is over",
    )
    decided = ledger.decide(
        symbol,
        STRATEGY,
        open_ms,
        lambda view: evaluate_signal(view, signal, symbol=symbol, timeframe="1m", account=account, limits=LIMITS),
        correlation_id="after",
    )
    return bool(decided.intents)


def assert_whole_limit_is_free(ledger: SqlLedger, account: AccountLimits, limit: str) -> None:
    """Take all that the limit allows, to the last unit, and check that one more is rejected."""
    if limit == "max_open_positions":
        taken = [enter(ledger, account, f"L{number}", price=10.0, units=1.0) for number in range(6)]
        assert taken == [True] * 5 + [False]
    else:
        most = LIMITED[limit]
        price = 10.0 if limit == "max_notional" else 1_000.0
        units = most / price if limit == "max_notional" else most
        assert not enter(ledger, account, "L0", price=price, units=units + 1.0)
        assert enter(ledger, account, "L1", price=price, units=units)
        assert not enter(ledger, account, "L2", price=price, units=1.0)


@pytest.mark.parametrize("limit", list(LIMITED))
def test_processes_racing_for_the_last_of_a_limit_never_exceed_it(
    limit: str, database_url: str, engine: Engine, racetrack: Racetrack
) -> None:
    tries = -(-TRIES // len(LIMITED) // TRIES_A_DAY) * TRIES_A_DAY
    account = AccountLimits(name="race", starting_balance=1e6, **{limit: LIMITED[limit]})
    begun_s = time.monotonic()

    reports = racetrack.race(Contest(database_url, account, tries, SEED))

    took_s = time.monotonic() - begun_s
    committed = [transaction for report in reports for transaction in report.transactions]
    replay = Replay(committed)
    highest = max(sums.of(limit) for sums in replay.history)
    accepted = [transaction for transaction in replay.committed if transaction.is_accepted]
    refused = [transaction for transaction in replay.committed if transaction.rule == limit]
    by_racer = [sum(transaction.racer == racer for transaction in accepted) for racer in range(RACERS)]
    sys.stdout.write(
        f"{engine.dialect.name} {limit}: {tries} tries by {RACERS} processes in {took_s:.1f} s ({tries / took_s:.0f}/s,"
        f" {len(committed) / took_s:.0f} transactions/s): {len(accepted)} accepted {by_racer}, {len(refused)} refused,"
        f" {switches(replay.committed)} changes of hands, at most {highest:g} of {LIMITED[limit]:g},"
        f" {sum(report.timeouts for report in reports)} lock timeouts\n"
    )

    assert highest <= LIMITED[limit]
    assert all(sums.of(limit) <= LIMITED[limit] for report in reports for sums in report.seen)
    assert len({transaction.number for transaction in committed}) == len(committed)
    assert sum(transaction.wants_entry for transaction in committed) == tries
    replay.assert_rows_agree(engine, account.name)
    assert_whole_limit_is_free(SqlLedger(engine, account.name, 1e6), account, limit)

    assert highest >= LIMITED[limit] - CLOSE_TO_THE_LIMIT[limit]
    assert len(refused) > tries / 10
    assert len(accepted) > tries / 20
    assert sum(count > 0 for count in by_racer) >= 2
    assert switches(replay.committed) > len(accepted) / 10
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            assert connection.execute(sa.text(deadlocks)).scalar_one() == 0
