"""Which configuration decides on a symbol's candles, as a short digest: it stands beside each decision."""

import hashlib
import json

from configs.loading import SystemConfig

DIGEST_LENGTH = 8

_NOT_DECIDING = {"source", "on_quarantine"}
"""Where the candles come from, and what becomes of a position whose symbol is set aside."""


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
