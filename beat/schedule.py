"""Schedule of messages: slots counted from the clock, so that delays do not add up."""

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from configs.fetch_interval import fetch_interval_s, is_aligned
from configs.loading import SystemConfig
from trading.market.timeframes import Timeframe


class Kind(StrEnum):
    """Kinds of messages; the first part of each message's id."""

    TICK = "tick"
    AGAIN = "again"
    RECONCILE = "reconcile"
    HEALTH = "health"
    STATUS = "status"


class ScheduledMessage(NamedTuple):
    """A periodic message; without a symbol it concerns all symbols."""

    kind: Kind
    symbol: str = ""

    def message_id(self, slot: int) -> str:
        """Return an id such as `tick:XAUUSD:59143893`, which two beats with the same clock give to a slot's message."""
        return ":".join(part for part in (*self, str(slot)) if part)


class Interval(Struct, frozen=True):
    """A schedule: due once in each slot, as soon as the slot begins.

    Attributes:
        every_s: Length of a slot.
        offset_s: Time from a multiple of `every_s` since the epoch to the beginning of a slot.
        life_s: Lifetime of a message in the queue; None for one slot.
        grid: Its slots in place of multiples of `every_s`: those of a calendar are of different lengths.
    """

    every_s: float
    offset_s: float = 0.0
    life_s: float | None = None
    grid: Timeframe | None = None

    def slot(self, now_s: float) -> int:
        """Return the number of the slot that has begun."""
        if self.grid is not None:
            return self.grid.slot(math.floor((now_s - self.offset_s) * 1000))
        return math.floor((now_s - self.offset_s) / self.every_s)

    def begins_s(self, slot: int) -> float:
        begins_s = slot * self.every_s if self.grid is None else self.grid.opens_ms(slot) / 1000
        return begins_s + self.offset_s


Timetable = Mapping[ScheduledMessage, Interval]


def timetable(system: SystemConfig) -> Timetable:
    """Return all messages that beat sends; ticks first, because trading depends on them."""
    orchestrator = system.orchestrator
    reconciles = Interval(orchestrator.reconcile_interval)
    return {
        **{ScheduledMessage(Kind.TICK, symbol): tick_interval(system, symbol) for symbol in system.symbols},
        **{ScheduledMessage(Kind.AGAIN, symbol): Interval(again_s) for symbol, again_s in _retries(system).items()},
        **{ScheduledMessage(Kind.RECONCILE, symbol): reconciles for symbol in system.symbols},
        ScheduledMessage(Kind.HEALTH): Interval(orchestrator.health_check_interval),
        ScheduledMessage(Kind.STATUS): Interval(orchestrator.status_log_interval),
    }


def tick_interval(system: SystemConfig, symbol: str) -> Interval:
    """Return the schedule of a symbol's ticks, in real time."""
    fetching, config = system.services.data_fetching, system.symbols[symbol]
    interval_s = fetch_interval_s(fetching, config)
    if not is_aligned(fetching, config):
        return Interval(interval_s)
    grid = config.grid
    is_regular = grid.is_fixed and grid.opens_ms(0) == 0
    return Interval(grid.length_ms / 1000, fetching.tick_offset, life_s=interval_s, grid=None if is_regular else grid)


def _retries(system: SystemConfig) -> dict[str, float]:
    """Return the intervals of checks for overdue candles, for symbols with ticks at the candle close."""
    fetching = system.services.data_fetching
    aligned = {symbol: config for symbol, config in system.symbols.items() if is_aligned(fetching, config)}
    return {symbol: fetch_interval_s(fetching, config) for symbol, config in aligned.items()}


class Slots:
    """Emit each slot of each message once; missed slots are not made up.

    Two beats with the same clock use the same slot numbers. A clock that is set back repeats slots, which is harmless:
    a tick contains no candle.
    """

    def __init__(self, timetable: Timetable) -> None:
        """Start with a timetable; the first slot of each message is due at once."""
        self._timetable = timetable
        self._sent: dict[ScheduledMessage, int] = {}

    def adopt(self, timetable: Timetable) -> None:
        """Switch to another timetable: unchanged messages keep their slot, new or changed ones are due at once."""
        self._sent = {
            message: slot for message, slot in self._sent.items() if timetable.get(message) == self._timetable[message]
        }
        self._timetable = timetable

    def due(self, now_s: float) -> Iterator[tuple[ScheduledMessage, int, Interval]]:
        """Yield (message, slot, interval) for each message with a due slot."""
        for message, interval in self._timetable.items():
            slot = interval.slot(now_s)
            if slot != self._sent.get(message):
                yield message, slot, interval

    def sent(self, message: ScheduledMessage, slot: int) -> None:
        """Record that a slot's message was sent."""
        self._sent[message] = slot

    def wait_s(self, now_s: float, *, most: float) -> float:
        """Return the seconds until the next slot of any message, at most `most`."""
        return max(0.0, min((*self._waits(now_s), most)))

    def _waits(self, now_s: float) -> Iterator[float]:
        for message, interval in self._timetable.items():
            slot = interval.slot(now_s)
            yield interval.begins_s(slot + 1) - now_s if slot == self._sent.get(message) else 0.0
