"""Second stage: indicator values and the market regime at each new candle."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from trading.events.bus import LocalBus
from trading.events.event import Event, EventType, correlation_id
from trading.events.messages import IndicatorsUpdated, NewCandle
from trading.indicators.history import reaching_back
from trading.indicators.regime import Regime, RegimeRule, regime_reach, regimes
from trading.indicators.rows import IndicatorRows
from trading.market.candles import Candles
from trading.ports.symbol_store import SymbolStore
from trading.services.base import Service
from trading.services.message_checks import MessageChecks
from trading.strategies import StrategyFault
from trading.strategies.indicator_sharing import SharedIndicators


class IndicatorTerms(Struct, frozen=True):
    """The indicators to compute.

    Attributes:
        recent_rows_limit: Rows that the strategy sees at each candle.
        regime_rule: None leaves the regime unknown.
    """

    recent_rows_limit: int
    regime_rule: RegimeRule | None


_MOST_CANDLES = 100_000
"""Candles that are kept at most for a market that stands still."""


def history_count(reach_count: int, recent_rows_limit: int, regime_rule: RegimeRule | None) -> int:
    """Return how many candles before a new one its rows and its regime are computed from, while the market moves.

    Args:
        reach_count: The candles that decide a row of the symbol's strategies.
    """
    return max(reach_count + recent_rows_limit - 1, regime_rule.reach_count if regime_rule else 0)


def reach_of(
    candles: Candles, shared: SharedIndicators, recent_rows_limit: int, regime_rule: RegimeRule | None, *, count: int
) -> int:
    """Return how many of the newest candles decide rows and regimes at the last `count` of them.

    It is more than `history_count` where the market stands still, and more than there are where older ones would count.
    """
    least = history_count(shared.reach_count, recent_rows_limit, regime_rule) + count
    for part in (candles[-2 * least :], candles):  # the newest ones decide it, but where the market stands still
        needed = shared.reach(part, rows=recent_rows_limit - 1 + count)
        if regime_rule is not None:
            window = regime_rule.startup_candle_count
            needed = max(needed, regime_reach(part, regime_rule, window=window, count=count))
        if needed <= len(part) or len(part) == len(candles):
            break
    return min(needed, _MOST_CANDLES)


class IndicatorCalculationService(Service[NewCandle, IndicatorsUpdated]):
    """Computes the indicators of the symbol's strategies, from the stored window followed by the new candles."""

    def __init__(
        self,
        symbol: str,
        shared: SharedIndicators,
        store: SymbolStore,
        terms: IndicatorTerms,
        bus: LocalBus,
        *,
        now_s: Callable[[], float],
        is_enabled: bool = True,
        checks: MessageChecks | None = None,
    ) -> None:
        """Make the service.

        Args:
            checks: Of the messages; None where they never leave the process.
        """
        super().__init__(symbol, bus, now_s=now_s, is_enabled=is_enabled)
        self._checks = checks
        self._store = store
        self._terms = terms
        self._shared = shared
        self._regime_window = terms.regime_rule.startup_candle_count if terms.regime_rule else 0
        self.history_count = history_count(shared.reach_count, terms.recent_rows_limit, terms.regime_rule)
        self.reset()

    def reset(self) -> None:
        """Read the window from the store again."""
        self._recent = Candles.empty()
        self._rows: IndicatorRows | None = None

    def check(self, message: NewCandle) -> None:
        if self._checks is not None:
            self._checks.candles(message)

    def process(self, message: NewCandle) -> IndicatorsUpdated:
        new = message.candles
        history = self._history(message, new)
        candles = history.then(new)
        kept_count = max(self.history_count, self.reach(candles, 1))
        try:
            rows = self._computed(history, candles)
        except StrategyFault as fault:
            _, name = fault.owner
            raise fault.of(self.symbol, name) from fault.__cause__
        found = self._regimes(candles, len(new))
        self._bus.publish_lazily(lambda: self._changes(message, found))
        self._recent, self._rows = candles[-kept_count:], rows[-self._terms.recent_rows_limit :]
        carried = message.carried() | {"window_count": kept_count}
        updated = IndicatorsUpdated(**carried, rows=rows, regimes=found, known_count=len(candles))
        self._bus.publish(updated)
        return updated

    def _history(self, message: NewCandle, new: Candles) -> Candles:
        """Return the candles before the new ones: the cached ones as long as they end where the stored window ends."""
        before_ms = int(new.open_ms[0]) - 1
        if len(self._recent) and self._recent.last_open_ms == message.after_ms:
            return self._recent.until(before_ms)
        self._rows = None
        return self._stored(message.after_ms, new).until(before_ms)

    def _stored(self, until_ms: int, new: Candles) -> Candles:
        """Return the stored candles, as many as decide the rows of the new ones, or all where they are fewer."""

        def read(count: int) -> Candles:
            return self._store.window(self.symbol, count, until_ms=until_ms)

        def reach(history: Candles) -> int:
            return self.reach(history.until(int(new.open_ms[0]) - 1).then(new), len(new))

        return reaching_back(read, self.history_count, reach)

    def reach(self, candles: Candles, count: int) -> int:
        """Return how many of the newest candles decide rows and regimes at the last `count` of them."""
        terms = self._terms
        return reach_of(candles, self._shared, terms.recent_rows_limit, terms.regime_rule, count=count)

    def _computed(self, history: Candles, candles: Candles) -> IndicatorRows:
        """Return the rows of the new candles and of cached candles before them."""
        count, before = len(candles) - len(history), self._terms.recent_rows_limit - 1
        whole = min(before, max(0, len(history) - self._shared.window + 1))
        if self._rows is not None and len(history):
            kept = self._rows[: int(self._rows.open_ms.searchsorted(history.last_open_ms, side="right"))]
            if len(kept) >= whole:
                new = self._shared.compute(candles, rows=count)
                return kept[len(kept) - whole :].then(new)
        return self._shared.compute(candles, rows=before + count)

    def _regimes(self, candles: Candles, count: int) -> list[Regime]:
        rule = self._terms.regime_rule
        if rule is None:
            return [Regime.UNKNOWN] * count
        return regimes(candles, rule, window=self._regime_window, count=count)

    def _changes(self, message: NewCandle, found: list[Regime]) -> Iterator[Event]:
        before = message.regime
        for open_ms, regime in zip(message.candles.open_ms.tolist(), found, strict=True):
            if regime is not before and Regime.UNKNOWN not in (regime, before):
                yield Event(
                    type=EventType.REGIME_CHANGED,
                    symbol=message.symbol,
                    correlation_id=correlation_id(message.symbol, message.timeframe, open_ms),
                    market_ms=open_ms,
                    reason=f"{before.value} -> {regime.value}",
                    details={"before": before.value, "after": regime.value},
                )
            before = regime
