"""The fence of a strategy: the open time of the newest candle that was decided on."""

from trading.errors import InvalidMessage
from trading.formatting import format_time
from trading.market.timeframes import Timeframe

RULE = "fence_jump"


def check_fence(fence_ms: int | None, open_ms: int, latest_ms: int | None) -> None:
    """Check that a decision does not move the fence beyond the market's present.

    A fence in the future would keep the symbol from deciding until the market has come as far.

    Args:
        fence_ms: The fence before, milliseconds since the epoch, UTC; None before the first decision.
        open_ms: Open time of the candle to decide on.
        latest_ms: The latest market time possible now; None for no limit.

    Raises:
        InvalidMessage: The candle opens at or after `latest_ms`, or before 1970.
    """
    if open_ms < 0:
        raise InvalidMessage(RULE, f"a candle that opened at {open_ms} ms, before 1970, cannot be decided on")
    if latest_ms is None or open_ms < latest_ms:
        return
    before = "before the first decision" if fence_ms is None else f"now at {format_time(fence_ms)}"
    reason = f"the candle of {format_time(open_ms)} lies after the market time {format_time(latest_ms)}"
    raise InvalidMessage(RULE, f"{reason}; the fence stays {before}")


def ahead_of_market(
    symbol: str, cursor_ms: int | None, fence_ms: int | None, *, market_ms: int, timeframe: Timeframe
) -> str:
    """Describe a cursor or fence in the future, empty for none; times in milliseconds since the epoch, UTC.

    Args:
        cursor_ms: Open time of the last candle decided, by the symbol store.
        fence_ms: The same by the ledger, for decisions on a signal.
        market_ms: Present time of the market; a candle of tolerance is allowed.
        timeframe: Of the candles.
    """
    decided = (("cursor", cursor_ms), ("fence", fence_ms))
    found = [(name, ms) for name, ms in decided if ms is not None and ms > market_ms + timeframe.longest_ms]
    if not found:
        return ""
    where = " and ".join(f"its {name} at {format_time(ms)}" for name, ms in found)
    return (
        f"{symbol} has {where}, after the market time {format_time(market_ms)}: until then it decides nothing. Set it "
        f"back to the last candle decided: celery -A tasks trading fence reset {symbol} --to TIME --reason ..."
    )
