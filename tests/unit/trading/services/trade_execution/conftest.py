"""A desk that buys and closes."""

import pytest

from tests.fakes import Databases, Desk
from tests.unit.trading.services.trade_execution.desks import BUY, CLOSE, SHOWN, make_desk


@pytest.fixture
def desk(databases: Databases) -> Desk:
    """A desk that will buy at the next candle, and close three candles later."""
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: CLOSE})
    desk.advance()
    return desk
