"""Third stage: what the strategy says of each new candle, and whether it may be said."""

from collections.abc import Callable
from dataclasses import dataclass

from trading.bus import LocalBus
from trading.chronicle import Chronicle
from trading.entry import EntryRules
from trading.entry import refusal as entry_refusal
from trading.errors import Rejected
from trading.events import (
    Event,
    EventType,
    IndicatorsUpdated,
    Refusal,
    Regime,
    Signal,
    SignalGenerated,
    SignalSide,
    correlation_id,
)
from trading.flow import SILENT, End, EndReason
from trading.indicators import IndicatorRows
from trading.lifecycle import DesiredState
from trading.services.base import Service
from trading.strategies import Strategy


@dataclass(frozen=True, slots=True)
class StrategyTerms:
    """When to ask the strategy.

    Attributes:
        name: The strategy's book: positions and decisions are kept under it.
        min_rows_required: With fewer rows the strategy is not asked.
    """

    name: str
    min_rows_required: int


class StrategyEvaluationService(Service[IndicatorsUpdated, SignalGenerated]):
    """Asks the strategy, validates entries, and ends the chain when neither a signal nor a position needs more.

    A signal whose entry is refused goes on: the ledger writes it down, so that no late message can act on it again.
    """

    def __init__(
        self,
        symbol: str,
        strategy: Strategy,
        entry_rules: EntryRules,
        chronicle: Chronicle,
        terms: StrategyTerms,
        bus: LocalBus,
        *,
        now_s: Callable[[], float],
        is_enabled: bool = True,
    ) -> None:
        super().__init__(symbol, bus, now_s=now_s, is_enabled=is_enabled)
        self._strategy = strategy
        self._entry_rules = entry_rules
        self._chronicle = chronicle
        self._terms = terms

    def process(self, message: IndicatorsUpdated) -> SignalGenerated | End:
        verdicts = self._judge_candles(message)
        signals = [verdict.signal for verdict in verdicts if verdict.signal is not None]
        decisions = [verdict.text for verdict in verdicts]
        if signals or message.has_exposure:
            return self._hand_on(message, signals, decisions)
        self._chronicle.close(message, message.new_candles(), decisions, message.regimes)
        return End(verdicts[-1].end, decisions[-1], message.more, message.last_open_ms)

    def _judge_candles(self, message: IndicatorsUpdated) -> list["_Judged"]:
        rows = IndicatorRows.from_rows(message.columns, message.rows)
        said = self._said(message, rows)
        judged = []
        silent = EndReason.NO_SIGNAL if message.desired is DesiredState.RUNNING else EndReason.PAUSED
        for row, regime in zip(message.candles, message.regimes, strict=True):
            open_ms = int(row[0])
            row_count = int(rows.open_ms.searchsorted(open_ms, side="right"))
            if row_count < self._terms.min_rows_required:
                text = f"too few rows: {row_count} of {self._terms.min_rows_required}"
                judged.append(_Judged(EndReason.TOO_FEW_ROWS, text))
            elif open_ms not in said:
                judged.append(_Judged(silent, SILENT))
            else:
                judged.append(self._validate(message, said[open_ms], regime))
        return judged

    def _said(self, message: IndicatorsUpdated, rows: IndicatorRows) -> dict[int, Signal]:
        """Ask the strategy, once for the whole batch, and return its signals by candle."""
        count = min(len(rows), len(message.candles))
        if count == 0 or len(rows) < self._terms.min_rows_required:
            return {}
        frame = rows.frame()
        signals = self._strategy.signals(frame).last(count, rows=frame, strategy=self._terms.name)
        return {signal.open_ms: signal for signal in signals}

    def _validate(self, message: IndicatorsUpdated, signal: Signal, regime: Regime) -> "_Judged":
        """Note on the signal why it may not open anything; what is open the other way it may end all the same."""
        said = f"{signal.side.value} at {signal.price:g}: {signal.reason}"
        refusal = self._refusal(message, signal, regime)
        if signal.open_ms > message.after_ms:  # one that is evaluated again has spoken already
            self._tell_signal(message, EventType.SIGNAL_GENERATED, signal, said)
            if refusal is None:
                self._tell_signal(message, EventType.SIGNAL_VALIDATED, signal, said)
            else:
                self._tell_signal(message, EventType.SIGNAL_REJECTED, signal, refusal.reason, rule=refusal.rule)
        if refusal is not None:
            signal = signal.model_copy(update={"entry_refused": Refusal(rule=refusal.rule, reason=refusal.reason)})
        return _Judged(EndReason.DECIDED, said, signal)

    def _refusal(self, message: IndicatorsUpdated, signal: Signal, regime: Regime) -> Rejected | None:
        if message.desired is not DesiredState.RUNNING and signal.side is not SignalSide.CLOSE:
            return Rejected("paused", "the symbol is paused: nothing is opened, what is open stays protected")
        return entry_refusal(
            signal, self._entry_rules, timeframe=message.timeframe, as_of_ms=message.as_of_ms, regime=regime
        )

    def _hand_on(self, message: IndicatorsUpdated, signals: list[Signal], decisions: list[str]) -> SignalGenerated:
        generated = SignalGenerated(**message.carried(), signals=signals, regimes=message.regimes, decisions=decisions)
        self._bus.publish(generated)
        return generated

    def _tell_signal(
        self, message: IndicatorsUpdated, kind: EventType, signal: Signal, reason: str, *, rule: str | None = None
    ) -> None:
        details = signal.model_dump(mode="json", exclude={"open_ms"}, exclude_none=True)
        if rule is not None:
            details["rule"] = rule
        self._bus.publish(
            Event(
                type=kind,
                symbol=self.symbol,
                correlation_id=correlation_id(self.symbol, message.timeframe, signal.open_ms),
                market_ms=signal.open_ms,
                reason=reason,
                details=details,
            )
        )


@dataclass(frozen=True, slots=True)
class _Judged:
    """What came of one candle: why a chain that ends with it ends, the text for the journal, the signal that stands."""

    end: EndReason
    text: str
    signal: Signal | None = None
