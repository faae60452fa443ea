import pytest

from trading.currencies import decimals_of, quote_currency_of


@pytest.mark.parametrize(
    ("symbol", "quote"),
    [
        ("EURUSD", "USD"),
        ("USDJPY", "JPY"),
        ("usdjpy", "JPY"),
        ("USDJPY.r", "JPY"),
        ("XAUUSD", "USD"),
        ("XAUUSDT", "USDT"),
        ("BTCUSD", "USD"),
        ("BTCUSDT", "USDT"),
        ("PEPEUSDC", "USDC"),
        ("WIFUSDT", "USDT"),
        ("ETHBTC", "BTC"),
        ("ETH/BTC", "BTC"),
        ("BTC/USDT:USDT", "USDT"),
        ("ABC/XYZ", "XYZ"),
        ("BTC-USD", "USD"),
        ("EUR_CHF", "CHF"),
        ("WIF-USDT", "USDT"),
    ],
)
def test_quote_currency_of_a_plain_pair_is_its_second_code(symbol: str, quote: str) -> None:
    assert quote_currency_of(symbol) == quote


@pytest.mark.parametrize(
    "symbol", ["GOOG", "SYMBOL", "GOLD", "US500", "BRK.B", "USD", "USDT", "A-B", "GER-40", "ABC/", ""]
)
def test_quote_currency_of_another_word_is_unknown(symbol: str) -> None:
    assert quote_currency_of(symbol) is None


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [("USD", 2), ("JPY", 0), ("KWD", 3), ("BTC", 8), ("ETH", 8), ("USDT", 2), ("XYZ", 2)],
)
def test_decimals_of_a_currency_are_those_of_its_smallest_unit(currency: str, decimals: int) -> None:
    assert decimals_of(currency) == decimals
