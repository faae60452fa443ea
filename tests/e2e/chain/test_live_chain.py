"""The live chain: real workers and a real Redis, compared with the same candles through plain function calls."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from celery.result import AsyncResult

from adapters.sources.file import read_candles
from configs.fetch_interval import PROMPT_S
from tasks.engine.send_tick import send_tick
from tests.fixtures.apps.system import ROOT, TradingSystem, pool_child, recorded
from tests.fixtures.books import assert_same, is_done, reference, symbols_of
from tests.fixtures.candle_files import generated_candles, write_candles

MakeSystem = Callable[..., TradingSystem]
CANDLES = 150

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def candle_files(tmp_path: Path) -> dict[str, Path]:
    """Two symbols' worth of generated candles."""
    return {
        "XAUUSD": write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", CANDLES, seed=3)),
        "BTCUSDT": write_candles(tmp_path / "coin.csv", generated_candles("BTCUSDT", CANDLES, seed=4)),
    }


def run_live(system: TradingSystem, files: dict[str, Path]) -> None:
    for name in files:
        system.worker(name)
    system.beat()
    system.wait_until(is_done(system, files), "every candle decided", limit_s=200)


def test_two_symbols_live_give_the_books_of_one_process(make_system: MakeSystem, candle_files: dict[str, Path]) -> None:
    live = make_system(symbols_of(candle_files))

    run_live(live, candle_files)

    for name, path in candle_files.items():
        assert list(live.journal(name)) == read_candles(path, timeframe="1m").open_ms.tolist()
    assert_same(live, reference(make_system, candle_files))


@pytest.mark.long
def test_worker_with_its_books_on_postgresql_gives_those_of_one_process_on_sqlite(
    make_system: MakeSystem, candle_files: dict[str, Path], postgres_url: str
) -> None:
    files = {"XAUUSD": candle_files["XAUUSD"]}
    url = postgres_url.replace("postgresql://", "postgresql+psycopg://")
    live = make_system(symbols_of(files), extra={"TRADING__LEDGER_URL": url, "TRADING__PAPER_URL": url})

    run_live(live, files)

    assert_same(live, reference(make_system, files))


@pytest.mark.long
def test_recorded_gold_and_bitcoin_live_give_the_books_of_one_process(make_system: MakeSystem, tmp_path: Path) -> None:
    count = int(os.environ.get("TRADING_TEST_CANDLES", "250"))
    recordings = {"XAUUSD": recorded("XAUUSD_1m.csv.gz"), "BTCUSDT": recorded("BTCUSDT_1m.csv.gz")}
    files = {
        name: write_candles(tmp_path / f"{name}.csv", read_candles(path, timeframe="1m")[:count])
        for name, path in recordings.items()
    }
    live = make_system(symbols_of(files))

    run_live(live, files)

    for name, path in files.items():
        assert list(live.journal(name)) == read_candles(path, timeframe="1m").open_ms.tolist()
    assert_same(live, reference(make_system, files))


@pytest.mark.long
def test_worker_pool_child_and_redis_killed_in_the_middle_lose_and_double_nothing(
    make_system: MakeSystem, candle_files: dict[str, Path]
) -> None:
    files = {"XAUUSD": candle_files["XAUUSD"]}
    live = make_system(symbols_of(files))
    worker, _ = live.worker("XAUUSD"), live.beat()

    def wait_for(candles: int) -> None:
        live.wait_until(lambda: len(live.journal("XAUUSD")) >= candles, f"{candles} candles decided")

    wait_for(30)
    pool_child(worker).send_signal(signal.SIGKILL)
    wait_for(60)
    worker.kill()
    worker.wait(60)
    worker.start()
    wait_for(90)
    live.redis.kill()
    live.redis.start()
    live.wait_until(is_done(live, files), "every candle decided", limit_s=120)

    assert list(live.journal("XAUUSD")) == read_candles(files["XAUUSD"], timeframe="1m").open_ms.tolist()
    assert_same(live, reference(make_system, files))


@pytest.mark.long
def test_pause_by_celery_call_stops_new_intents_and_leaves_the_other_symbol_alone(
    make_system: MakeSystem, tmp_path: Path
) -> None:
    files = {
        name: write_candles(tmp_path / f"{name}.csv", generated_candles(name, 5_000, seed=at))
        for at, name in enumerate(("XAUUSD", "BTCUSDT"))
    }
    live = make_system(symbols_of(files))
    for name in files:
        live.worker(name)
    live.beat()
    ledger = live.stores().ledger

    def entries(symbol: str) -> set[str]:
        rows = ledger.orders(symbol, limit=100_000)
        return {row["client_order_id"] for row in rows if row["leg"] == "entry"}

    live.wait_until(lambda: all(entries(name) for name in files), "both symbols trade")
    call = [sys.executable, "-m", "celery", "call", "tasks.pause_symbol", '--args=["XAUUSD"]']
    environment = {**os.environ, **live.environment}
    answer = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    with live.client() as app:
        result = AsyncResult(answer.stdout.strip(), app=app)
        assert result.get(timeout=60)["now"] == "paused"
    frozen, other = entries("XAUUSD"), entries("BTCUSDT")
    seen = len(live.journal("XAUUSD"))
    live.wait_until(lambda: len(entries("BTCUSDT")) >= len(other) + 3, "the other symbol goes on")
    live.wait_until(lambda: len(live.journal("XAUUSD")) >= seen + 40, "the paused symbol watches on")

    assert entries("XAUUSD") == frozen


@pytest.mark.long
def test_two_beats_and_doubled_ticks_decide_each_candle_once(
    make_system: MakeSystem, candle_files: dict[str, Path]
) -> None:
    files = {"XAUUSD": candle_files["XAUUSD"]}
    live = make_system(symbols_of(files))
    live.worker("XAUUSD")
    live.beat("beat-1")
    live.beat("beat-2")
    with live.client() as app:
        while len(live.journal("XAUUSD")) < 100:
            seen = live.cursor_ms("XAUUSD")
            for _ in range(2):
                send_tick(app, "XAUUSD", tick_id="tick:XAUUSD:doubled", life_s=PROMPT_S)
            live.wait_until(lambda seen=seen: live.cursor_ms("XAUUSD") > seen, "the symbol goes on")  # type: ignore[misc]
    live.wait_until(is_done(live, files), "every candle decided")

    assert list(live.journal("XAUUSD")) == read_candles(files["XAUUSD"], timeframe="1m").open_ms.tolist()
    assert_same(live, reference(make_system, files))
