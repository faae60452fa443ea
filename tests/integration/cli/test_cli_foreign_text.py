"""Foreign text, such as reasons, errors, names and paths, is shown unchanged by every reading command."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adapters.clock import now_ms
from adapters.redis import keys
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from tests.fixtures.strategies.bracketed import BRACKETED, FAILING, FOREIGN
from trading.events.event import Event, EventType
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import ServiceState
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

GOLD, COIN = "XAUUSD", "BTCUSD"
CANDLES = 60
ACCOUNT, FOLDER = "account of atr", "[atr] :smile: foreign"
STRATEGY = {"name": BRACKETED, "params": {"fast": 3, "slow": 8, "atr_period": 2}}

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingSystem]:
    """A system whose journal, ledger, events, services and paths hold text that looks like markup."""
    folder = tmp_path_factory.mktemp("texts") / FOLDER
    folder.mkdir()
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    path = write_candles(folder / "gold.csv", generated_candles(GOLD, CANDLES, seed=3))
    symbols = {name: file_symbol(path, strategy=STRATEGY) for name in (GOLD, COIN)}
    account = {"name": ACCOUNT, "starting_balance": 100_000}
    made = TradingSystem(folder / "system", server, symbols, account=account)
    pipeline = made.pipeline(GOLD)
    for _ in range(CANDLES):
        pipeline.advance(AdvanceSymbol(GOLD))
    _publish_foreign_text(made)
    yield made
    made.stop()
    server.stop()


def _publish_foreign_text(system: TradingSystem) -> None:
    """Record an event, open and resolved incidents, and a service in error."""
    stores = system.stores()
    stores.bus.publish([Event(type=EventType.SERVICE_ERROR, symbol=GOLD, reason=f"event {FOREIGN}")])
    for kind in (IncidentKind.POSITION_MISMATCH, IncidentKind.LATE_FILL):
        stores.ledger.open_incidents([Incident(kind, COIN, f"key {FOREIGN}", f"{kind} {FOREIGN}", {})])
    stores.ledger.resolve_incident(int(stores.ledger.incidents(COIN)[0]["id"]), f"resolution {FOREIGN}")
    name = "strategy_evaluation"
    status = {
        "service_name": name,
        "symbol": GOLD,
        "state": ServiceState.ERROR,
        "last_error": f"error {FOREIGN}",
        "consecutive_errors": 10,
        "reported_at_ms": now_ms(),
    }
    stores.redis.hset(keys.service(system.settings.namespace, GOLD), name, json.dumps(status))


def verb(system: TradingSystem, *arguments: str) -> Result:
    result = CliRunner().invoke(trading, list(arguments), env={**system.environment, "COLUMNS": "400"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def candles_of(system: TradingSystem) -> str:
    return str(system.symbols[GOLD]["source"]["path"])


def decided_at(system: TradingSystem, words: str) -> str:
    """Return when the newest candle opened on which these words were said, as the command line has it."""
    found = [open_ms for open_ms, decision in system.journal(GOLD).items() if words in decision]
    return datetime.fromtimestamp(found[-1] / 1000, UTC).isoformat()


Case = tuple[Callable[[TradingSystem], Sequence[str]], Sequence[str]]
QUICK = ("fast=3", "slow=8", "atr_period=2")
IN_PATH = f"{FOLDER}/gold.csv"
CASES: dict[str, Case] = {
    "status": (lambda _: ["status"], [ACCOUNT, f"error {FOREIGN}", f"position_mismatch {FOREIGN}"]),
    "health": (lambda _: ["health"], [f"error {FOREIGN}"]),
    "events": (lambda _: ["events", "-n", "200"], [f"buy {FOREIGN}", f"exit {FOREIGN}", f"event {FOREIGN}"]),
    "decisions": (lambda _: ["decisions", GOLD], [f"buy {FOREIGN}", f"exit {FOREIGN}"]),
    "explain an entry": (lambda system: ["explain", GOLD, decided_at(system, "buy [")], [f"buy {FOREIGN}"]),
    "explain an exit": (lambda system: ["explain", GOLD, decided_at(system, "exit [")], [f"exit {FOREIGN}"]),
    "explain a replay": (
        lambda system: ["explain", GOLD, decided_at(system, "exit ["), "--candles", candles_of(system)],
        [f"exit {FOREIGN}"],
    ),
    "explain no candle": (
        lambda system: ["explain", GOLD, "2030-01-01", "--candles", candles_of(system)],
        [IN_PATH],
    ),
    "orders": (lambda _: ["orders"], [BRACKETED]),
    "fills": (lambda _: ["fills"], [BRACKETED]),
    "positions": (lambda _: ["positions", "--flat"], [BRACKETED]),
    "incidents": (
        lambda _: ["incidents", "--all"],
        [f"key {FOREIGN}", f"position_mismatch {FOREIGN}", f"late_fill {FOREIGN}", f"resolution {FOREIGN}"],
    ),
    "replay": (lambda _: ["backtest", "--symbol", GOLD], [f"account {ACCOUNT}: 100,000.00 at the start"]),
    "replay of the journal": (lambda _: ["replay", GOLD], [f"identical: {CANDLES} candles"]),
    "config show": (lambda _: ["config", "show"], [ACCOUNT, IN_PATH]),
    "config fault": (lambda _: ["backtest", "--symbol", GOLD, "--set", f"exits={FOREIGN!r}"], [FOREIGN]),
    "unknown verb": (lambda _: [FOREIGN], [FOREIGN]),
    "unknown symbol": (lambda _: ["decisions", FOREIGN], [FOREIGN]),
    "doctor": (lambda _: ["doctor"], [f"{FOLDER}/system/var"]),
    "ledger verify": (lambda _: ["ledger", "verify"], [f"account {ACCOUNT}: realised"]),
    "candles check": (lambda system: ["candles", "check", candles_of(system)], [IN_PATH]),
    "check-strategy": (
        lambda system: ["check-strategy", FAILING, *QUICK, "--candles", candles_of(system), "-n", "10"],
        [f"ValueError: no column {FOREIGN}"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_verb_shows_text_that_looks_like_markup_whole(system: TradingSystem, name: str) -> None:
    arguments, expected = CASES[name]

    result = verb(system, *arguments(system))

    missing = [text for text in expected if text not in result.output]
    assert missing == [], result.output
    assert result.exit_code in (ExitCode.OK, ExitCode.NO, ExitCode.USAGE)


def test_paths_are_shown_where_a_file_cannot_be_read(system: TradingSystem, tmp_path: Path) -> None:
    wrong = tmp_path / f"{FOLDER}.csv"
    wrong.write_text("nothing\n", encoding="utf-8")

    for arguments in (
        ["candles", "check", str(wrong)],
        ["ledger", "verify", str(wrong)],
        ["backtest", "--symbol", GOLD, "--candles", str(wrong)],
    ):
        assert wrong.name in verb(system, *arguments).output
