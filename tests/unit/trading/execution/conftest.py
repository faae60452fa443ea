"""A desk that holds a position."""

import pytest

from tests.fakes import Databases, Desk, planned, system_config
from tests.unit.trading.execution.desks import BUY, CLOSE, SHOWN
from trading_orchestrator.testing.candles import make_candles


@pytest.fixture
def desk(databases: Databases) -> Desk:
    """A desk that holds two units bought at its first decision, with a stop far away."""
    config = system_config(planned({SHOWN: BUY, SHOWN + 5: CLOSE}, stop_distance=50.0))
    desk = Desk(databases, config, make_candles(60), shown=SHOWN)
    desk.advance()
    desk.play(SHOWN + 2)
    return desk
