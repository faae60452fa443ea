"""`trading_orchestrator.testing`: its names are sorted and documented; the front door needs no test library."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trading_orchestrator import testing
from trading_orchestrator.testing import ManualClock
from trading_orchestrator.testing.candles import OTHER, SYMBOL
from trading_orchestrator.testing.contracts import ledger, source, store, venue
from trading_orchestrator.testing.contracts.venue import orders

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "testing.md").read_text(encoding="utf-8")

WITHOUT_PYTEST = """
import sys
sys.modules.update({name: None for name in MISSING})
import trading_orchestrator, trading_orchestrator.testing
assert trading_orchestrator.backtest
try:
    import trading_orchestrator.testing.contracts
except ModuleNotFoundError as error:
    print(error)
"""


def run_without(*missing: str) -> str:
    code = WITHOUT_PYTEST.replace("MISSING", repr(missing))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_names_are_sorted_and_unique() -> None:
    names = testing.__all__

    assert len(set(names)) == len(names)
    assert names == sorted(names, key=lambda name: (not name.isupper(), name.lower() == name, name))


@pytest.mark.parametrize("name", testing.__all__)
def test_name_is_documented_on_its_page(name: str) -> None:
    assert f"`{name}`" in PAGE
    assert name.isupper() or getattr(testing, name).__doc__.strip()


def test_contracts_of_the_page_exist_and_are_documented() -> None:
    modules = {"ledger": ledger, "source": source, "store": store, "venue": venue}
    found = re.findall(r"^\| `(\w+)\.(\w+Contract)` \|", PAGE, flags=re.MULTILINE)

    assert {module for module, _ in found} == set(modules)
    assert all(getattr(modules[module], name).__doc__.strip() for module, name in found)


def test_example_of_the_page_is_a_contract_suite_of_both_symbols() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    namespace: dict[str, object] = {"__name__": "testing_page"}
    exec(compile(block, "testing.md", "exec", dont_inherit=True), namespace)

    assert issubclass(namespace["TestMyVenue"], venue.VenueContract)  # type: ignore[arg-type]
    assert (namespace["SYMBOL"], namespace["OTHER"]) == (SYMBOL, OTHER)


@pytest.mark.parametrize(
    ("missing", "named"),
    [(("pytest", "hypothesis"), "pytest and hypothesis cannot"), (("hypothesis",), "hypothesis cannot")],
)
def test_contracts_without_pytest_name_the_extra_and_the_rest_imports(missing: tuple[str, ...], named: str) -> None:
    message = run_without(*missing)

    assert named in message
    assert "pip install 'trading-orchestrator[testing]'" in message


def test_import_of_the_front_door_loads_no_test_library() -> None:
    code = "import sys, trading_orchestrator.testing; print(sorted({'pytest', 'hypothesis'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout == "[]\n"


def test_assertions_of_the_contracts_are_rewritten() -> None:
    assert all("@pytest_ar" in vars(module) for module in (orders, source, store))


def test_manual_clock_advanced_shows_the_later_time() -> None:
    clock = ManualClock(5_000)
    clock.advance(1.5)

    assert clock() == clock.now_ms == 6_500
