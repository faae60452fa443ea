"""A cursor or fence after the market's time, with a candle of tolerance."""

import pytest

from trading.market.timeframes import Timeframe
from trading.risk.fence import ahead_of_market

DAY_MS = 86_400_000
MARKET_MS = 20_000 * DAY_MS


@pytest.mark.parametrize(
    ("timeframe", "ahead_days", "is_reported"),
    [("1d", 1, False), ("1d", 2, True), ("1M", 31, False), ("1M", 32, True), ("1w", 7, False), ("1w", 8, True)],
)
def test_fence_after_the_market_is_reported_beyond_a_candle_of_its_timeframe(
    timeframe: str, ahead_days: int, is_reported: bool
) -> None:
    fence_ms = MARKET_MS + ahead_days * DAY_MS

    found = ahead_of_market("GOLD", MARKET_MS, fence_ms, market_ms=MARKET_MS, timeframe=Timeframe.parse(timeframe))

    assert ("its fence at" in found) == is_reported
    assert "its cursor" not in found
