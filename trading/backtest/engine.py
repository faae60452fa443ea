"""Backtest engine: run symbols through their services in market-time order, in the largest possible batches."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice, takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading.errors import Broken
from trading.events.messages import SignalGenerated
from trading.services.chain import AdvanceSymbol, ChainOutcome, ChainResult
from trading.services.pipeline import SymbolPipeline
from trading.strategies.signal import Signal


class Moment(NamedTuple):
    """The time of a candle's decision: its close, then the position of its symbol among the others."""

    close_ms: int
    place: int


class Feed:
    """One symbol: the output of its first three services, and the executed part of it.

    Attributes:
        signals: All signals of its strategy so far, and exits requested by rules.
        candle_count: Candles executed so far.
    """

    def __init__(self, pipeline: SymbolPipeline, place: int) -> None:
        """Create the feed.

        Args:
            place: Among candles that close at the same time, those with the lower place are decided first.
        """
        self.symbol = pipeline.symbol
        self.signals: list[Signal] = []
        self.candle_count = 0
        self._pipeline = pipeline
        self._place = place
        self._batch: SignalGenerated | None = None
        self._closes: NDArray[np.int64] = np.empty(0, np.int64)
        self._signal_closes: list[int] = []
        self._unusual: Mapping[int, int] = {}
        self._executed = self._signaled = 0
        self._has_more = True

    @property
    def is_over(self) -> bool:
        return self._batch is None and not self._has_more

    @property
    def reach(self) -> Moment | None:
        """Latest moment up to which its candles are known; None when there are no more."""
        return None if self._batch is None else Moment(int(self._closes[-1]), self._place)

    @property
    def next_signal(self) -> Moment | None:
        """Moment of its next known signal; None for none."""
        if self._batch is None or self._signaled == len(self._batch.signals):
            return None
        return Moment(self._signal_closes[self._signaled], self._place)

    def refill(self) -> None:
        """Fetch the next batch once the last one is executed; skip batches in which nothing can happen.

        Raises:
            Broken: The services ended before the last candle.
        """
        while self._batch is None and self._has_more:
            handed_on = self._advance()
            if isinstance(handed_on, SignalGenerated):
                self._batch, self._executed, self._signaled = handed_on, 0, 0
                self._closes = handed_on.closes()
                self._signal_closes = [one.decided_ms(handed_on.timeframe) for one in handed_on.signals]
                self._unusual = handed_on.unusual_closes()
                self.signals += handed_on.signals

    def execute(self, until: Moment) -> None:
        """Give the venue the candles up to a moment, and decide the signals among them."""
        batch = self._batch
        if batch is None:
            return
        last = int(self._closes.searchsorted(until.close_ms - (self._place > until.place), side="right"))
        if last <= self._executed:
            return
        part, last_ms = slice(self._executed, last), int(batch.candles.open_ms[last - 1])
        signals = list(takewhile(lambda one: one.open_ms <= last_ms, islice(batch.signals, self._signaled, None)))
        changes = {
            "candles": batch.candles[part],
            "regimes": batch.regimes[part],
            "decisions": batch.decisions[part],
            "signals": signals,
            "closed_ms": self._unusual.get(last_ms),
        }
        self._pipeline.execute.handle(batch.model_copy(update=changes))
        self.signals += self._pipeline.execute.exited
        self.candle_count += last - self._executed
        self._executed, self._signaled = last, self._signaled + len(signals)
        if last == len(batch.candles):
            self._batch = None

    def _advance(self) -> SignalGenerated | None:
        """Run the first three services; None if they ended the chain without a result."""
        fetched = self._pipeline.fetch_or_protect(AdvanceSymbol(self.symbol))
        updated = fetched if isinstance(fetched, ChainResult) else self._pipeline.indicators.handle(fetched)
        generated = updated if isinstance(updated, ChainResult) else self._pipeline.strategy.handle(updated)
        if isinstance(generated, SignalGenerated):
            return generated
        if isinstance(fetched, ChainResult):
            self._has_more = False
            if fetched.reason is not ChainOutcome.NO_NEW_CANDLE:
                raise Broken(f"the backtest of {self.symbol} ended before the last candle: {fetched}")
        elif generated.reason is ChainOutcome.DISABLED:
            raise Broken(f"the backtest of {self.symbol} ended before the last candle: {generated}")
        else:
            self.candle_count += len(fetched.candles)
        return None


Together = Callable[[], AbstractContextManager[None]]


def play(
    feeds: Sequence[Feed],
    *,
    is_exposed: Callable[[str], bool],
    together: Together = nullcontext,
    on_progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Run all feeds to their ends.

    Each signal is decided once all earlier-closing candles of every symbol are processed, as if each candle were a
    batch of its own. A symbol without exposure and without a signal waits, because nothing can change there.

    Args:
        is_exposed: Return whether a symbol has an open position or an order that is not final.
        together: Context around symbols' steps that happen at the same market time.
        on_progress: Called periodically with the total number of executed candles.
    """
    while True:
        for feed in feeds:
            feed.refill()
        reaches = [reach for feed in feeds if (reach := feed.reach) is not None]
        if not reaches:
            return
        barrier = min(reaches)
        _play_until(barrier, feeds, is_exposed, together)
        on_progress(sum(feed.candle_count for feed in feeds))


def _play_until(barrier: Moment, feeds: Sequence[Feed], is_exposed: Callable[[str], bool], together: Together) -> None:
    while True:
        due = [(moment, feed) for feed in feeds if (moment := feed.next_signal) is not None and moment <= barrier]
        if not due:
            break
        moment, active = min(due, key=lambda one: one[0])
        others = [feed for feed in feeds if feed is not active]
        exposed = [feed for feed in others if is_exposed(feed.symbol)]
        if not exposed:
            # without exposure elsewhere, only the others' signals can come between its own
            active.execute(min((_before(one) for one, feed in due if feed is not active), default=barrier))
            continue
        with together():
            for feed in (*exposed, active):
                feed.execute(moment)
    with together():
        for feed in feeds:
            if feed.reach == barrier or is_exposed(feed.symbol):
                feed.execute(barrier)


def _before(moment: Moment) -> Moment:
    return Moment(moment.close_ms, moment.place - 1)
