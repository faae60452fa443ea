"""Segmentation of a batch: the parts in which the execution stage takes the candles of one message."""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from trading.market.candles import Candles
from trading.strategies.signal import Signal


class BatchStep(Struct, frozen=True):
    """One part of a batch.

    Attributes:
        candles: Shown to the venue together; at least one.
        signals: Signals at the close of the last of them.
        end: Number of the batch's candles up to and including this part.
        is_watched: The exit rules are evaluated at the close of the part, which is then one candle.
    """

    candles: Candles
    signals: Sequence[Signal]
    end: int
    is_watched: bool


def batch_steps(candles: Candles, signals: Sequence[Signal], is_watched: Callable[[int], bool]) -> Iterator[BatchStep]:
    """Yield the parts of a batch in order: each ends at a candle with signals, and a watched candle is a part alone.

    Args:
        signals: Signals of the batch, ordered by open time.
        is_watched: Returns whether exit rules are evaluated at the candle of an open time. It is called for each
            candle after the part before it was processed, because that part may have opened or closed a position.
    """
    for segment, at_end, end in _segments(candles, signals):
        done = end - len(segment)
        for part, part_is_watched in _parts(segment, is_watched):
            done += len(part)
            yield BatchStep(part, at_end if done == end else (), done, part_is_watched)


def _segments(candles: Candles, signals: Sequence[Signal]) -> Iterator[tuple[Candles, Sequence[Signal], int]]:
    """Cut the candles after each one with signals: (candles up to that one, its signals, number of candles so far).

    The candles after the last signal come last.
    """
    ends = candles.open_ms.searchsorted([signal.open_ms for signal in signals], side="right").tolist()
    begin, at = 0, 0
    while at < len(ends):
        end, first = ends[at], at
        while at < len(ends) and ends[at] == end:
            at += 1
        yield candles[begin:end], signals[first:at], end
        begin = end
    if begin < len(candles):
        yield candles[begin:], (), len(candles)


def _parts(segment: Candles, is_watched: Callable[[int], bool]) -> Iterator[tuple[Candles, bool]]:
    """Cut off one candle after the other while they are watched; the rest is one part.

    Yields:
        (candles, whether they are watched).
    """
    at = 0
    while at < len(segment) and is_watched(int(segment.open_ms[at])):
        yield segment[at : at + 1], True
        at += 1
    if at < len(segment):
        yield segment[at:], False
