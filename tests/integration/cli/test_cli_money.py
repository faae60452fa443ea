"""Money of an account in bitcoin, with eight decimals in each command, page and text that shows it."""

import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from adapters.wiring.symbol_status import read_status
from tasks.status_log import status_line
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.market.candles import Candles
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.cli.app import trading
from trading_orchestrator.launcher.status_table import Overview, render

COIN = "ETHBTC"
CANDLES = 160
START = Decimal("0.05")
ACCOUNT = {"name": "coins", "currency": "BTC", "starting_balance": 0.05, "max_daily_loss": 0.04}
VENUE = {"kind": "paper", "spread": 0.000002, "commission_bps": 10}
RISK = {"sizing": "fixed_units", "units": 0.5}

pytestmark = pytest.mark.timeout(240)


def ether() -> Candles:
    """Return candles of one ether in bitcoin, about 0.05, with seven decimals."""
    gold = generated_candles("XAUUSD", CANDLES, seed=7)
    values = gold.values.copy()
    values[:, :4] = np.round(values[:, :4] / 40_000, 7)
    return Candles(gold.open_ms, values)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingSystem]:
    """A system whose account of 0.05 bitcoin traded ether to the end of its file."""
    folder = tmp_path_factory.mktemp("coins")
    server = RedisServer(folder / "redis").start()
    path = write_candles(folder / f"{COIN}.csv", ether())
    symbol = file_symbol(path, venue=VENUE, risk=RISK, quote_currency=None)
    system = TradingSystem(folder / "system", server, {COIN: symbol}, account=ACCOUNT)
    pipeline = system.pipeline(COIN)
    for _ in range(CANDLES):
        pipeline.advance(AdvanceSymbol(COIN))
    yield system
    system.stop()
    server.stop()


def printed(system: TradingSystem, *arguments: str) -> str:
    answer = CliRunner().invoke(trading, list(arguments), env={**system.environment, "COLUMNS": "220"})
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def rows(system: TradingSystem, *arguments: str) -> Any:
    return json.loads(printed(system, *arguments, "--json"))


def fills(system: TradingSystem) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", rows(system, "fills", COIN, "--limit", "1000"))


def exact(number: float) -> Decimal:
    return Decimal(repr(number))


def shown(amount: Decimal, sign: str = "") -> str:
    return f"{amount:{sign}.8f}"


def cash(found: list[dict[str, Any]]) -> Decimal:
    """Return what fills brought in and cost, by exact arithmetic."""
    bought = {"buy": -1, "sell": 1}
    return sum(
        (
            bought[one["side"]] * exact(one["units"]) * exact(one["price"])
            - exact(one["units"]) * exact(one["price"]) / 1000
            for one in found
        ),
        Decimal(0),
    )


def realised(system: TradingSystem) -> Decimal:
    """Return the realised profit of the account: the cash, and the open position at its price less its fee."""
    (place,) = rows(system, "positions", COIN, "--flat")
    return cash(fills(system)) + exact(place["units"]) * exact(place["average_price"])


def test_tables_of_the_ledger_show_fees_and_profits_with_eight_decimals(played: TradingSystem) -> None:
    found = fills(played)
    last = next(one for one in reversed(found) if one["leg"] != "entry")

    assert len(found) > 10
    assert 0 < last["fee"] < 0.0001
    fee, profit = shown(exact(last["fee"])), shown(exact(last["realised"]), "+")
    assert re.search(rf" {fee} +{re.escape(profit)} ", printed(played, "fills"))
    assert shown(realised(played), "+") in printed(played, "positions", "--flat")


def test_status_shows_balance_and_profit_with_eight_decimals_and_their_currency(played: TradingSystem) -> None:
    answer = rows(played, "status")

    assert (answer["currency"], answer["account"]) == ("BTC", "coins")
    assert f"balance {shown(START + realised(played))}  P&L " in printed(played, "status")


