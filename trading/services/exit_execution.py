"""Execution of exit rules: evaluates them at the close of a candle, and carries out the exits and stop moves."""

from collections.abc import Iterator

from trading.events.decisions import CandleDecision, DecisionKind
from trading.events.messages import SignalGenerated
from trading.execution.order_manager import OrderManager
from trading.execution.terms import ExecutionTerms
from trading.exits.exit_evaluator import Answer, ExitEvaluator, Recorded
from trading.exits.exit_rules import HOOK, RuleExit, RuleStop, decision_on
from trading.exits.exposure import SymbolExposure
from trading.market.candles import CLOSE, Candles
from trading.portfolio.positions import StopMove
from trading.risk.verdict import RiskDecision
from trading.services.batch_steps import BatchStep
from trading.services.signal_execution import SignalExecutor
from trading.strategies.signal import Refusal, Signal, SignalSide


class ExitRuleExecutor:
    """The exit rules of one symbol in the execution stage.

    Attributes:
        exited: The close signals of rules in the current batch.
    """

    def __init__(
        self,
        terms: ExecutionTerms,
        evaluator: ExitEvaluator,
        signals: SignalExecutor,
        order_manager: OrderManager,
        exposure: SymbolExposure,
    ) -> None:
        self._terms = terms
        self._evaluator = evaluator
        self._signals = signals
        self._order_manager = order_manager
        self._exposure = exposure
        self.exited: list[Signal] = []

    def reset(self) -> None:
        """Drop all cached state; the ledger is read again."""
        self._evaluator.reset()

    def begin(self, message: SignalGenerated) -> None:
        """Begin a batch."""
        self.exited = []
        if self._evaluator:
            self._exposure.forget()  # another process may have changed the positions
            self._evaluator.begin(message)

    def is_watched(self, open_ms: int) -> bool:
        """Return whether the rules are evaluated at a candle: a position may be open, or it was decided before."""
        return bool(self._evaluator) and (self._exposure.exists() or self._evaluator.is_recorded(open_ms))

    def execute(self, message: SignalGenerated, step: BatchStep) -> list[CandleDecision]:
        """Decide on a watched candle: on its signals first, then by the rules of the strategies without a signal."""
        return [*self._at_signals(message, step), *self._at_close(message, step)]

    def _at_signals(self, message: SignalGenerated, step: BatchStep) -> Iterator[CandleDecision]:
        """Execute each signal, unless an exit rule closes the position at it."""
        for signal in step.signals:
            answer = self._evaluator.of_signal(signal, step.candles)
            if answer is not None:
                yield from self._carry_out(message, signal.strategy, step.candles, answer)
            if not isinstance(answer, RuleExit):
                yield self._signals.execute(message, signal)

    def _at_close(self, message: SignalGenerated, step: BatchStep) -> Iterator[CandleDecision]:
        with_signal = {signal.strategy for signal in step.signals}
        for strategy, answer in self._evaluator.answers(step.candles, with_signal):
            yield from self._carry_out(message, strategy, step.candles, answer)

    def _carry_out(
        self, message: SignalGenerated, strategy: str, candle: Candles, answer: Answer | Recorded
    ) -> Iterator[CandleDecision]:
        """Carry out the answer of a rule, or repeat a recorded decision; yield the decision, none for no change."""
        match answer:
            case RuleExit():
                yield self._exit(message, strategy, candle, answer)
            case RuleStop():
                yield from self._move_stop(message, strategy, candle.last_open_ms, answer)
            case Refusal():
                yield self._kept_stop(strategy, answer)
            case StopMove(is_current=False):
                yield decision_on(answer, self._name(strategy))
            case StopMove():
                yield from self._repeat_move(message, strategy, candle.last_open_ms, answer)
            case RiskDecision():
                yield self._signals.decision_on(strategy, answer)

    def _exit(self, message: SignalGenerated, strategy: str, candle: Candles, answer: RuleExit) -> CandleDecision:
        signal = Signal(
            strategy=strategy,
            open_ms=candle.last_open_ms,
            side=SignalSide.CLOSE,
            price=float(candle.values[-1, CLOSE]),
            reason=answer.reason,
            closed_ms=message.unusual_close_of(candle.last_open_ms),
        )
        self.exited.append(signal)
        return self._signals.execute_exit(message, signal, answer)

    def _move_stop(
        self, message: SignalGenerated, strategy: str, open_ms: int, target: RuleStop
    ) -> Iterator[CandleDecision]:
        if self._terms.is_dry_run:
            yield self._dry_move(strategy, target)
            return
        seen_ms = message.seen_ms(open_ms)
        move = self._order_manager.move_stop(
            strategy, open_ms, target.stop_loss, target.reason, seen_ms, rule=target.rule
        )
        self._exposure.forget()
        if move is not None:
            yield decision_on(move, self._name(strategy))

    def _repeat_move(
        self, message: SignalGenerated, strategy: str, open_ms: int, recorded: StopMove
    ) -> Iterator[CandleDecision]:
        """Repeat a recorded move, because the venue or the subscribers may not have received it."""
        target = RuleStop(recorded.rule, recorded.after, recorded.reason)
        repeated = list(self._move_stop(message, strategy, open_ms, target))
        yield from repeated or [decision_on(recorded, self._name(strategy))]

    def _dry_move(self, strategy: str, target: RuleStop) -> CandleDecision:
        return CandleDecision(
            DecisionKind.STOP_MOVED,
            self._name(strategy),
            reason=target.reason,
            exit_rule=target.rule,
            stop_before=self._evaluator.stop_of(strategy),
            stop_after=target.stop_loss,
            is_dry_run=True,
        )

    def _kept_stop(self, strategy: str, refusal: Refusal) -> CandleDecision:
        return CandleDecision(
            DecisionKind.STOP_KEPT,
            self._name(strategy),
            reason=refusal.reason,
            rule=refusal.rule,
            exit_rule=HOOK,
            stop_before=self._evaluator.stop_of(strategy),
        )

    def _name(self, strategy: str) -> str:
        return self._terms.journal_name(strategy)
