"""A paper venue on SQLite and on PostgreSQL."""

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.venues.paper import PaperVenue
from tests.integration.venues.paper.paper_terms import START, TERMS
from trading_orchestrator.testing.candles import OTHER, SYMBOL


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url, where="paper")
    yield engine
    engine.dispose()


@pytest.fixture
def venue(engine: Engine) -> PaperVenue:
    return PaperVenue(engine, {SYMBOL: TERMS, OTHER: TERMS}, starting_cash=START)
