"""How faults are configured, and the examples of the document about them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.venues import open_paper
from adapters.venues.fault_injection.venue import Faults
from adapters.venues.paper import PaperVenue
from adapters.wiring import venues
from configs.loading import load_system
from configs.plugins.venues import PaperVenue as PaperVenueConfig
from configs.settings import Settings
from configs.symbols import SymbolConfig
from tests.integration.venues.fault_injection.callers import order
from trading.errors import Transient
from trading.execution.validated_venue import ValidatedVenue
from trading.orders.orders import OrderState
from trading.ports.venue import VenueTerms
from trading_orchestrator.testing.candles import OTHER, SYMBOL

ROOT = Path(__file__).parents[4]


@pytest.fixture
def installation(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of a system; a process keeps its venues to its end, so here the engines are closed from outside."""
    engines: list[Engine] = []

    def record_engine(url: str, *, where: str) -> Engine:
        engines.append(create_engine(url, where=where))
        return engines[-1]

    monkeypatch.setattr(open_paper, "create_engine", record_engine)
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    yield Settings(var_dir=tmp_path, paper_url=SecretStr(url))
    for engine in engines:
        engine.dispose()


def symbols_with(**environ: str) -> dict[str, SymbolConfig]:
    config = load_system(ROOT / "configs", {f"TRADING__SYMBOLS__{name}": value for name, value in environ.items()})
    return dict(config.symbols)


def test_open_venues_lie_where_it_is_configured_and_say_so(
    installation: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    symbols = symbols_with(XAUUSD__VENUE__FAULTS="{timeout_after_probability: 1.0, visibility_s: 30}")
    opened = venues.open_venues(installation, symbols)

    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "venue_lies_on_purpose symbol=XAUUSD" in warning.getMessage()
    assert "'timeout_after_probability': 1.0" in warning.getMessage()
    honest = order(1, symbol=OTHER, client_order_id="other")
    assert opened[OTHER].submit(honest) == opened[OTHER].find("other")
    with pytest.raises(Transient):
        opened[SYMBOL].submit(order(1))
    again = venues.open_venues(installation, symbols)
    assert opened[SYMBOL].find(order(1).client_order_id) is None
    assert again[SYMBOL].find(order(1).client_order_id) is None, "hidden from the next process too"
    known = venues.open_venues(installation, symbols_with())[SYMBOL].find(order(1).client_order_id)
    assert known is not None
    assert known.state is OrderState.ACCEPTED


def test_open_venues_check_the_answers_of_a_venue_without_faults(
    installation: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    opened = venues.open_venues(installation, symbols_with())

    assert {name: type(venue) for name, venue in opened.items()} == {SYMBOL: ValidatedVenue, OTHER: ValidatedVenue}
    assert opened[SYMBOL].terms == VenueTerms(0.0)
    assert caplog.records == []


DOCUMENT = (ROOT / "docs" / "how-to" / "inject-faults.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", DOCUMENT, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


def test_document_example_round_an_own_adapter_runs(paper: PaperVenue, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("python"), "lying-venue.md", "exec"), {"my_venue": paper, "request": order(1)})

    unknown, found = capsys.readouterr().out.splitlines()
    assert unknown.startswith("not known: fault-injecting venue: submit: no answer")
    assert found == f"found: {paper.find(order(1).client_order_id)}"


def test_document_example_of_the_configuration_names_every_lie() -> None:
    faults = yaml.safe_load(block("yaml"))["venue"]["faults"]
    [symbol, _] = symbols_with(XAUUSD__VENUE__FAULTS=yaml.safe_dump(faults, default_flow_style=True)).values()

    assert isinstance(symbol.venue, PaperVenueConfig)
    assert symbol.venue.faults == Faults(**faults)
    assert set(Faults.model_fields) - set(faults) == {"most_in_a_row", "timeout_s", "retry_after_s"}
    assert [name for name in Faults.model_fields if f"`{name}`" not in DOCUMENT and name != "seed"] == []
