"""Import paths that the documents showed before they moved: each still works, and warns."""

import importlib
import pkgutil

import pytest

SHOWN = [
    ("trading.candles", "Candles"),
    ("trading.checked_venue", "ValidatedVenue"),
    ("trading.report", "report_of"),
    ("trading.strategies", "load_strategy"),
    ("trading.strategies.registry", "strategy_class"),
    ("trading.strategies.ema_cross", "EmaCross"),
    ("adapters.replay", "replay"),
    ("adapters.lying", "Faults"),
    ("adapters.lying", "LyingVenue"),
    ("adapters.venues.fault_injection.venue", "LyingVenue"),
    ("configs.load", "load_system"),
    ("trading.ports", "Venue"),
    ("trading.ports", "Intent"),
    ("tasks.orchestrators", "in_this_process"),
    ("tasks.orchestrators", "of_the_cluster"),
]
"""(Old module, name), as README.md and docs/ showed them."""


@pytest.mark.parametrize(("module", "name"), SHOWN)
def test_moved_name_is_found_by_its_old_path_with_a_warning(module: str, name: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"^{module}\.{name} is now [\w.]+\. ") as warned:
        found = getattr(importlib.import_module(module), name)

    path = str(warned[0].message).split(" is now ")[1].split(". ")[0]
    assert found == pkgutil.resolve_name(path)


def test_moved_module_without_the_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'trading\.candles' has no attribute 'Nothing'"):
        _ = importlib.import_module("trading.candles").Nothing


@pytest.mark.parametrize(
    "module", ["trading.strategies", "trading.indicators", "adapters.sources.file", "trading.errors"]
)
def test_path_that_stays_is_imported_without_a_warning(module: str) -> None:
    exported = importlib.import_module(module)

    assert all(hasattr(exported, name) for name in getattr(exported, "__all__", ()))
