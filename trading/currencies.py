"""Currencies: the quote currency in the name of a symbol, and the decimals of money. Pure tables and text."""

from typing import Annotated

from pydantic import StringConstraints

DEFAULT_CURRENCY = "USD"

CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{1,9}$")]
"""A code in capitals: ISO 4217 such as `USD`, or a coin such as `USDT`."""


def _codes(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ISO_4217 = _codes(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CLF CLP CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD "
    "HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD "
    "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG "
    "QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD "
    "TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XAG XAU XCD XOF XPD XPF XPT YER ZAR ZMW ZWL"
)
"""ISO 4217 with the metals, and CNH of the off-shore renminbi."""

_STABLE_COINS = _codes("USDT USDC BUSD TUSD FDUSD DAI USDP EURT EURC")
_COINS = _codes("BTC XBT ETH BNB XRP LTC BCH ETC SOL ADA DOGE DOT TRX AVAX LINK XLM XMR ATOM UNI NEAR SHIB PEPE TON")
_KNOWN = _ISO_4217 | _STABLE_COINS | _COINS
_BEHIND_ANY_BASE = ("USDT", "USDC")
_LONGEST_CODE = 10

_DEFAULT_DECIMALS = 2
_DECIMALS = {
    **dict.fromkeys(_COINS, 8),
    **dict.fromkeys(_codes("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"), 0),
    **dict.fromkeys(_codes("BHD IQD JOD KWD LYD OMR TND"), 3),
    "CLF": 4,
}


def decimals_of(currency: str) -> int:
    """Return the decimals of an amount of money: 0 of JPY, 8 of BTC, 2 of each currency that is not listed."""
    return _DECIMALS.get(currency, _DEFAULT_DECIMALS)


def quote_currency_of(symbol: str) -> str | None:
    """Return the quote currency that the name of a symbol states, or None where the name is not unmistakable.

    It is unmistakable as `BASE/QUOTE` (with `:SETTLEMENT` or without), and as two known codes, together or with `-` or
    `_` between them: `EURUSD`, `USDJPY`, `BTC-USD`, `BTCUSDT`; any base before a stable coin, `ABCUSDT`, counts too.
    An ending after a dot, as in `USDJPY.r`, plays no part.

    >>> [quote_currency_of(name) for name in ("USDJPY", "BTCUSDT", "ETH/BTC", "GOOG")]
    ['JPY', 'USDT', 'BTC', None]
    """
    name = symbol.upper()
    if "/" in name:
        quote = name.split("/", 1)[1].split(":")[0]
        return quote if 1 < len(quote) <= _LONGEST_CODE and quote.isalnum() and quote[0].isalpha() else None
    name = name.split(".")[0]
    for separator in "-_":
        base, found, quote = name.partition(separator)
        if found:
            is_pair = (base in _KNOWN and quote in _KNOWN) or quote in _BEHIND_ANY_BASE
            return quote if is_pair else None
    quotes = [name[at:] for at in range(2, len(name)) if name[at:] in _KNOWN and name[:at] in _KNOWN]
    return (
        quotes[0] if len(quotes) == 1 else next((one for one in _BEHIND_ANY_BASE if _follows_a_base(name, one)), None)
    )


def _follows_a_base(name: str, quote: str) -> bool:
    return name.endswith(quote) and len(name) > len(quote)
