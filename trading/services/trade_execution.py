"""Fourth stage: the one place that talks to the venue and writes the ledger."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from trading import trade_events
from trading.adoption import Holdings
from trading.bus import LocalBus
from trading.candles import Candles, timeframe_ms
from trading.chronicle import Chronicle
from trading.errors import Transient
from trading.events import Signal, SignalGenerated, SignalSide, correlation_id, joined
from trading.flattening import Flattened, Wish
from trading.flow import End, EndReason
from trading.lifecycle import DesiredState
from trading.orders import VenueOrder
from trading.ports import Ledger, SymbolStore
from trading.positions import Position
from trading.reconciliation import Action
from trading.risk import OK, LedgerView, Verdict
from trading.services.base import Service
from trading.settlement import Settlement

Judge = Callable[[LedgerView, Signal], Verdict]


class TradeExecutionService(Service[SignalGenerated, End]):
    """Shows the venue each candle, books its fills, turns signals into intents and intents into orders.

    The order is the same for a batch of one and of a thousand: the candles up to a signal's own, their fills, then the
    signal. So a decision sees the position as it was at its candle's close.
    """

    def __init__(
        self,
        symbol: str,
        settlement: Settlement,
        ledger: Ledger,
        store: SymbolStore,
        chronicle: Chronicle,
        judge: Judge,
        bus: LocalBus,
        *,
        is_dry_run: bool,
        now_s: Callable[[], float],
        is_enabled: bool = True,
        quoted_spread: Callable[[], float] | None = None,
        is_alone: bool = True,
    ) -> None:
        """Make the service.

        Args:
            is_dry_run: Decide and write down, send nothing.
            quoted_spread: Asks the venue for ask minus bid, in quote currency; None where no rule needs it.
            is_alone: The symbol has one strategy, which the journal need not name.
        """
        super().__init__(symbol, bus, now_s=now_s, is_enabled=is_enabled)
        self._settlement = settlement
        self._ledger = ledger
        self._store = store
        self._chronicle = chronicle
        self._judge = judge
        self._is_dry_run = is_dry_run
        self._quoted_spread = quoted_spread
        self._is_alone = is_alone
        self.reset()

    def reset(self) -> None:
        """Ask ledger and venue again for what is remembered between candles."""
        self._settlement.reset()
        self._has_exposure: bool | None = None

    def pass_over(self, message: SignalGenerated) -> End:
        """Write the decisions down and act on none of them."""
        decisions = [f"{decision} -> not executed, trade execution is not enabled" for decision in message.decisions]
        self._chronicle.close(message, message.candles, decisions, message.regimes)
        return End(EndReason.DISABLED, decisions[-1], message.more, message.last_open_ms)

    def process(self, message: SignalGenerated) -> End:
        candles = message.candles
        decisions = list(message.decisions)
        self._settlement.renew_patience()
        if not self._settlement.is_settled:
            self.reconcile(message.as_of_ms)
        for segment, signals, at in _segments(candles, message.signals):
            seen_ms = message.seen_ms(int(candles.open_ms[at]))
            if self._settlement.book(segment, seen_ms):
                self._has_exposure = None
            if signals:
                told = [(signal.strategy, self._decide(message, signal)) for signal in signals]
                decisions[at] = joined(told, is_alone=self._is_alone)
        if self._has_exposure is None:
            self._has_exposure = self._ledger.has_exposure(self.symbol)
        self._chronicle.close(message, candles, decisions, message.regimes, has_exposure=self._has_exposure)
        reason = EndReason.DECIDED if message.signals else EndReason.SETTLED
        return End(reason, decisions[-1], message.more, message.last_open_ms)

    def reconcile(self, as_of_ms: int | None) -> list[Action]:
        """Settle what is not settled and compare ledger and venue; return what was done and what is left.

        Args:
            as_of_ms: Market time; None when the source did not tell.
        """
        self._has_exposure = None
        self._settlement.renew_patience()
        actions = self._settlement.settle(as_of_ms)
        self._settlement.tell()
        if self._ledger.has_exposure(self.symbol):
            self._store.expose(self.symbol)  # so that its candles reach the venue
        return actions

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Ask the venue for an order, None when it is sure that there is none.

        Raises:
            Transient: It did not answer.
        """
        self._settlement.reset()
        return self._settlement.find(client_order_id)

    def holdings(self, as_of_ms: int | None) -> Holdings:
        """Return what ledger and venue hold of the symbol, after fills were written down.

        Args:
            as_of_ms: Market time; None when the source did not tell.

        Raises:
            Transient: The venue did not answer, or what it holds may be of an order whose outcome is not known yet.
        """
        self._has_exposure = None
        self._store.expose(self.symbol)
        self._settlement.reset()
        theirs = self._settlement.held_at_venue()
        ours = [one for one in self._ledger.positions() if one.symbol == self.symbol]
        last = self._last_candle()
        open_ms = last[0] if last else max((position.opened_ms for position in ours), default=0)
        if not (open_ms or as_of_ms):
            raise Transient(f"source of {self.symbol}", "it does not tell the time of the market, and nothing is known")
        return Holdings(self.symbol, ours, theirs, open_ms, as_of_ms or self._closed_ms(open_ms))

    def flatten(self, reason: str, as_of_ms: int | None) -> Flattened:
        """Close all that is open of the symbol, without a signal, and withdraw entries that are on their way.

        An exit that is on its way is not sent again, so it may be asked for as often as one likes. It works while the
        symbol is paused or quarantined.

        Args:
            as_of_ms: Market time; None when the source did not tell.

        Raises:
            Transient: Ledger or venue did not answer; asked again, it goes on from there.
        """
        self._has_exposure = None
        self._settlement.renew_patience()
        if self._is_dry_run or not self.is_enabled:
            return Flattened("no order is sent: trade_execution is not enabled, or its execution_mode is dry")
        self._settlement.withdraw_entries(as_of_ms, f"all is closed: {reason}")
        if refused := self._why_nothing_is_closed():
            return Flattened(refused)
        verdicts = {held.strategy: self._close(held, reason, as_of_ms) for held in self._open_positions()}
        units = sum(position.units for position in self._open_positions())
        return Flattened("", verdicts, units, self._ledger.unsettled(self.symbol))

    def _why_nothing_is_closed(self) -> str:
        if self._ledger.desired(self.symbol) is DesiredState.STOPPED:
            return f"{self.symbol} is stopped: pause it, then ask again"
        halting = [incident.reason for incident in self._ledger.incidents_of(self.symbol) if incident.kind.halts]
        return f"what is held is not known, a person must look first: {'; '.join(halting)}" if halting else ""

    def _open_positions(self) -> list[Position]:
        return [one for one in self._ledger.positions() if one.symbol == self.symbol and one.is_open]

    def _close(self, held: Position, reason: str, as_of_ms: int | None) -> Verdict:
        """Have the ledger decide on an exit of a position, and send it."""
        self._store.expose(self.symbol)
        open_ms, price = self._last_candle() or (held.opened_ms, held.average_price)
        wish = Wish(held.strategy, reason, price, as_of_ms or self._closed_ms(open_ms))
        decided = self._ledger.flatten(
            self.symbol,
            held.strategy,
            open_ms,
            lambda view, decision_ms: wish.judged(self._judge, view, decision_ms),
            correlation_id=correlation_id(self.symbol, self._settlement.timeframe, open_ms),
        )
        if decided.intents:
            self._settlement.send(decided.intents, as_of_ms)
            self._settlement.book(Candles.empty(), as_of_ms)
        assert decided.verdict is not None  # no fence stands before it
        return decided.verdict

    def _closed_ms(self, open_ms: int) -> int:
        return open_ms + timeframe_ms(self._settlement.timeframe)

    def _last_candle(self) -> tuple[int, float] | None:
        """Return open time and close of the last candle decided; None where the store has lost it."""
        cursor_ms = self._store.load(self.symbol).cursor_ms or 0
        rows = self._store.window(self.symbol, 1, until_ms=cursor_ms).rows()
        return (int(rows[0][0]), rows[0][4]) if rows else None

    def _decide(self, message: SignalGenerated, signal: Signal) -> str:
        """Have the ledger decide on a signal, send what it wrote down, and return the decision for the journal.

        A candle that was decided before gives the same text again, and no order.
        """
        self._store.expose(self.symbol)
        self._has_exposure = None
        said = signal.words
        cause = correlation_id(self.symbol, message.timeframe, signal.open_ms)
        decided = self._ledger.decide(
            self.symbol,
            signal.strategy,
            signal.open_ms,
            self._judge_of(signal),
            correlation_id=cause,
            dry_run=self._is_dry_run,
        )
        verdict = decided.verdict
        if verdict is None:
            self._bus.publish(trade_events.of_fence(signal, self.symbol, cause))
            return self._told(said, decided.earlier) if decided.earlier else f"{said} -> decided before"
        if verdict.rule == "unsettled":
            self._settlement.is_settled = False  # ask the venue again, an order may have ended there unseen
        if verdict.incident is not None:
            self._settlement.tell()
        self._bus.tell(lambda: trade_events.of_verdict(signal, verdict, self.symbol, cause))
        if decided.intents:
            seen_ms = message.seen_ms(signal.open_ms)
            self._settlement.send(decided.intents, seen_ms)
            self._settlement.book(Candles.empty(), seen_ms)
        return self._told(said, verdict)

    def _judge_of(self, signal: Signal) -> Callable[[LedgerView], Verdict]:
        """Return what judges a signal under the account's lock; what it needs of the venue is asked for before."""
        if self._quoted_spread is None or signal.side is SignalSide.CLOSE:
            return lambda view: self._judge(view, signal)
        spread = self._quoted_spread()
        return lambda view: self._judge(replace(view, spread=spread), signal)

    def _told(self, said: str, verdict: Verdict) -> str:
        text = verdict.reason if verdict.rule == OK else f"{said} -> refused by {verdict.rule}: {verdict.reason}"
        return f"dry run, nothing sent: {text}" if self._is_dry_run else text


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
