"""A stand-in for an exchange, to write an adapter against and to test it: HTTP on this machine, books in memory.

Replace it by the test account of your exchange. `POST /METHOD` with JSON calls a method of `Exchange`; a rejected call
is answered with 400 and the reason.
"""

import argparse
import math
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from adapters import clock
from adapters.venues.memory import MemoryVenue
from trading.errors import Rejected
from trading.market.candles import Candles
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import OrderRequest

Row = tuple[int, float, float, float, float, float]
"""Open time in milliseconds since the epoch, UTC; open, high, low, close in quote currency; volume."""


class Exchange:
    """The books of the exchange, and a market that moves along a sine: about 100, up and down in 25 minutes.

    Orders fill by the candles that `sync` brings; the market is what `candles` shows.
    """

    def __init__(self, symbols: Sequence[str], *, speed: float = 1.0, now_ms: Callable[[], int] = clock.now_ms) -> None:
        """Open the market now; `speed` is the seconds of market time in one real second."""
        self._venue = MemoryVenue({symbol: FillTerms(symbol=symbol) for symbol in symbols})
        self._now_ms, self._speed, self._opened_ms = now_ms, speed, now_ms()

    def submit(self, order: dict[str, Any]) -> Any:
        return self._venue.submit(msgspec.convert(order, OrderRequest))

    def cancel(self, client_order_id: str) -> Any:
        return self._venue.cancel(client_order_id)

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        self._venue.move_stop(entry_id, msgspec.convert(stop_loss, float), open_ms)  # JSON has null for NaN

    def find(self, client_order_id: str) -> Any:
        return self._venue.find(client_order_id)

    def sync(self, symbol: str, candles: list[Row]) -> int:
        return self._venue.sync(symbol, Candles.from_rows(candles))

    def fills(self, symbol: str, after: int) -> Any:
        return self._venue.fills(symbol, after=after)

    def positions(self) -> Any:
        return self._venue.positions()

    def open_orders(self, symbol: str) -> Any:
        return self._venue.open_orders(symbol)

    def clock_ms(self) -> int:
        return self._venue.clock_ms()

    def candles(
        self, bar_ms: int, limit: int, start_ms: int | None = None, end_ms: int | None = None
    ) -> tuple[int, list[Row]]:
        """Return market time, and at most `limit` candles: the first from `start_ms` on, else the last to `end_ms`."""
        as_of_ms = self._opened_ms + int((self._now_ms() - self._opened_ms) * self._speed)
        forming = as_of_ms // bar_ms
        if start_ms is not None:
            first = -(-start_ms // bar_ms)
            last = min(forming, first + limit - 1)
        else:
            last = forming if end_ms is None else min(forming, end_ms // bar_ms)
            first = last - limit + 1
        return as_of_ms, [_candle(number, bar_ms, is_forming=number == forming) for number in range(first, last + 1)]


METHODS = frozenset(name for name in vars(Exchange) if not name.startswith("_"))


def _price(at_ms: int) -> float:
    return round(100 + 5 * math.sin(at_ms / 240_000), 2)


def _candle(number: int, bar_ms: int, *, is_forming: bool) -> Row:
    """Return a candle; one that is forming shows its open alone, and no look-ahead."""
    open_ms = number * bar_ms
    opened = _price(open_ms)
    if is_forming:
        return open_ms, opened, opened, opened, opened, 0.0
    close = _price(open_ms + bar_ms)
    return open_ms, opened, max(opened, close) + 0.05, min(opened, close) - 0.05, close, 10.0


class ExchangeServer(ThreadingHTTPServer):
    """Serves one exchange, one call at a time; port 0 takes a free one, `url` has the real one."""

    daemon_threads = True

    def __init__(self, exchange: Exchange, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.exchange = exchange
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ExchangeServer

    def do_POST(self) -> None:
        method, body = self.path.removeprefix("/"), self.rfile.read(int(self.headers["Content-Length"]))
        try:
            if method not in METHODS:
                raise Rejected("unknown_method", f"{method!r}; expected one of {', '.join(sorted(METHODS))}")
            with self.server.lock:
                answer = getattr(self.server.exchange, method)(**msgspec.json.decode(body))
        except (Rejected, TypeError, msgspec.MsgspecError) as error:
            self._reply(400, str(error).encode())
        else:
            self._reply(200, msgspec.json.encode(answer))

    def _reply(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log no line for each call."""


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("symbols", nargs="+", help="Symbols that can be traded.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--speed", type=float, default=1.0, help="Seconds of market time in one real second.")
    options = parser.parse_args()
    ExchangeServer(Exchange(options.symbols, speed=options.speed), options.port).serve_forever()


if __name__ == "__main__":
    main()
