"""The contract suites: test classes that check each promise of a port, for pytest to collect.

| Import | The test class defines | Port |
|---|---|---|
| `contracts.venue.VenueContract` | fixture `market`, returns a `Market` | `trading.ports.venue.Venue` |
| `contracts.source.SourceContract`, `PlayedSourceContract` | fixture `stage`, returns a `Stage` | `trading.ports.candle_source.CandleSource` |
| `contracts.store.SymbolStoreContract` | fixture `kept`, returns a `Kept` | `trading.ports.symbol_store.SymbolStore` |
| `contracts.ledger.DurableLedgerContract`, `BacktestLedgerContract` | fixture `make_subject`, returns a function that makes a `LedgerSubject` | `trading.ports.ledger.Ledger` |

A module imports the contract, not its parts, and subclasses it once for each implementation or set of terms.
"""  # noqa: E501

from importlib.util import find_spec

_MISSING = [name for name in ("pytest", "hypothesis") if find_spec(name) is None]
if _MISSING:
    raise ModuleNotFoundError(
        f"{__name__} needs pytest and hypothesis, and {' and '.join(_MISSING)} cannot be imported: "
        "pip install 'trading-orchestrator[testing]'",
        name=_MISSING[0],
    )

import pytest  # noqa: E402 - after the check, whose message says which package to install

for _name in ("ledger", "source", "store", "venue"):  # a failed assertion shows its values, as in a test module
    pytest.register_assert_rewrite(f"{__name__}.{_name}")
