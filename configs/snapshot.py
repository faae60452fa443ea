"""A configuration as JSON that is identical on each machine: to compare, store, and agree on."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.errors import is_secret
from configs.loading import SystemConfig
from trading.formatting import MONEY_DECIMALS

Content = dict[str, Any]
"""`account`, `services`, `orchestrator`, and `symbols` by name, without default values."""

PACE = ("speed", "step")
"""Keys of a source that set its playback speed, not its candles."""

ORDER = "order_of_strategies"
"""Key for the order in which several strategies of a symbol are decided; absent for a single one."""

_DIGEST_LENGTH = 12
_OF_EVERY_PIPELINE = ("account", "services")


def content_of(system: SystemConfig, folder: Path) -> Content:
    """Convert a configuration to JSON: paths relative to its `folder`, and secrets as fingerprints."""
    content: Content = system.model_dump(mode="json", exclude_defaults=True)
    for symbol, config in content["symbols"].items():
        for name, value in system.symbols[symbol].source:
            if isinstance(value, Path) and name in config["source"]:
                config["source"][name] = os.path.relpath(value, folder.absolute())
        if len(config.get("strategies", ())) > 1:
            config[ORDER] = list(config["strategies"])  # the comparison of two mappings ignores their order
    masked: Content = _masked(content, ())
    return masked


def fingerprint(content: Content, symbol: str) -> str:
    """Return a digest of everything that a symbol's services are built from."""
    return _digest([content["symbols"][symbol], *(content[part] for part in _OF_EVERY_PIPELINE)])


def fingerprint_of_all(content: Content) -> str:
    """Return a digest of the whole configuration."""
    return _digest(content)


def market_of(content: Content, symbol: str) -> tuple[str, str]:
    """Return (digest of a symbol's candle source, its playback speed)."""
    source = content["symbols"][symbol]["source"]
    settings = {key: value for key, value in source.items() if key not in PACE}
    return _digest(settings), str(source.get("speed", ""))


def follow(old: SystemConfig, found: SystemConfig, applied: Content, folder: Path) -> tuple[SystemConfig, list[str]]:
    """Return the configuration that a process continues with, and the parts that differ from the applied one.

    A process takes from its files the parts that equal the applied configuration, and otherwise keeps its present ones:
    files are edited before they are applied, and copied to other machines afterwards.

    Args:
        old: The process's present configuration.
        found: Present content of its files, in `folder`.
        applied: The configuration applied last.

    Returns:
        The configuration, its symbols in the applied order, and the name of each part that differs from the applied
        one: `XAUUSD`, `account`, `services`.
    """
    seen = content_of(found, folder)
    parts = {part: found if seen[part] == applied[part] else old for part in seen if part != "symbols"}
    behind = [part for part, taken in parts.items() if taken is old]
    symbols = {}
    for name, config in applied["symbols"].items():
        if seen["symbols"].get(name) == config:
            symbols[name] = found.symbols[name]
        else:
            behind.append(name)
            symbols |= {name: old.symbols[name]} if name in old.symbols else {}
    # started by an operator with files that were not applied: symbols that only those files have are wanted too
    own = {name: config for name, config in old.symbols.items() if name not in symbols and name in found.symbols}
    update = {part: getattr(taken, part) for part, taken in parts.items()}
    return old.model_copy(update={**update, "symbols": {**symbols, **own}}), behind


def _masked(node: Any, path: tuple[str, ...]) -> Any:
    if isinstance(node, Mapping):
        return {key: _masked(value, (*path, str(key))) for key, value in node.items()}
    return f"*** {_digest(node)}" if isinstance(node, str) and is_secret(path) else node


def _digest(node: Any) -> str:
    text = json.dumps(node, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


DIGEST_LENGTH = 8

_NOT_DECIDING = {"source", "on_quarantine", "on_unprotected", "quote_currency"}
"""The source of the candles, the treatment of a position that is quarantined or lacks its stop, and the currency, which
is the account's.
"""
_NOT_DECIDING_OF_ACCOUNT = {"on_unprotected", "currency", "decimals"}
"""The currency is a name; the decimals of money are a part of their own, because they are in the texts of decisions."""


def deciding_digest(system: SystemConfig, symbol: str) -> str:
    """Return a digest of everything that a decision on the symbol depends on, except its candles and the books.

    That is its strategy, risk, entry and venue terms, the limits of the account, and the settings of the services.
    Default values are ignored, so a new setting changes no digest.
    """
    services = system.services
    parts = [
        system.symbols[symbol].model_dump(mode="json", exclude_defaults=True, exclude=_NOT_DECIDING),
        system.account.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_DECIDING_OF_ACCOUNT),
        services.indicator_calculation.model_dump(mode="json", exclude_defaults=True),
        services.strategy_evaluation.model_dump(mode="json", exclude_defaults=True),
        services.trade_execution.model_dump(mode="json", exclude_defaults=True),
    ]
    books = list(system.symbols[symbol].books)
    if len(books) > 1:
        parts.append({"order": books})  # a limit may leave room for the first strategy only
    if system.account.money_decimals != MONEY_DECIMALS:
        parts.append({"money_decimals": system.account.money_decimals})
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
