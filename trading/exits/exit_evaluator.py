"""Evaluation of exit rules at the close of each candle; decisions that an earlier process recorded are repeated."""

from collections.abc import Collection, Iterator, Mapping

from trading.events.messages import SignalGenerated
from trading.exits.exit_rules import ExitRules, RuleExit, RuleStop, hook_row
from trading.exits.exposure import SymbolExposure
from trading.indicators.rows import IndicatorRows
from trading.market.candles import CLOSE, Candles
from trading.orders.orders import Side
from trading.portfolio.positions import Position, StopMove
from trading.ports.ledger import DecisionLog
from trading.risk.verdict import RiskDecision
from trading.strategies import PositionView, StrategyFault
from trading.strategies.errors import at_candle
from trading.strategies.indicator_sharing import SharedIndicators
from trading.strategies.signal import Refusal, Signal, SignalSide
from trading.trading_state import Processing, permissions

Answer = RuleExit | RuleStop | Refusal
Recorded = StopMove | RiskDecision
"""A recorded decision on a candle."""


class ExitEvaluator:
    """The exit rules of one symbol's strategies.

    A candle is repeated if a process died before its batch was committed. The recorded decision on it is then returned
    again; rules are not evaluated at a candle before a later decision, because the position has changed since. The
    ledger is read once for each batch: another process may have processed its candles too.
    """

    def __init__(
        self,
        symbol: str,
        rules: Mapping[str, ExitRules],
        ledger: DecisionLog,
        exposure: SymbolExposure,
        shared: SharedIndicators | None = None,
    ) -> None:
        """Make the evaluator.

        Args:
            rules: Exit rules by strategy; a strategy without rules is left out.
            shared: The indicator columns of each strategy; needed where one has a hook.
        """
        self._symbol = symbol
        self._rules = rules
        self._ledger = ledger
        self._exposure = exposure
        self._shared = shared
        self._rows: IndicatorRows | None = None
        self._rows_by_strategy: Mapping[str, IndicatorRows] = {}
        self.reset()

    def __bool__(self) -> bool:
        """Whether the symbol has exit rules."""
        return bool(self._rules)

    def reset(self) -> None:
        """Drop all cached state; the ledger is read again."""
        self._after_ms = 0
        self._is_idle = False
        self._recorded: dict[tuple[str, int], Recorded] = {}
        self._newest_ms: dict[str, int] = {}

    def begin(self, message: SignalGenerated) -> None:
        """Begin a batch. Rules are not evaluated at candles decided before, nor while the symbol is quarantined."""
        if not self._rules:
            return
        processing = permissions(message.desired, policy=message.quarantine).processing
        self._after_ms, self._is_idle = message.after_ms, processing is not Processing.FULL
        self._recorded, self._newest_ms = {}, {}
        if not self._is_idle:
            self._load_recorded(max(int(message.candles.open_ms[0]), message.after_ms + 1))
        if message.rows is not self._rows and message.rows is not None and self._shared is not None:
            hooked = [name for name, rules in self._rules.items() if rules.hook is not None]
            self._rows_by_strategy = {name: self._shared.rows_of(name, message.rows) for name in hooked}
        self._rows = message.rows

    def is_recorded(self, open_ms: int) -> bool:
        """Return whether a decision is recorded on this candle, or on a later one of the batch."""
        return any(newest_ms >= open_ms for newest_ms in self._newest_ms.values())

    def answers(self, candle: Candles, with_signal: Collection[str]) -> Iterator[tuple[str, Answer | Recorded]]:
        """Yield (strategy, answer) of the rules that answer; each answer is carried out before the next evaluation.

        Args:
            candle: One candle, whose fills are booked.
            with_signal: Strategies with a signal at this candle, which was executed before.
        """
        open_ms = candle.last_open_ms
        for strategy, rules in self._rules.items():
            if strategy not in with_signal:
                answer = self._recorded.get((strategy, open_ms)) or self._answer(strategy, rules, candle)
                if answer is not None:
                    yield strategy, answer

    def of_signal(self, signal: Signal, candle: Candles) -> Answer | StopMove | None:
        """Evaluate the rules at a signal that cannot change the open position; None at any other.

        Otherwise the position of a strategy that signals buy at each candle of a rising market would have no exits.
        """
        rules = self._rules.get(signal.strategy)
        recorded = self._recorded.get((signal.strategy, signal.open_ms))
        if rules is None or isinstance(recorded, StopMove):
            return recorded if isinstance(recorded, StopMove) else None
        held = self._exposure.position_of(signal.strategy)
        if signal.side is SignalSide.CLOSE or held is None or self._is_idle:
            return None
        is_same = (held.units > 0) == (signal.side is SignalSide.BUY)
        return self._answer(signal.strategy, rules, candle) if is_same or rules.ignores_opposite else None

    def stop_of(self, strategy: str) -> float | None:
        """Return the stop price of a strategy's open position; None for none."""
        held = self._exposure.position_of(strategy)
        return None if held is None else held.stop_loss

    def _answer(self, strategy: str, rules: ExitRules, candle: Candles) -> Answer | None:
        open_ms = candle.last_open_ms
        if self._is_idle or open_ms <= self._after_ms or open_ms < self._newest_ms.get(strategy, 0):
            return None
        held = self._exposure.position_of(strategy)
        if held is None or held.opened_ms > open_ms:
            return None
        row = self._row(strategy, candle) if rules.hook is not None else None
        try:
            return rules.evaluated(float(candle.values[-1, CLOSE]), row, _view(held))
        except StrategyFault as fault:
            raise fault.of(self._symbol, strategy, at_candle(open_ms)) from fault.__cause__

    def _row(self, strategy: str, candle: Candles) -> dict[str, float] | None:
        """Return the row that a hook gets for a candle; None where its indicators are incomplete."""
        rows = self._rows_by_strategy.get(strategy) if self._rows is not None else None
        at = -1 if rows is None else int(rows.open_ms.searchsorted(candle.last_open_ms))
        if rows is None or at == len(rows) or rows.open_ms[at] != candle.last_open_ms:
            return None
        return hook_row(candle, rows[at : at + 1])

    def _load_recorded(self, since_ms: int) -> None:
        """Read the recorded decisions of all processes on candles that may be repeated."""
        self._recorded = dict(self._ledger.decisions_since(self._symbol, self._rules, since_ms))
        for strategy, open_ms in self._recorded:
            self._newest_ms[strategy] = max(open_ms, self._newest_ms.get(strategy, 0))


def _view(held: Position) -> PositionView:
    return PositionView(
        Side.BUY if held.units > 0 else Side.SELL,
        abs(held.units),
        held.average_price,
        held.opened_ms,
        held.stop_loss,
        held.take_profit,
    )
