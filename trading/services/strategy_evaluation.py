"""Third stage: evaluates the strategies at each new candle, and validates their signals."""

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter

import numpy as np
from msgspec import Struct

from trading.errors import Rejected
from trading.events.bus import LocalBus
from trading.events.decisions import NO_SIGNAL, CandleDecision, DecisionKind, Decisions, RecordedSignal
from trading.events.event import Event, EventType, correlation_id, of_signal
from trading.events.messages import IndicatorsUpdated, SignalGenerated
from trading.indicators.regime import Regime
from trading.indicators.rows import IndicatorRows
from trading.risk.signal_filters import EntryRules
from trading.risk.signal_filters import refusal as entry_refusal
from trading.services.base import Service
from trading.services.batch_commit import BatchCommitter
from trading.services.chain import ChainOutcome, ChainResult
from trading.services.message_checks import MessageChecks
from trading.strategies import PositionRule, Strategy, StrategyFault
from trading.strategies.indicator_sharing import SharedIndicators
from trading.strategies.invocation import signals_of
from trading.strategies.signal import Refusal, Signal, SignalSide
from trading.trading_state import permissions


class StrategyTerms(Struct, frozen=True):
    """The terms of strategy evaluation.

    Attributes:
        min_rows_required: With fewer rows no strategy is evaluated.
    """

    min_rows_required: int


