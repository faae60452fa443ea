"""The market of a venue that fills by the candles that it is shown."""

from dataclasses import dataclass

from trading.market.candles import Candles
from trading.ports.venue import Venue
from trading_orchestrator.testing.candles import MINUTE_MS, SYMBOL


@dataclass
class CandleMarket:
    """The `Market` of the venue contract, for a venue without latency: each move is a one-minute candle.

    Attributes:
        venue: The venue under test.
        price: Last price, in quote currency.
        now_ms: Open time of the next candle, milliseconds since the epoch, UTC.
    """

    venue: Venue
    price: float = 100.0
    now_ms: int = 1_000 * MINUTE_MS

    def move(self, price: float, *, symbol: str = SYMBOL) -> int:
        """Close a candle from the last price to `price`, and return the sequence number of the venue's newest fill."""
        high, low = max(price, self.price), min(price, self.price)
        bar = Candles.from_rows([[self.now_ms, self.price, high, low, price, 1.0]])
        self.price, self.now_ms = price, self.now_ms + MINUTE_MS
        return self.venue.sync(symbol, bar)

    def wait(self, seconds: float) -> None:
        """Accept no wait but 0 s: this venue shows an order at once.

        Raises:
            ValueError: `seconds` is not 0; give the venue a market of its own that waits.
        """
        if seconds != 0:
            raise ValueError(f"{seconds} s of visibility time; CandleMarket is for venues that show an order at once")
