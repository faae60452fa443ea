"""The README is true: every command in it is run as it stands, and what it says can be seen.

One system, started by `make run` in a copy of the checkout, serves all commands that look at a running system.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.commands.readme_commands import OWN_CANDLES, SHOWN
from tests.fixtures.apps.running import Checkout
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.readme import README, Product, blocks, inline_commands, own_code, own_strategy, typed_commands
from tests.fixtures.servers.redis_server import RedisServer

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """`make run` in a copy of the checkout, since everything was started."""
    folder = tmp_path_factory.mktemp("readme")
    checkout = Checkout(folder)
    server = RedisServer(folder / "apart").start()
    try:
        terminal = checkout.make_run()
        terminal.wait_for_output("logs in")
        with checkout.stores() as stores:
            yield Product(checkout, terminal, stores, server)
    finally:
        checkout.close()
        server.stop()


@pytest.fixture(scope="module")
def mine(product: Product) -> Path:
    """The folder of one's own that the README describes: copied configuration, own candles, the strategy it shows."""
    root = product.checkout.root
    product.checkout.run("cp -r configs mine")
    (root / "my_strategies.py").write_text(own_code(), encoding="utf-8")
    write_candles(root / "mine" / "gold.csv.gz", generated_candles("XAUUSD", OWN_CANDLES))
    file = root / "mine" / "symbols.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["symbols"]["XAUUSD"] |= yaml.safe_load(blocks("yaml")[0])
    content["symbols"]["BTCUSD"] |= own_strategy()
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


@pytest.mark.parametrize("command", [*typed_commands(), *inline_commands()])
def test_readme_command_run_as_it_stands_shows_what_is_promised(product: Product, mine: Path, command: str) -> None:
    assert command in SHOWN, f"the README has a command that no test knows how to run: {command}"
    SHOWN[command](product, command)


def test_readme_tests_know_no_command_that_the_readme_has_lost() -> None:
    assert set(SHOWN) <= {*typed_commands(), *inline_commands()}


def test_run_writes_nothing_outside_of_var(product: Product, mine: Path) -> None:
    new = product.checkout.listing() - product.checkout.files
    assert {path.split("/")[0] for path in new} == {"var", "mine", "my_strategies.py"}


def test_wrong_value_names_file_key_value_and_allowed_and_nothing_starts(product: Product, mine: Path) -> None:
    product.checkout.run("cp -r mine wrong && sed -i.bak 's/units: 10.*/units: -10/' wrong/symbols.yaml")
    output = product.checkout.fail("make run", 2, TRADING__CONFIG_DIR="wrong", TRADING__VAR_DIR="new")
    line = next(line for line in output.splitlines() if "units" in line)
    assert all(word in line for word in ("symbols.yaml", "XAUUSD", "-10", "above 0")), output
    assert not (product.checkout.root / "new").exists()


def test_value_from_the_environment_goes_before_the_file(product: Product) -> None:
    name, value = re.search(r"`(TRADING__SYMBOLS__\w+)=(\w+)`", README).groups()  # type: ignore[union-attr]
    shown = product.checkout.run("celery -A tasks trading config show --json", **{name: value})
    assert json.loads(shown)["symbols"]["XAUUSD"]["risk"]["units"] == float(value)
