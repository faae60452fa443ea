"""Encode candles compactly for the page, as compressed integer steps; `page.js` decodes them."""

import base64
import zlib
from typing import Any

import numpy as np

from trading.backtest.report.downsampling import joined
from trading.backtest.result import Floats
from trading.market.candles import CLOSE, HIGH, LOW, OPEN, Candles
from trading.market.timeframes import timeframe_ms

_MOST_DECIMALS = 12
_LARGEST_DIGITS = 310  # of a float
_INT32 = 2**31 - 1


def pack(symbol: str, timeframe: str, candles: Candles, *, most: int) -> dict[str, Any]:
    """Encode the candles of a symbol, JSON-safe.

    `packed` is base64 of zlib of int32, little-endian, column after column: seconds since the candle before, open
    minus the close before, close minus open, high minus the higher of both, the lower of both minus low; prices in
    `10 ** -decimals`.

    Args:
        candles: At least one.
        most: Maximum number of bars; more candles are merged, and `joined` is the number of candles per bar.
    """
    each = -(-len(candles) // most)
    bars = joined(candles, each=each)
    quoted = bars.values[:, [OPEN, HIGH, LOW, CLOSE]]
    decimals = decimals_of(quoted)
    opens, high, low, close = np.rint(quoted * 10.0**decimals).astype(np.int64).T
    at_s = bars.open_ms // 1000
    columns = (
        np.diff(at_s, prepend=at_s[0]),
        opens - np.append(0, close[:-1]),
        close - opens,
        high - np.maximum(opens, close),
        np.minimum(opens, close) - low,
    )
    packed = zlib.compress(np.concatenate(columns).astype("<i4").tobytes(), 9)
    return {
        "symbol": symbol,
        "timeframe": timeframe,
        "seconds": timeframe_ms(timeframe) // 1000 * each,
        "joined": each,
        "count": len(bars),
        "start": int(at_s[0]),
        "decimals": decimals,
        "packed": base64.b64encode(packed).decode("ascii"),
    }


def decimals_of(prices: Floats) -> int:
    """Return the number of decimals of the prices: at most 12, fewer if int32 requires; negative for huge prices."""
    highest = float(prices.max())
    allowed = max(count for count in range(-_LARGEST_DIGITS, _MOST_DECIMALS + 1) if highest * 10.0**count < _INT32)
    for count in range(allowed):
        scaled = prices * 10**count
        whole = np.rint(scaled)
        if np.array_equal(whole == 0, prices == 0) and np.allclose(scaled, whole, rtol=0, atol=1e-6):
            return count
    return allowed
