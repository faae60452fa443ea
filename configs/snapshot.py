"""A whole configuration as JSON that is the same on each machine: to compare, to keep, and to agree on."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.errors import is_secret
from configs.loading import SystemConfig

Content = dict[str, Any]
"""`account`, `services`, `orchestrator`, and `symbols` by name, without what is as by default."""

PACE = ("speed", "step")
"""What of a source says how fast it is played, and not what it plays."""

ORDER = "order_of_strategies"
"""In which several strategies of a symbol are decided on; left out where there is one."""

_DIGEST_LENGTH = 12
_OF_EVERY_PIPELINE = ("account", "services")


def content_of(system: SystemConfig, folder: Path) -> Content:
    """Return a configuration as JSON: paths from `folder`, where its files are, and secrets as fingerprints."""
    content: Content = system.model_dump(mode="json", exclude_defaults=True)
    for symbol, config in content["symbols"].items():
        for name, value in system.symbols[symbol].source:
            if isinstance(value, Path) and name in config["source"]:
                config["source"][name] = os.path.relpath(value, folder.absolute())
        if len(config.get("strategies", ())) > 1:
            config[ORDER] = list(config["strategies"])  # which is not what makes two mappings differ
    masked: Content = _masked(content, ())
    return masked


def fingerprint(content: Content, symbol: str) -> str:
    """Return a digest of all that a symbol's services are built of."""
    return _digest([content["symbols"][symbol], *(content[part] for part in _OF_EVERY_PIPELINE)])


def fingerprint_of_all(content: Content) -> str:
    """Return a digest of the whole configuration."""
    return _digest(content)


def market_of(content: Content, symbol: str) -> tuple[str, str]:
    """Return (digest of where a symbol's candles come from, how fast they are played)."""
    source = content["symbols"][symbol]["source"]
    tape = {key: value for key, value in source.items() if key not in PACE}
    return _digest(tape), str(source.get("speed", ""))


def follow(old: SystemConfig, found: SystemConfig, applied: Content, folder: Path) -> tuple[SystemConfig, list[str]]:
    """Return what a process goes on with, and what of it is not as it was applied.

    Of what its files say a process takes what was applied, and else keeps what it has: files are edited before they are
    applied, and copied to other machines after.

    Args:
        old: What the process has.
        found: What its files say now, in `folder`.
        applied: What was applied last.

    Returns:
        The configuration, its symbols in the order in which they were applied, and the name of each part that is not
        as it was applied: `XAUUSD`, `account`, `services`.
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
    # begun by a person with files that were not applied: what only those files have is no less wanted
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

_NOT_DECIDING = {"source", "on_quarantine"}
"""Where the candles come from, and what becomes of a position whose symbol is quarantined."""


def deciding_digest(system: SystemConfig, symbol: str) -> str:
    """Return a digest of all that a decision on the symbol depends on, beside its candles and the books.

    That is its strategy, risk, entry and venue terms, the limits of the account, and what the services compute of.
    What is as by default counts nothing, so a new setting changes no digest.
    """
    services = system.services
    parts = [
        system.symbols[symbol].model_dump(mode="json", exclude_defaults=True, exclude=_NOT_DECIDING),
        system.account.model_dump(mode="json", exclude_defaults=True),
        services.indicator_calculation.model_dump(mode="json", exclude_defaults=True),
        services.strategy_evaluation.model_dump(mode="json", exclude_defaults=True),
        services.trade_execution.model_dump(mode="json", exclude_defaults=True),
    ]
    books = list(system.symbols[symbol].books)
    if len(books) > 1:
        parts.append({"order": books})  # the first one may take what a limit leaves
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
