"""Execution of one signal: the ledger decides under the account's lock, then the recorded orders are sent."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from trading.events.bus import LocalBus
from trading.events.decisions import CandleDecision, DecisionKind, RecordedSignal
from trading.events.event import EventType, of_signal
from trading.events.messages import SignalGenerated
from trading.execution import order_events
from trading.execution.order_manager import OrderManager
from trading.execution.terms import ExecutionTerms
from trading.exits.exit_rules import EXIT_RULE, RuleExit
from trading.exits.exposure import SymbolExposure
from trading.market.candles import Candles
from trading.ports.ledger import NO_PRICES, DecisionLog, DecisionResult
from trading.risk.signal_filters import EntryRules, refusal
from trading.risk.verdict import OK, AccountSnapshot, Check, RiskDecision, SignalEvaluator
from trading.services.message_checks import MarketLimit
from trading.strategies.signal import Refusal, Signal, SignalSide
from trading.structs import replace


class SignalRules(Struct, frozen=True):
    """The rules that decide on a symbol's signals.

    Attributes:
        latest_prices: Returns the latest known price by symbol, by which open positions are valued.
        quoted_spread: Returns ask minus bid, in quote currency, None for unknown; None where no rule needs it.
        entry_rules: Checked again in the transaction of a decision; None where signals never leave the process.
        latest_ms: The market's clock, which bounds the ledger's fence; None where the candles are history.
    """

    evaluate: SignalEvaluator
    latest_prices: Callable[[], Mapping[str, float]]
    quoted_spread: Callable[[], float | None] | None = None
    entry_rules: EntryRules | None = None
    latest_ms: MarketLimit | None = None

    def prepared(self, message: SignalGenerated, signal: Signal) -> Callable[[AccountSnapshot], RiskDecision]:
        """Return the evaluation of a signal; the spread is read first, because the evaluation holds a lock."""
        if self.quoted_spread is None or signal.side is SignalSide.CLOSE:
            return lambda view: self.evaluate(view, self._checked_again(message, signal))
        spread = self.quoted_spread()
        return lambda view: self.evaluate(replace(view, spread=spread), self._checked_again(message, signal))

    def latest_open_ms(self, message: SignalGenerated) -> int | None:
        """Return the latest market time at which a candle may have opened; None for no limit."""
        return None if self.latest_ms is None else self.latest_ms(message.after_ms)

    def _checked_again(self, message: SignalGenerated, signal: Signal) -> Signal:
        """Return the signal with the rejection of its entry, whatever the message says of it."""
        if self.entry_rules is None or signal.entry_refused is not None:
            return signal
        regime = message.regimes[int(message.candles.open_ms.searchsorted(signal.open_ms))]
        refused = refusal(
            signal,
            self.entry_rules,
            timeframe=message.timeframe,
            as_of_ms=message.seen_signal_ms(signal),
            regime=regime,
        )
        if refused is None:
            return signal
        return signal.model_copy(update={"entry_refused": Refusal(rule=refused.rule, reason=refused.reason)})

    def prices(self, symbol: str, signal: Signal) -> Mapping[str, float]:
        """Return the latest prices for a signal, its own included; none for a close, which no limit rejects."""
        if signal.side is SignalSide.CLOSE:
            return NO_PRICES
        return {**self.latest_prices(), symbol: signal.price}


class SignalExecutor:
    """Turns the signals of one symbol into recorded decisions, and their intents into orders."""

    def __init__(
        self,
        terms: ExecutionTerms,
        rules: SignalRules,
        order_manager: OrderManager,
        ledger: DecisionLog,
        exposure: SymbolExposure,
        bus: LocalBus,
    ) -> None:
        self._terms = terms
        self._rules = rules
        self._order_manager = order_manager
        self._ledger = ledger
        self._exposure = exposure
        self._bus = bus

    def execute(self, message: SignalGenerated, signal: Signal) -> CandleDecision:
        """Decide on a signal, send its orders, and return the decision for the journal.

        A candle that was decided before gives the same decision again, and no order.
        """
        return self._execute(message, signal, self._rules.prepared(message, signal), _recorded(signal))

    def execute_exit(self, message: SignalGenerated, signal: Signal, answer: RuleExit) -> CandleDecision:
        """Decide on the close signal of an exit rule as on any other signal, and publish it, because it is new."""
        evaluate = self._rules.prepared(message, signal)

        def evaluate_exit(view: AccountSnapshot) -> RiskDecision:
            verdict = evaluate(view)
            checks = (Check(EXIT_RULE, is_met=True, reason=answer.reason), *verdict.checks)
            return replace(verdict, exit_rule=answer.rule, checks=checks)

        return self._execute(message, signal, evaluate_exit, None)

    def decision_on(
        self, strategy: str, verdict: RiskDecision, recorded: RecordedSignal | None = None
    ) -> CandleDecision:
        """Return the decision for the journal.

        Args:
            recorded: The signal decided on; None for the signal of an exit rule.
        """
        is_accepted = verdict.rule == OK
        return CandleDecision(
            DecisionKind.ACCEPTED if is_accepted else DecisionKind.REJECTED,
            self._terms.journal_name(strategy),
            reason=verdict.reason,
            rule="" if is_accepted else verdict.rule,
            exit_rule=verdict.exit_rule,
            signal=recorded,
            is_dry_run=self._terms.is_dry_run,
        )

    def _execute(
        self,
        message: SignalGenerated,
        signal: Signal,
        evaluate: Callable[[AccountSnapshot], RiskDecision],
        recorded: RecordedSignal | None,
    ) -> CandleDecision:
        self._exposure.mark()
        seen_ms = message.seen_signal_ms(signal)
        decided = self._decide(message, signal, evaluate, seen_ms)
        verdict = decided.verdict
        if verdict is None:
            return self._decided_before(signal, decided.earlier, recorded)
        if verdict.rule == "unsettled":
            self._order_manager.is_settled = False  # an order may have ended at the venue without notice
        self._publish(signal, verdict, is_new=recorded is None)
        if decided.intents:
            self._order_manager.send(decided.intents, seen_ms)
            self._order_manager.book(Candles.empty(), seen_ms)
        return self.decision_on(signal.strategy, verdict, recorded)

    def _decide(
        self,
        message: SignalGenerated,
        signal: Signal,
        evaluate: Callable[[AccountSnapshot], RiskDecision],
        seen_ms: int,
    ) -> DecisionResult:
        return self._ledger.decide(
            self._terms.symbol,
            signal.strategy,
            signal.open_ms,
            evaluate,
            correlation_id=self._terms.correlation_id(signal.open_ms),
            dry_run=self._terms.is_dry_run,
            prices=self._rules.prices(self._terms.symbol, signal),
            latest_ms=self._rules.latest_open_ms(message),
            at_ms=max(seen_ms, signal.decided_ms(self._terms.timeframe)),  # a journal of version 0.1 has no time
        )

    def _decided_before(
        self, signal: Signal, earlier: RiskDecision | None, recorded: RecordedSignal | None
    ) -> CandleDecision:
        cause = self._terms.correlation_id(signal.open_ms)
        self._bus.publish(order_events.fence_event(signal, self._terms.symbol, cause))
        if earlier is not None:
            return self.decision_on(signal.strategy, earlier, recorded)
        name = self._terms.journal_name(signal.strategy)
        return CandleDecision(DecisionKind.DECIDED_BEFORE, name, signal=_recorded(signal))

    def _publish(self, signal: Signal, verdict: RiskDecision, *, is_new: bool) -> None:
        """Publish what was decided; with `is_new` also the signal itself, which no stage published before."""
        symbol, cause = self._terms.symbol, self._terms.correlation_id(signal.open_ms)
        if verdict.incident is not None:
            self._order_manager.publish_incidents()
        if is_new:
            self._bus.publish_lazily(lambda: [of_signal(EventType.SIGNAL_GENERATED, symbol, signal, cause)])
        self._bus.publish_lazily(lambda: order_events.decision_events(signal, verdict, symbol, cause))


def _recorded(signal: Signal) -> RecordedSignal:
    return RecordedSignal(signal.side.value, signal.price, signal.reason)
