"""The terms of requests to a candle source."""

from collections.abc import Callable

from msgspec import Struct

from trading.market.candles import Candles

BATCH_LIMIT = 500
"""Most candles in one message, while a symbol catches up."""


class FetchTerms(Struct, frozen=True):
    """The terms of requests to a source.

    Attributes:
        retry_attempts: Retries after a failed request.
        retry_delay_s: Wait before the first retry; it doubles with each.
        candle_index: Position of the last closed bar, counted from the newest: 1 is the newest.
        nbr_bars: Number of newest bars requested.
        batch_limit: Most candles in one batch; the rest follows with the next wake-up.
        history_count: Candles before the first one decided, for the indicators to begin with.
        repeat_last: Without a new candle the last one is passed on again, so that every tick is evaluated.
        is_replay: The source plays history: each candle counts as seen at its own close.
        allow_non_positive: Prices may be zero or negative.
        reach: Returns how many of the newest candles the indicators need; more than there are where older ones count.
            None asks for `history_count` candles.
        place_of: Returns the place of the candle with this open time (milliseconds since the epoch), such as file and
            line.
        phase_ms: Time after a full unit of the timeframe's grid at which the candles begin.
    """

    retry_attempts: int
    candle_index: int
    nbr_bars: int
    history_count: int
    repeat_last: bool = False
    retry_delay_s: float = 0.2
    batch_limit: int = BATCH_LIMIT
    is_replay: bool = False
    reach: Callable[[Candles], int] | None = None
    allow_non_positive: bool = False
    place_of: Callable[[int], str] | None = None
    phase_ms: int = 0
