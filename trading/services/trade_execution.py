"""Fourth stage: the one place that talks to the venue and writes the ledger."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from trading.errors import Transient
from trading.events.bus import LocalBus
from trading.events.decisions import AskedSignal, CandleDecision, DecisionKind, Decisions, not_executed
from trading.events.event import EventType, correlation_id, of_signal
from trading.events.messages import SignalGenerated
from trading.execution import order_events
from trading.execution.adoption import Holdings
from trading.execution.flattening import FlattenRequest, FlattenResult
from trading.execution.order_manager import OrderManager
from trading.execution.reconciliation import Action
from trading.exits.exit_evaluator import Answer, ExitEvaluator, Written
from trading.exits.exit_rules import EXIT_RULE, HOOK, ExitRules, RuleExit, RuleStop, decision_on
from trading.market.candles import CLOSE, Candles, timeframe_ms
from trading.orders.orders import VenueOrder
from trading.portfolio.positions import Position, StopMove
from trading.ports.ledger import DecisionLog, IncidentLog, OrderLog, Positions, SymbolControls
from trading.ports.symbol_store import SymbolStore
from trading.risk.verdict import OK, AccountSnapshot, Check, RiskDecision
from trading.services.base import Service
from trading.services.batch_commit import BatchCommitter
from trading.services.chain import ChainOutcome, ChainResult
from trading.strategies.indicator_sharing import SharedIndicators
from trading.strategies.signal import Refusal, Signal, SignalSide
from trading.structs import replace
from trading.trading_state import Cause, describe, permissions

SignalEvaluator = Callable[[AccountSnapshot, Signal], RiskDecision]

MOST_WATCHED = 100
"""Each candle may move a stop, which takes a few transactions: so many end well before the time limit of a step."""


class ExecutionLedger(DecisionLog, OrderLog, IncidentLog, SymbolControls, Positions, Protocol):
    """The parts of the ledger that decisions and their execution need."""


class TradeExecutionService(Service[SignalGenerated, ChainResult]):
    """Shows the venue each candle, books its fills, turns signals into intents and intents into orders.

    The order is the same for a batch of one and of a thousand: the candles up to a signal's own, their fills, then the
    signal. So a decision sees the position as it was at its candle's close. Where a strategy has exit rules, each
    candle is taken alone as long as something is open: its fills, its signals, then the rules.

    Attributes:
        exited: The exits that rules asked for in the last message.
    """

    def __init__(
        self,
        symbol: str,
        order_manager: OrderManager,
        ledger: ExecutionLedger,
        store: SymbolStore,
        committer: BatchCommitter,
        evaluate: SignalEvaluator,
        bus: LocalBus,
        *,
        is_dry_run: bool,
        now_s: Callable[[], float],
        is_enabled: bool = True,
        quoted_spread: Callable[[], float | None] | None = None,
        is_only_strategy: bool = True,
        exits: Mapping[str, ExitRules] | None = None,
        shared: SharedIndicators | None = None,
        most_watched: int = MOST_WATCHED,
    ) -> None:
        """Make the service.

        Args:
            is_dry_run: Decide and write down, send nothing.
            quoted_spread: Asks the venue for ask minus bid, in quote currency; None where no rule needs it.
            is_only_strategy: The symbol has one strategy, which the journal need not name.
            exits: By strategy, what is asked about its open position after each candle; None for nothing.
            shared: The columns of each strategy; needed where one has a hook among `exits`.
            most_watched: Candles of one batch after which exit rules are asked; the rest of it comes again.
        """
        super().__init__(symbol, bus, now_s=now_s, is_enabled=is_enabled)
        self._order_manager = order_manager
        self._ledger = ledger
        self._store = store
        self._committer = committer
        self._evaluate = evaluate
        self._is_dry_run = is_dry_run
        self._quoted_spread = quoted_spread
        self._is_only_strategy = is_only_strategy
        self._exits = ExitEvaluator(symbol, exits or {}, ledger, shared)
        self._most_watched = most_watched
        self.exited: list[Signal] = []
        self.reset()

    def reset(self) -> None:
        """Ask ledger and venue again for what is remembered between candles."""
        self._order_manager.reset()
        self._exits.reset()
        self._has_exposure: bool | None = None

    def pass_over(self, message: SignalGenerated) -> ChainResult:
        """Write the decisions down and act on none of them."""
        decisions = [not_executed(one) for one in message.decisions]
        self._committer.commit(message, message.candles, decisions, message.regimes)
        return ChainResult(
            ChainOutcome.DISABLED, has_more=message.has_more, cursor_ms=message.last_open_ms, decisions=decisions[-1]
        )

    def process(self, message: SignalGenerated) -> ChainResult:
        candles = message.candles
        decisions = list(message.decisions)
        self._order_manager.renew_patience()
        if not self._order_manager.is_settled:
            self.reconcile(message.as_of_ms)
        self.exited = []
        if self._exits:
            self._forget_holdings()  # another process may have changed them
            self._exits.begin(message)
        done, left = 0, self._most_watched
        for part, signals, done, is_watched in self._steps(message):
            if self._order_manager.book(part, message.seen_ms(part.last_open_ms)):
                self._forget_holdings()
            told = self._decide_all(message, signals, part if is_watched else None)
            if is_watched:
                told += self._ask_rules(message, part, signals)
                left -= 1
            if told:
                decisions[done - 1] = tuple(told)
            if not left:
                break
        return self._close_batch(message, candles[:done], decisions[:done])

    def _close_batch(self, message: SignalGenerated, candles: Candles, decisions: Sequence[Decisions]) -> ChainResult:
        """Write down what came of the first candles of a batch, most often of all; the others come again."""
        if self._has_exposure is None:
            self._has_exposure = self._ledger.has_exposure(self.symbol)
        regimes = message.regimes[: len(candles)]
        self._committer.commit(message, candles, decisions, regimes, has_exposure=self._has_exposure)
        has_decided = bool(self.exited) or any(one.open_ms <= candles.last_open_ms for one in message.signals)
        reason = ChainOutcome.DECIDED if has_decided else ChainOutcome.SETTLED
        has_more = message.has_more or len(candles) < len(message.candles)
        return ChainResult(reason, has_more=has_more, cursor_ms=candles.last_open_ms, decisions=decisions[-1])

    def _steps(self, message: SignalGenerated) -> Iterator[tuple[Candles, Sequence[Signal], int, bool]]:
        """Yield (candles, signals of the last of them, how many of the batch are done then, is that one watched)."""
        for segment, signals, at in _segments(message.candles, message.signals):
            done = at + 1 - len(segment)
            for part, is_watched in self._parts(segment):
                done += len(part)
                yield part, signals if done > at else (), done, is_watched

    def _parts(self, segment: Candles) -> Iterator[tuple[Candles, bool]]:
        """Cut off one candle after the other while exit rules may have something to say; what is left comes as a whole.

        Yields (candles, whether the rules are to be asked after them).
        """
        at = 0
        while self._exits and at < len(segment) and self._is_watched(int(segment.open_ms[at])):
            yield segment[at : at + 1], True
            at += 1
        if at < len(segment):
            yield segment[at:], False

    def _is_watched(self, open_ms: int) -> bool:
        if self._has_exposure is None:
            self._has_exposure = self._ledger.has_exposure(self.symbol)
        return self._has_exposure or self._exits.is_written(open_ms)

    def _forget_holdings(self) -> None:
        self._has_exposure = None
        self._exits.forget()

    def reconcile(self, as_of_ms: int | None) -> list[Action]:
        """Settle what is not settled and compare ledger and venue; return what was done and what is left.

        Args:
            as_of_ms: Market time; None when the source did not tell.
        """
        self._has_exposure = None
        self._order_manager.renew_patience()
        actions = self._order_manager.settle(as_of_ms)
        self._order_manager.publish_incidents()
        if self._ledger.has_exposure(self.symbol):
            self._store.mark_exposed(self.symbol)  # so that its candles reach the venue
        return actions

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Ask the venue for an order, None when it is sure that there is none.

        Raises:
            Transient: It did not answer.
        """
        self._order_manager.reset()
        return self._order_manager.find(client_order_id)

    def holdings(self, as_of_ms: int | None) -> Holdings:
        """Return what ledger and venue hold of the symbol, after fills were written down.

        Args:
            as_of_ms: Market time; None when the source did not tell.

        Raises:
            Transient: The venue did not answer, or what it holds may be of an order whose outcome is not known yet.
        """
        self._has_exposure = None
        self._store.mark_exposed(self.symbol)
        self._order_manager.reset()
        theirs = self._order_manager.held_at_venue()
        ours = [one for one in self._ledger.positions() if one.symbol == self.symbol]
        last = self._last_candle()
        open_ms = last[0] if last else max((position.opened_ms for position in ours), default=0)
        if not (open_ms or as_of_ms):
            raise Transient(f"source of {self.symbol}", "it does not tell the time of the market, and nothing is known")
        return Holdings(self.symbol, ours, theirs, open_ms, as_of_ms or self._closed_ms(open_ms))

    def flatten(self, reason: str, as_of_ms: int | None) -> FlattenResult:
        """Close all that is open of the symbol, without a signal, and withdraw entries that are on their way.

        An exit that is on its way is not sent again, so it may be asked for as often as one likes. It works while the
        symbol is paused or quarantined.

        Args:
            as_of_ms: Market time; None when the source did not tell.

        Raises:
            Transient: Ledger or venue did not answer; asked again, it goes on from there.
        """
        self._has_exposure = None
        self._order_manager.renew_patience()
        if self._is_dry_run or not self.is_enabled:
            return FlattenResult("no order is sent: trade_execution is not enabled, or its execution_mode is dry")
        self._order_manager.withdraw_entries(as_of_ms, f"all is closed: {reason}")
        if refused := self._why_nothing_is_closed():
            return FlattenResult(refused)
        verdicts = {held.strategy: self._close(held, reason, as_of_ms) for held in self._open_positions()}
        units = sum(position.units for position in self._open_positions())
        return FlattenResult("", verdicts, units, self._ledger.unsettled(self.symbol))

    def _why_nothing_is_closed(self) -> str:
        halting = [incident.reason for incident in self._ledger.incidents_of(self.symbol) if incident.kind.halts]
        permitted = permissions(self._ledger.desired(self.symbol), halted="; ".join(halting) if halting else None)
        why = permitted.why_no_exits
        if why is None:
            return ""
        words = describe(why, self.symbol)
        if why.cause is Cause.STOPPED:
            return f"{words}: pause it, then ask again"
        return f"what is held is not known, {words}"

    def _open_positions(self) -> list[Position]:
        return [one for one in self._ledger.positions() if one.symbol == self.symbol and one.is_open]

    def _close(self, held: Position, reason: str, as_of_ms: int | None) -> RiskDecision:
        """Have the ledger decide on an exit of a position, and send it."""
        self._store.mark_exposed(self.symbol)
        open_ms, price = self._last_candle() or (held.opened_ms, held.average_price)
        request = FlattenRequest(held.strategy, reason, price, as_of_ms or self._closed_ms(open_ms))
        decided = self._ledger.flatten(
            self.symbol,
            held.strategy,
            open_ms,
            lambda view, decision_ms: request.evaluated(self._evaluate, view, decision_ms),
            correlation_id=correlation_id(self.symbol, self._order_manager.timeframe, open_ms),
        )
        if decided.intents:
            self._order_manager.send(decided.intents, as_of_ms)
            self._order_manager.book(Candles.empty(), as_of_ms)
        assert decided.verdict is not None  # no fence stands before it
        return decided.verdict

    def _closed_ms(self, open_ms: int) -> int:
        return open_ms + timeframe_ms(self._order_manager.timeframe)

    def _last_candle(self) -> tuple[int, float] | None:
        """Return open time and close of the last candle decided; None where the store has lost it."""
        cursor_ms = self._store.load(self.symbol).cursor_ms or 0
        rows = self._store.window(self.symbol, 1, until_ms=cursor_ms).rows()
        return (int(rows[0][0]), rows[0][4]) if rows else None

    def _decide_all(
        self, message: SignalGenerated, signals: Sequence[Signal], watched: Candles | None
    ) -> list[CandleDecision]:
        """Decide on the signals of a candle.

        Args:
            watched: The candle, where the exit rules are asked at a signal that leaves the position as it is.
        """
        made: list[CandleDecision | None] = []
        for signal in signals:
            answer = None
            if watched is not None and (answer := self._exits.of_signal(signal, watched)) is not None:
                made.append(self._carry_out(message, signal.strategy, watched, answer))
            if not isinstance(answer, RuleExit):
                made.append(self._decide(message, signal))
        return [one for one in made if one is not None]

    def _ask_rules(self, message: SignalGenerated, candle: Candles, signals: Sequence[Signal]) -> list[CandleDecision]:
        """Ask the exit rules of the strategies that gave no signal at a candle."""
        made = (
            self._carry_out(message, strategy, candle, answer)
            for strategy, answer in self._exits.asked(candle, {signal.strategy for signal in signals})
        )
        return [one for one in made if one is not None]

    def _carry_out(
        self, message: SignalGenerated, strategy: str, candle: Candles, answer: Answer | Written
    ) -> CandleDecision | None:
        """Do what an exit rule answered, or repeat what was decided before; None where nothing came of it."""
        open_ms = candle.last_open_ms
        match answer:
            case RuleExit():
                return self._exit(message, strategy, candle, answer)
            case RuleStop():
                return self._move_stop(message, strategy, open_ms, answer)
            case Refusal():
                return CandleDecision(
                    DecisionKind.STOP_KEPT,
                    self._name(strategy),
                    reason=answer.reason,
                    rule=answer.rule,
                    exit_rule=HOOK,
                    stop_before=self._exits.stop_of(strategy),
                )
            case StopMove(is_current=False):
                return decision_on(answer, self._name(strategy))
            case StopMove():
                # said again in case that the venue, or those who listen, have not heard of it
                again = RuleStop(answer.rule, answer.after, answer.reason)
                return self._move_stop(message, strategy, open_ms, again) or decision_on(answer, self._name(strategy))
            case RiskDecision():
                return self._decision_of_exit(strategy, answer)

    def _exit(self, message: SignalGenerated, strategy: str, candle: Candles, answer: RuleExit) -> CandleDecision:
        signal = Signal(
            strategy=strategy,
            open_ms=candle.last_open_ms,
            side=SignalSide.CLOSE,
            price=float(candle.values[-1, CLOSE]),
            reason=answer.reason,
        )
        self.exited.append(signal)

        def judged(view: AccountSnapshot) -> RiskDecision:
            verdict = self._evaluate(view, signal)
            checks = (Check(EXIT_RULE, is_met=True, reason=answer.reason), *verdict.checks)
            return replace(verdict, exit_rule=answer.rule, checks=checks)

        return self._decided(message, signal, judged, partial(self._decision_of_exit, strategy), is_news=True)

    def _move_stop(
        self, message: SignalGenerated, strategy: str, open_ms: int, wanted: RuleStop
    ) -> CandleDecision | None:
        if self._is_dry_run:
            return CandleDecision(
                DecisionKind.STOP_MOVED,
                self._name(strategy),
                reason=wanted.reason,
                exit_rule=wanted.rule,
                stop_before=self._exits.stop_of(strategy),
                stop_after=wanted.stop_loss,
                is_dry_run=True,
            )
        seen_ms = message.seen_ms(open_ms)
        move = self._order_manager.move_stop(
            strategy, open_ms, wanted.stop_loss, wanted.reason, seen_ms, rule=wanted.rule
        )
        self._forget_holdings()
        return None if move is None else decision_on(move, self._name(strategy))

    def _decide(self, message: SignalGenerated, signal: Signal) -> CandleDecision:
        return self._decided(message, signal, self._evaluator_of(signal), partial(self._decision, signal))

    def _decided(
        self,
        message: SignalGenerated,
        signal: Signal,
        evaluate: Callable[[AccountSnapshot], RiskDecision],
        decision_of: Callable[[RiskDecision], CandleDecision],
        *,
        is_news: bool = False,
    ) -> CandleDecision:
        """Have the ledger decide on a signal, send what it wrote down, and return the decision for the journal.

        A candle that was decided before gives the same decision again, and no order.

        Args:
            is_news: Nobody has told of the signal yet.
        """
        self._store.mark_exposed(self.symbol)
        self._forget_holdings()
        cause = correlation_id(self.symbol, message.timeframe, signal.open_ms)
        decided = self._ledger.decide(
            self.symbol, signal.strategy, signal.open_ms, evaluate, correlation_id=cause, dry_run=self._is_dry_run
        )
        verdict = decided.verdict
        if verdict is None:
            self._bus.publish(order_events.fence_event(signal, self.symbol, cause))
            return decision_of(decided.earlier) if decided.earlier else self._decided_before(signal)
        if verdict.rule == "unsettled":
            self._order_manager.is_settled = False  # ask the venue again, an order may have ended there unseen
        if verdict.incident is not None:
            self._order_manager.publish_incidents()
        if is_news:
            self._bus.publish_lazily(lambda: [of_signal(EventType.SIGNAL_GENERATED, self.symbol, signal, cause)])
        self._bus.publish_lazily(lambda: order_events.decision_events(signal, verdict, self.symbol, cause))
        if decided.intents:
            seen_ms = message.seen_ms(signal.open_ms)
            self._order_manager.send(decided.intents, seen_ms)
            self._order_manager.book(Candles.empty(), seen_ms)
        return decision_of(verdict)

    def _evaluator_of(self, signal: Signal) -> Callable[[AccountSnapshot], RiskDecision]:
        """Return what judges a signal under the account's lock; what it needs of the venue is asked for before."""
        if self._quoted_spread is None or signal.side is SignalSide.CLOSE:
            return lambda view: self._evaluate(view, signal)
        spread = self._quoted_spread()
        return lambda view: self._evaluate(replace(view, spread=spread), signal)

    def _decision(self, signal: Signal, verdict: RiskDecision) -> CandleDecision:
        return self._judged(signal.strategy, verdict, _asked(signal))

    def _decision_of_exit(self, strategy: str, verdict: RiskDecision) -> CandleDecision:
        return self._judged(strategy, verdict, None)

    def _judged(self, strategy: str, verdict: RiskDecision, asked: AskedSignal | None) -> CandleDecision:
        is_accepted = verdict.rule == OK
        return CandleDecision(
            DecisionKind.ACCEPTED if is_accepted else DecisionKind.REJECTED,
            self._name(strategy),
            reason=verdict.reason,
            rule="" if is_accepted else verdict.rule,
            exit_rule=verdict.exit_rule,
            signal=asked,
            is_dry_run=self._is_dry_run,
        )

    def _decided_before(self, signal: Signal) -> CandleDecision:
        return CandleDecision(DecisionKind.DECIDED_BEFORE, self._name(signal.strategy), signal=_asked(signal))

    def _name(self, strategy: str) -> str:
        """Return how the journal names a strategy: not at all where the symbol has no other."""
        return "" if self._is_only_strategy else strategy


def _asked(signal: Signal) -> AskedSignal:
    return AskedSignal(signal.side.value, signal.price, signal.reason)


def _segments(candles: Candles, signals: Sequence[Signal]) -> Iterator[tuple[Candles, Sequence[Signal], int]]:
    """Cut the candles after each one that has signals: (candles up to that one, its signals, the place of it).

    What is left comes last, with the place of the last candle.
    """
    ends = candles.open_ms.searchsorted([signal.open_ms for signal in signals], side="right").tolist()
    begin, at = 0, 0
    while at < len(ends):
        end, first = ends[at], at
        while at < len(ends) and ends[at] == end:
            at += 1
        yield candles[begin:end], signals[first:at], end - 1
        begin = end
    if begin < len(candles):
        yield candles[begin:], (), len(candles) - 1
