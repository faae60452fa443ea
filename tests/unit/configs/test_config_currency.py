"""The currency of the account and of its symbols: two different ones are rejected until a conversion exists."""

import re
from pathlib import Path
from typing import Any

import pytest

import trading_orchestrator as to
from configs.diff import Exposure, compare
from configs.errors import ConfigError
from configs.loading import SystemConfig, load_system
from configs.snapshot import content_of, deciding_digest

CONFIGS = Path(__file__).parents[3] / "configs"
SHIPPED = (CONFIGS / "symbols.yaml").read_text(encoding="utf-8")
JPY_IN_USD = (
    r"symbols\.USDJPY\.quote_currency: found 'JPY' in the symbol's name; allowed: 'USD', the account's currency"
)
NONE_OPEN = Exposure()
ONE_OPEN = Exposure(units=3.0, is_open=True)


def loaded(symbol: str, *, quote: str | None = None, account: str | None = None) -> SystemConfig:
    """Load the shipped file with its BTCUSD under another name, and with other currencies."""
    text = SHIPPED.replace("    quote_currency: USD\n", f"    quote_currency: {quote}\n" if quote else "")
    text = re.sub(r"    quote_currency: USD +#.*\n", "", text).replace("  XAUUSD:", "  GOLD:")
    text = re.sub(r"  currency: USD.*\n", f"  currency: {account}\n" if account else "", text)
    return load_system(CONFIGS, {}, texts={"symbols.yaml": text.replace("  BTCUSD:", f"  {symbol}:")})


@pytest.mark.parametrize(
    ("symbol", "options"),
    [
        ("EURUSD", {}),
        ("GOOG", {}),
        ("GOOG", {"account": "EUR"}),
        ("USDJPY", {"account": "JPY"}),
        ("BTCUSDT", {"account": "USDT"}),
        ("BTCUSDT", {"quote": "USD"}),
        ("SAP", {"quote": "EUR", "account": "EUR"}),
    ],
)
def test_symbol_in_the_currency_of_the_account_is_accepted(symbol: str, options: dict[str, Any]) -> None:
    assert symbol in loaded(symbol, **options).symbols


@pytest.mark.parametrize(
    ("symbol", "options", "message"),
    [
        ("USDJPY", {}, JPY_IN_USD),
        ("BTCUSDT", {}, r"found 'USDT' in the symbol's name; allowed: 'USD'.*account\.currency.*quote_currency to USD"),
        ("EURUSD", {"account": "EUR"}, r"symbols\.EURUSD\.quote_currency: found 'USD' in the symbol's name; .*'EUR'"),
        ("GOOG", {"quote": "EUR"}, r"symbols\.GOOG\.quote_currency: found 'EUR'; allowed: 'USD'"),
        ("GOOG", {"quote": "eur"}, r"symbols\.GOOG\.quote_currency: found 'eur'; allowed: text that matches"),
        ("GOOG", {"account": "$"}, r"account\.currency: found '\$'; allowed: text that matches"),
    ],
)
def test_symbol_in_another_currency_is_rejected(symbol: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loaded(symbol, **options)


def traded(symbol: str, **terms: Any) -> to.BacktestResult:
    candles = to.simulated_candles(600, start_price=150.0)
    return to.backtest(to.load_strategy("sma_cross", {"fast": 3, "slow": 8}), candles, symbol=symbol, **terms)


def test_backtest_of_python_with_yen_on_a_dollar_account_is_rejected() -> None:
    with pytest.raises(ValueError, match=JPY_IN_USD):
        traded("USDJPY")


@pytest.mark.parametrize(
    ("symbol", "terms"),
    [
        ("USDJPY", {"account": to.AccountLimits(name="yen", starting_balance=1_000_000, currency="JPY")}),
        ("BTCUSDT", {"quote_currency": "USD"}),
        ("BTCUSDT", {"quote_currency": {"BTCUSDT": "USD"}}),
    ],
)
def test_backtest_of_python_with_stated_currencies_runs(symbol: str, terms: dict[str, Any]) -> None:
    assert traded(symbol, **terms).trades


def test_account_currency_changes_only_at_a_start_and_quote_currency_while_flat() -> None:
    before, yen = (content_of(loaded("GOOG", account=one), CONFIGS) for one in ("USD", "JPY"))
    stated = content_of(loaded("GOOG", quote="USD"), CONFIGS)

    (refused,) = compare(before, yen, lambda _: NONE_OPEN).refusals
    assert refused.startswith("account.currency: the default -> JPY requires a stop of the whole system")
    assert compare(before, yen, lambda _: NONE_OPEN, is_running=False).refusals == ()
    assert compare(before, stated, lambda _: NONE_OPEN).refusals == ()
    (held,) = compare(before, stated, lambda _: ONE_OPEN).refusals
    assert held.startswith("GOOG: quote_currency: the default -> USD is not allowed yet")


@pytest.mark.parametrize(("account", "is_same"), [("USD", True), ("USDT", True), ("JPY", False), ("BTC", False)])
def test_digest_of_decisions_changes_with_the_decimals_of_their_texts_only(account: str, is_same: bool) -> None:
    stated, absent = loaded("GOOG", quote=account, account=account), loaded("GOOG")

    assert (deciding_digest(stated, "GOOG") == deciding_digest(absent, "GOOG")) is is_same
