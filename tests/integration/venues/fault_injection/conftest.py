"""Books of a paper venue, which the fault-injecting venue wraps."""

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.venues.paper import PaperVenue
from tests.integration.venues.fault_injection.callers import AT_CLOSE, TERMS
from trading_orchestrator.testing.candles import OTHER, SYMBOL


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    engine = create_engine(sqlite_url, where="paper")
    yield engine
    engine.dispose()


@pytest.fixture
def paper(engine: Engine) -> PaperVenue:
    return PaperVenue(engine, {SYMBOL: TERMS, OTHER: TERMS})


@pytest.fixture
def at_close(engine: Engine) -> PaperVenue:
    """The same books, where market orders fill at once."""
    return PaperVenue(engine, {SYMBOL: AT_CLOSE, OTHER: AT_CLOSE})
