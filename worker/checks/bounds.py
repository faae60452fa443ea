"""Warn where the configuration leaves losses without a limit, or costs unknown, with the key to set."""

from configs.loading import SystemConfig
from configs.plugins.venues import PaperVenue
from configs.symbols import SymbolConfig
from worker.checks.check import Check, Health


def bounds_checks(system: SystemConfig) -> list[Check]:
    """Return the limits in force, and a warning for each limit or cost that is missing."""
    account = system.account
    found = f"at most {account.max_leverage:g} times the equity in all positions"
    return [Check("limits", Health.OK, found), *missing_bounds(system)]


def missing_bounds(system: SystemConfig) -> list[Check]:
    """Return a warning for each limit or cost that is missing; its name is the key to set."""
    account = system.account
    unlimited = [
        ("account.max_daily_loss", account.max_daily_loss, "the loss of a day", "an amount in quote currency"),
        ("account.max_drawdown", account.max_drawdown, "the fall from the highest balance", "a fraction, such as 0.1"),
    ]
    caps = [
        Check(key, Health.WARN, f"{subject} has no limit", f"set {key} to {value}")
        for key, limit, subject, value in unlimited
        if not limit
    ]
    costs = [_unknown_costs(symbol, config) for symbol, config in system.symbols.items()]
    sizes = [
        one for symbol, config in system.symbols.items() for one in _cut_sizes(symbol, config, account.max_leverage)
    ]
    return caps + [one for one in costs if one is not None] + sizes


def _cut_sizes(symbol: str, config: SymbolConfig, most: float) -> list[Check]:
    """Return a warning for each part of the equity that the account's leverage never allows."""
    shares = {
        book.risk.equity_fraction or 0.0 for book in config.books.values() if book.risk.sizing == "equity_fraction"
    }
    key = f"symbols.{symbol}.risk.equity_fraction"
    return [
        Check(
            key,
            Health.WARN,
            f"each entry is cut from {share:g} to {most:g} times the equity by account.max_leverage",
            f"set {key} to {most:g} or less, or raise account.max_leverage",
        )
        for share in sorted(shares)
        if share > most
    ]


def _unknown_costs(symbol: str, config: SymbolConfig) -> Check | None:
    terms = config.venue.backtest_fills(symbol)
    if terms.price_cost:
        return None
    known = "only the commission counts" if terms.has_commission else "no costs count"
    found = f"spread and slippage are not known: {known} in sizes and limits, and a stop may be at any distance"
    if isinstance(config.venue, PaperVenue):
        key = f"symbols.{symbol}.venue.spread"
        return Check(key, Health.WARN, found, f"set {key} and symbols.{symbol}.venue.slippage, in quote currency")
    key = f"symbols.{symbol}.risk.min_stop_fraction"
    remedy = f"have backtest_fills of the venue {config.venue.kind} return its costs, and set {key}"
    return Check(f"symbols.{symbol}.venue", Health.WARN, found, remedy)
