"""`make run` from a clean folder, interrupted, started again, and killed: what a user sees of each.

One story is told once, and each test reads its own part of it.
"""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psutil
import pytest

from adapters.redis import keys
from adapters.wiring.pipeline import Stores
from tests.fixtures.apps.running import LIMIT_S, Checkout, Terminal, journal_ms

pytestmark = pytest.mark.timeout(240)

SYMBOLS = ("XAUUSD", "BTCUSD")
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Sight:
    """The state of a running system at one moment.

    Attributes:
        journal: Open times of the candles of each symbol, in the order in which they were decided.
        counted: How many candles each symbol says that it has decided.
        set_going_ms: Market time at which each market was set going in this run.
        fills: Client ids of the orders, in the order of their fills.
    """

    journal: dict[str, list[int]]
    counted: dict[str, int]
    set_going_ms: dict[str, int]
    fills: list[str]


@dataclass(frozen=True)
class Run:
    """One run, from `make run` to its end.

    Attributes:
        last: What it held just before its end.
        left: Processes that outlived it.
    """

    last: Sight
    output: str
    exit_code: int
    processes: int
    left: list[psutil.Process]


@dataclass(frozen=True)
class Story:
    """A run that was interrupted by Ctrl-C, and the one after it, whose launcher was killed.

    Attributes:
        first_fill_s: Seconds from `make run` to the first filled order.
        status: What `trading status --json` printed in the first run.
        url_file_stayed: Whether the file with the URL of Redis was still there after the first run.
    """

    first_fill_s: float
    status: list[dict[str, Any]]
    interrupted: Run
    url_file_stayed: bool
    killed: Run


def look(stores: Stores) -> Sight:
    """Read all of it while nothing moves: the ledger after the candles, and again when a candle came in between."""
    client: Any = stores.redis
    while True:
        journal = {name: journal_ms(stores, name) for name in SYMBOLS}
        counted = {name: int(client.hget(keys.state("trading", name), "candles")) for name in SYMBOLS}
        fills = [fill["client_order_id"] for fill in reversed(stores.ledger.fills(limit=100_000))]
        if journal == {name: journal_ms(stores, name) for name in SYMBOLS}:
            break
    anchors = {name: client.get(keys.market_clock("trading", name)) for name in SYMBOLS}
    return Sight(journal, counted, {name: json.loads(anchor)[0] for name, anchor in anchors.items()}, fills)


def first_run(checkout: Checkout) -> tuple[float, list[dict[str, Any]], Run]:
    began_s = time.monotonic()
    terminal = checkout.make_run()
    terminal.wait_for_output("logs in")
    with checkout.stores() as stores:
        terminal.until(stores.ledger.fills, "filled order")
        first_fill_s = time.monotonic() - began_s
        terminal.until(lambda: all(journal_ms(stores, name) for name in SYMBOLS), "candles of each symbol")
        status = json.loads(checkout.run("celery -A tasks trading status --json"))["symbols"]
        return first_fill_s, status, ended(terminal, stores, signal.SIGINT)


def second_run(checkout: Checkout, before: Sight) -> Run:
    terminal = checkout.make_run()
    terminal.wait_for_output("logs in")
    with checkout.stores() as stores:
        goal = {name: candles[-1] + 3 * MINUTE_MS for name, candles in before.journal.items()}
        terminal.until(lambda: all(journal_ms(stores, name)[-1] >= goal[name] for name in SYMBOLS), "further candles")
        return ended(terminal, stores, signal.SIGKILL)


def ended(terminal: Terminal, stores: Stores, number: signal.Signals) -> Run:
    """Look at a run, and end it by a signal to its launcher, so that make tells how the launcher ended."""
    last, processes = look(stores), len(terminal.family())
    terminal.launcher().send_signal(number)
    exit_code = terminal.process.wait(LIMIT_S)
    return Run(last, terminal.text, exit_code, processes, terminal.left())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    checkout = Checkout(tmp_path_factory.mktemp("make-run"))
    try:
        first_fill_s, status, interrupted = first_run(checkout)
        stayed = (checkout.root / "var" / "redis" / "url").exists()
        yield Story(first_fill_s, status, interrupted, stayed, second_run(checkout, interrupted.last))
    finally:
        checkout.close()


def test_first_run_fills_an_order_within_a_minute(story: Story) -> None:
    assert story.first_fill_s < 60
    assert story.interrupted.last.fills


def test_status_of_the_first_run_shows_candles_and_decisions_of_each_symbol(story: Story) -> None:
    assert [row["symbol"] for row in story.status] == list(SYMBOLS)
    for row in story.status:
        assert row["state"] == "running"
        assert row["candles"] > 0
        assert row["close"] > 0
        assert row["decision"]


def test_interrupted_run_ends_with_zero_and_leaves_no_process(story: Story) -> None:
    assert story.interrupted.exit_code == 0, story.interrupted.output
    assert story.interrupted.processes >= 11  # make, launcher, Redis, three workers with a child each, beat, Flower
    assert story.interrupted.left == []
    assert not story.url_file_stayed


def test_second_run_continues_after_the_last_candle_of_the_first(story: Story) -> None:
    before, after = story.interrupted.last, story.killed.last
    for name in SYMBOLS:
        cursor_ms = after.set_going_ms[name] - MINUTE_MS
        known = before.journal[name]
        assert cursor_ms >= known[-1]  # a stop lets the chain that is under way finish
        assert cursor_ms in after.journal[name]
        assert after.journal[name][: len(known)] == known
        assert after.journal[name][-1] > cursor_ms


def test_second_run_decides_each_candle_once_and_leaves_none_out(story: Story) -> None:
    last = story.killed.last
    for name in SYMBOLS:
        assert {later - earlier for earlier, later in pairwise(last.journal[name])} == {MINUTE_MS}
        assert last.counted[name] == len(last.journal[name])


def test_second_run_keeps_every_fill_of_the_first(story: Story) -> None:
    first = story.interrupted.last.fills
    assert story.killed.last.fills[: len(first)] == first


def test_killed_launcher_takes_every_process_along(story: Story) -> None:
    assert story.killed.exit_code == 2  # make says: its recipe failed
    assert story.killed.processes >= 11
    assert story.killed.left == []
