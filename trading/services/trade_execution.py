"""Fourth stage: shows the venue each candle, records its fills and executes signals and exit rules."""

from collections.abc import Callable, Sequence

from trading.events.bus import LocalBus
from trading.events.decisions import CandleDecision, Decisions, not_executed
from trading.events.messages import SignalGenerated
from trading.execution.adoption import Holdings
from trading.execution.order_manager import OrderManager
from trading.execution.position_closer import FlattenResult, PositionCloser
from trading.execution.reconciliation import Action
from trading.execution.terms import ExecutionTerms
from trading.exits.exposure import SymbolExposure
from trading.market.candles import Candles
from trading.orders.orders import VenueOrder
from trading.services.base import Service
from trading.services.batch_commit import BatchCommitter
from trading.services.batch_steps import BatchStep, batch_steps
from trading.services.chain import ChainOutcome, ChainResult
from trading.services.exit_execution import ExitRuleExecutor
from trading.services.message_checks import MessageChecks
from trading.services.signal_execution import SignalExecutor
from trading.services.standing_exits import StandingExits
from trading.strategies.signal import Signal
from trading.trading_state import Processing, permissions

MOST_WATCHED = 100
"""Most candles that may move a stop, a few transactions each, within the time limit of a step."""


class TradeExecutionService(Service[SignalGenerated, ChainResult]):
    """Executes the signals and exit rules of one symbol.

    The order is the same for a batch of one and of a thousand: the candles up to a signal's own, their fills, then the
    signal, so a decision sees the position as it was at its candle's close. A strategy with exit rules has each candle
    processed alone while a position may be open: its fills, its signals, then the rules.
    """

    def __init__(
        self,
        terms: ExecutionTerms,
        order_manager: OrderManager,
        signals: SignalExecutor,
        exits: ExitRuleExecutor,
        closer: PositionCloser,
        standing: StandingExits,
        exposure: SymbolExposure,
        committer: BatchCommitter,
        bus: LocalBus,
        *,
        now_s: Callable[[], float],
        is_enabled: bool = True,
        most_watched: int = MOST_WATCHED,
        checks: MessageChecks | None = None,
    ) -> None:
        """Create the service.

        Args:
            most_watched: Most candles of one batch at which exit rules are evaluated; the others are fetched again.
            checks: Of the messages; None where they never leave the process.
        """
        super().__init__(terms.symbol, bus, now_s=now_s, is_enabled=is_enabled)
        self._checks = checks
        self._is_dry_run = terms.is_dry_run
        self._order_manager = order_manager
        self._signals = signals
        self._exits = exits
        self._closer = closer
        self._standing = standing
        self._exposure = exposure
        self._committer = committer
        self._most_watched = most_watched
        self.reset()

    def reset(self) -> None:
        """Drop all cached state; ledger and venue are read again."""
        self._order_manager.reset()
        self._exits.reset()
        self._exposure.forget()

    @property
    def exited(self) -> Sequence[Signal]:
        """The close signals of exit rules in the last message."""
        return self._exits.exited

    def skip_disabled(self, message: SignalGenerated) -> ChainResult:
        """Record the decisions of a batch without executing any of them."""
        decisions = [not_executed(one) for one in message.decisions]
        self._committer.commit(message, message.candles, decisions, message.regimes)
        return ChainResult(
            ChainOutcome.DISABLED, has_more=message.has_more, cursor_ms=message.last_open_ms, decisions=decisions[-1]
        )

    def check(self, message: SignalGenerated) -> None:
        if self._checks is not None:
            self._checks.candles(message)
            self._checks.signals(message)

    def process(self, message: SignalGenerated) -> ChainResult:
        if self._checks is not None and (outdated := self._checks.in_store(message)):
            return ChainResult(ChainOutcome.SUPERSEDED, outdated, cursor_ms=message.after_ms)
        self._order_manager.renew_budget()
        if not self._order_manager.is_settled:
            self.reconcile(message.as_of_ms)
        self._exits.begin(message)
        self._standing.forget()
        decisions = list(message.decisions)
        end, left = 0, self._most_watched
        for step in batch_steps(message.candles, message.signals, self._is_watched):
            if made := self._execute(message, step):
                decisions[step.end - 1] = tuple(made)
            end = step.end
            left -= step.is_watched
            if not left:
                break
        return self._close_batch(message, message.candles[:end], decisions[:end])

    def reconcile(self, as_of_ms: int | None) -> list[Action]:
        """Compare ledger and venue and act on the differences; return the actions taken and those that still wait.

        Args:
            as_of_ms: Market time; None if unknown.
        """
        self._exposure.forget()
        self._order_manager.renew_budget()
        actions = self._order_manager.settle(as_of_ms)
        self._standing.flatten_unprotected(as_of_ms)
        self._order_manager.publish_incidents()
        self._exposure.mark_if_exists()
        return actions

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Return an order at the venue, None when the venue is sure that there is none.

        Raises:
            Transient: The venue does not answer.
        """
        self._order_manager.reset()
        return self._order_manager.find(client_order_id)

    def holdings(self, as_of_ms: int | None) -> Holdings:
        """Record the fills and return the positions in ledger and at the venue, see `PositionCloser.holdings`."""
        self._exposure.forget()
        return self._closer.holdings(as_of_ms)

    def flatten(self, reason: str, as_of_ms: int | None) -> FlattenResult:
        """Close all open positions of the symbol, see `PositionCloser.flatten`."""
        self._exposure.forget()
        if self._is_dry_run or not self.is_enabled:
            return FlattenResult("no order is sent: trade_execution is not enabled, or its execution_mode is dry")
        return self._closer.flatten(reason, as_of_ms)

    def _execute(self, message: SignalGenerated, step: BatchStep) -> list[CandleDecision]:
        """Show the venue the candles of a step, record their fills, and decide on the last candle."""
        seen_ms = message.seen_ms(step.candles.last_open_ms)
        if self._order_manager.book(step.candles, seen_ms):
            self._exposure.forget()
            self._standing.forget()
        made = self._decide(message, step)
        if not self._is_flattened(message):
            closed_ms = message.close_of(step.candles.last_open_ms)
            self._standing.execute(step.candles, seen_ms, closed_ms=closed_ms)
        return made

    def _decide(self, message: SignalGenerated, step: BatchStep) -> list[CandleDecision]:
        if step.is_watched:
            made = self._exits.execute(message, step)
        else:
            made = [self._signals.execute(message, signal) for signal in step.signals]
        if step.signals or self.exited:
            self._standing.forget()
        return made

    def _is_watched(self, open_ms: int) -> bool:
        return self._exits.is_watched(open_ms) or self._standing.is_due()

    @staticmethod
    def _is_flattened(message: SignalGenerated) -> bool:
        """Return whether the position is closed after each batch anyway, by the policy of a quarantine."""
        return permissions(message.desired, policy=message.quarantine).processing is Processing.FLATTEN

    def _close_batch(self, message: SignalGenerated, candles: Candles, decisions: Sequence[Decisions]) -> ChainResult:
        """Commit the first candles of a batch, usually all of them; the others are fetched again."""
        regimes = message.regimes[: len(candles)]
        self._committer.commit(message, candles, decisions, regimes, has_exposure=self._exposure.exists())
        has_signal = any(one.open_ms <= candles.last_open_ms for one in message.signals)
        outcome = ChainOutcome.DECIDED if has_signal or self.exited else ChainOutcome.SETTLED
        has_more = message.has_more or len(candles) < len(message.candles)
        return ChainResult(outcome, has_more=has_more, cursor_ms=candles.last_open_ms, decisions=decisions[-1])