def test_lines_and_table_of_a_running_system_have_eight_decimals(played: TradingSystem) -> None:
    stores = played.stores()
    found = read_status(stores.redis, stores.ledger, played.config, played.settings.namespace)
    balance, decimals = stores.ledger.balance(), played.config.account.money_decimals
    console = Console(width=200, file=io.StringIO())

    line = status_line(found, balance, 0, decimals)
    with console.capture() as capture:
        overview = Overview("coins", balance, 1.0, "Redis", None, "log", decimals=decimals)
        console.print(render(found, overview, width=200))

    assert f"status balance {shown(START + realised(played))} P&L " in line
    assert f"balance {shown(START + realised(played))}  P&L " in capture.get()


def test_explanation_of_a_trade_has_eight_decimals(played: TradingSystem) -> None:
    decided = rows(played, "decisions", COIN, "--limit", "1000")
    times = [one["open_ms"] for one in decided if one["outcome"] == "accepted"]
    page = rows(played, "explain", COIN, iso(times[1]))
    entry = page["orders"][-1]["request"]["client_order_id"]
    (trade,) = [one for one in page["trades"] if one["entry_order_id"] == entry]
    fee = exact(page["fills"][-1]["fee"])

    text = printed(played, "explain", COIN, iso(times[1]))

    assert page["money_decimals"] == 8
    assert page["headline"].endswith(shown(exact(trade["profit"]), "+"))
    assert f"fee {shown(fee)}" in text
    assert f"{shown(exact(trade['profit']), '+')} after {shown(exact(trade['fees']))} fees" in text


def test_reasons_and_rules_of_a_decision_have_eight_decimals(played: TradingSystem) -> None:
    decided = [one for one in rows(played, "decisions", COIN, "--limit", "1000") if one["outcome"] == "accepted"]
    page = rows(played, "explain", COIN, iso(decided[1]["open_ms"]))
    reasons = {one["rule"]: one["reason"] for one in page["checks"]}

    assert re.search(r", risk 0\.000\d{5}: ", decided[1]["reason"])
    assert re.match(r"the equity is 0\.0\d{7}: balance 0\.0\d{7}, open positions [+-]0\.0\d{7}$", reasons["equity"])
    assert "0.04000000" in reasons["max_daily_loss"]
    assert re.search(r"0\.0\d{7}: 1 times the equity 0\.0\d{7}", reasons["max_leverage"])


def test_verification_shows_an_account_with_the_decimals_of_its_currency(played: TradingSystem) -> None:
    realised_text, cash_text = shown(realised(played)), shown(cash(fills(played)))

    assert f"account coins: realised {realised_text}, cash {cash_text}\n" in printed(played, "ledger", "verify")


def test_verification_of_a_backup_elsewhere_shows_all_digits(played: TradingSystem, tmp_path: Path) -> None:
    file = tmp_path / "copy.sqlite3"
    printed(played, "ledger", "backup", str(file))
    for folder in (tmp_path / "none", Path(__file__).parents[3] / "configs"):
        answer = CliRunner().invoke(trading, ["ledger", "verify", str(file)], env={"TRADING__CONFIG_DIR": str(folder)})

        assert answer.exit_code == 0, answer.output
        assert f"account coins: realised {shown(realised(played))[:-1]}" in answer.stdout


def test_backtest_prints_and_draws_money_with_eight_decimals(played: TradingSystem, tmp_path: Path) -> None:
    arguments = ("backtest", "--symbol", COIN, "--candles", str(played.folder.parent / f"{COIN}.csv"))
    page = tmp_path / "page.html"

    answer, text = rows(played, *arguments), printed(played, *arguments, "--report", str(page))

    found = answer["statistics"]
    costs = sum((exact(one["units"]) * exact(one["price"]) / 1000 for one in answer["fills"]), Decimal(0))
    assert (answer["currency"], found["money_decimals"]) == ("BTC", 8)
    end = f"{found['final_equity']:.8f}"
    html = page.read_text(encoding="utf-8")
    for shows in (text, html):
        assert shown(costs) in shows
        assert end in shows
    assert f"0.05000000 at the start, {end} at the end" in text
    assert "money is in BTC" in html


def test_replay_of_a_run_in_bitcoin_is_identical(played: TradingSystem) -> None:
    assert "identical" in printed(played, "replay", COIN)


def iso(at_ms: int) -> str:
    return str(np.datetime64(at_ms, "ms"))