class StrategyEvaluationService(Service[IndicatorsUpdated, SignalGenerated]):
    """Evaluates each strategy, validates entries, and ends the chain if there is neither a signal nor a position.

    A signal with a rejected entry is passed on: the ledger records it, so that no late message can act on it again.
    """

    def __init__(
        self,
        symbol: str,
        strategies: Mapping[str, Strategy],
        shared: SharedIndicators,
        entry_rules: EntryRules,
        committer: BatchCommitter,
        terms: StrategyTerms,
        bus: LocalBus,
        *,
        now_s: Callable[[], float],
        is_enabled: bool = True,
        checks: MessageChecks | None = None,
    ) -> None:
        """Create the service.

        Args:
            strategies: By the name of its book, which owns its positions and decisions; in the order in which the
                signals of one candle are decided.
            shared: Indicators of the same strategies.
            checks: Of the messages; None where they never leave the process.
        """
        super().__init__(symbol, bus, now_s=now_s, is_enabled=is_enabled)
        self._checks = checks
        self._strategies = strategies
        self._shared = shared
        self._entry_rules = entry_rules
        self._committer = committer
        self._terms = terms
        self._is_managing = any(isinstance(one, PositionRule) for one in strategies.values())

    def check(self, message: IndicatorsUpdated) -> None:
        if self._checks is not None:
            self._checks.candles(message)
            self._checks.rows(message)

    def process(self, message: IndicatorsUpdated) -> SignalGenerated | ChainResult:
        judged = self._judge_candles(message)
        if judged.signals or message.has_exposure:
            return self._hand_on(message, judged)
        self._committer.commit(message, message.candles, judged.decisions, message.regimes)
        return ChainResult(
            judged.end, has_more=message.has_more, cursor_ms=message.last_open_ms, decisions=judged.decisions[-1]
        )

    def _judge_candles(self, message: IndicatorsUpdated) -> "_Judged":
        rows, candles, required = message.rows, message.candles, self._terms.min_rows_required
        found = self._signals_of_batch(message, rows)
        row_counts = rows.open_ms.searchsorted(candles.open_ms, side="right")
        decisions: list[Decisions] = [NO_SIGNAL] * len(candles)
        signals: list[Signal] = []
        validated_at: dict[int, list[Signal]] = {}
        ends = message.unusual_closes() if found else {}
        for at in np.flatnonzero(row_counts < required).tolist():
            decisions[at] = (self._too_few_rows(message, at, int(row_counts[at])),)
        for signal in found:
            at = int(candles.open_ms.searchsorted(signal.open_ms))
            if row_counts[at] >= required:
                if closed_ms := ends.get(signal.open_ms):
                    signal = signal.model_copy(update={"closed_ms": closed_ms})  # noqa: PLW2901  # the same, dated
                validated = self._validate(message, signal, message.regimes[at])
                signals.append(validated)
                validated_at.setdefault(at, []).append(validated)
        for at, of_candle in validated_at.items():
            decisions[at] = tuple(map(self._decision, of_candle))
        silent = ChainOutcome.NO_SIGNAL if permissions(message.desired).entries else ChainOutcome.PAUSED
        return _Judged(ChainOutcome.TOO_FEW_ROWS if row_counts[-1] < required else silent, decisions, signals)

    def _too_few_rows(self, message: IndicatorsUpdated, at: int, row_count: int) -> CandleDecision:
        required, later = self._terms.min_rows_required, len(message.candles) - 1 - at
        return CandleDecision(
            DecisionKind.TOO_FEW_ROWS,
            row_count=row_count,
            required_row_count=required,
            candle_count=max(0, message.known_count - later),
            required_candle_count=self._shared.window + required - 1 if message.known_count else 0,
        )

    def _signals_of_batch(self, message: IndicatorsUpdated, rows: IndicatorRows) -> list[Signal]:
        """Evaluate each strategy once for the whole batch, and return the signals: by candle, then in evaluation
        order.
        """
        count = min(len(rows), len(message.candles))
        if count == 0 or len(rows) < self._terms.min_rows_required:
            return []
        signals: list[Signal] = []
        for name, strategy in self._strategies.items():
            frame = self._shared.rows_of(name, rows).frame()
            try:
                signals += signals_of(strategy, frame, last=count, name=name)[0]
            except StrategyFault as fault:
                raise fault.of(self.symbol, name) from fault.__cause__
        return signals if self._is_only_strategy else sorted(signals, key=attrgetter("open_ms"))

    def _decision(self, signal: Signal) -> CandleDecision:
        name = "" if self._is_only_strategy else signal.strategy
        return CandleDecision(
            DecisionKind.SIGNAL, name, signal=RecordedSignal(signal.side.value, signal.price, signal.reason)
        )

    @property
    def _is_only_strategy(self) -> bool:
        return len(self._strategies) == 1

    def _validate(self, message: IndicatorsUpdated, signal: Signal, regime: Regime) -> Signal:
        """Return the signal with the reason why it may not open a position.

        It may still close an opposite position.
        """
        refusal = self._refusal(message, signal, regime)
        if signal.open_ms > message.after_ms:  # a repeated candle was reported before
            validated = signal
            self._bus.publish_lazily(lambda: self._signal_events(message, validated, refusal))
        if refusal is not None:
            signal = signal.model_copy(update={"entry_refused": Refusal(rule=refusal.rule, reason=refusal.reason)})
        return signal

    def _refusal(self, message: IndicatorsUpdated, signal: Signal, regime: Regime) -> Rejected | None:
        if signal.side is not SignalSide.CLOSE and not permissions(message.desired).entries:
            return Rejected("paused", "the symbol is paused: nothing is opened, what is open stays protected")
        seen_ms = message.seen_signal_ms(signal)
        return entry_refusal(signal, self._entry_rules, timeframe=message.timeframe, as_of_ms=seen_ms, regime=regime)

    def _hand_on(self, message: IndicatorsUpdated, judged: "_Judged") -> SignalGenerated:
        generated = SignalGenerated(
            **message.carried(),
            signals=judged.signals,
            regimes=message.regimes,
            decisions=judged.decisions,
            rows=message.rows.since(int(message.candles.open_ms[0])) if self._is_managing else None,
        )
        self._bus.publish(generated)
        return generated

    def _signal_events(self, message: IndicatorsUpdated, signal: Signal, refusal: Rejected | None) -> Iterator[Event]:
        cause = correlation_id(self.symbol, message.timeframe, signal.open_ms)
        yield of_signal(EventType.SIGNAL_GENERATED, self.symbol, signal, cause)
        if refusal is None:
            yield of_signal(EventType.SIGNAL_VALIDATED, self.symbol, signal, cause)
        else:
            yield of_signal(
                EventType.SIGNAL_REJECTED, self.symbol, signal, cause, reason=refusal.reason, rule=refusal.rule
            )


class _Judged(Struct, frozen=True):
    """The result of a batch: the outcome of a chain that ends with it, the decisions on each candle, the signals."""

    end: ChainOutcome
    decisions: list[Decisions]
    signals: list[Signal]
