"""Check that all symbols of an account are quoted in its currency: profits are added without a conversion."""

from collections.abc import Mapping

from configs.errors import dotted
from configs.symbols import SymbolConfig
from trading.risk.limits import AccountLimits


def mixed_currencies(account: AccountLimits, symbols: Mapping[str, SymbolConfig]) -> list[str]:
    """Return a line for each symbol whose quote currency is not the account's."""
    return [
        f"{dotted(('symbols', name, 'quote_currency'))}: {_fault(config, quote, account.currency)}"
        for name, config in symbols.items()
        if (quote := config.quoted_in(name) or account.currency) != account.currency
    ]


def _fault(config: SymbolConfig, quote: str, currency: str) -> str:
    origin = "" if config.quote_currency else " in the symbol's name"
    return (
        f"found {quote!r}{origin}; allowed: {currency!r}, the account's currency, because conversion is not available "
        f"yet; set account.currency to {quote} if all symbols are quoted in {quote}, or quote_currency to {currency} "
        f"if the prices are in {currency} or {quote} counts as equal to it"
    )
