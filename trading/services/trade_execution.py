"""Fourth stage: the one place that talks to the venue and writes the ledger."""

from collections.abc import Callable, Iterator, Sequence

from trading import trade_events
from trading.bus import LocalBus
from trading.candles import Candles
from trading.chronicle import Chronicle
from trading.events import Signal, SignalGenerated, correlation_id
from trading.flow import End, EndReason
from trading.ports import Ledger, SymbolStore
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
    ) -> None:
        """Make the service.

        Args:
            is_dry_run: Decide and write down, send nothing.
        """
        super().__init__(symbol, bus, now_s=now_s, is_enabled=is_enabled)
        self._settlement = settlement
        self._ledger = ledger
        self._store = store
        self._chronicle = chronicle
        self._judge = judge
        self._is_dry_run = is_dry_run
        self.reset()

    def reset(self) -> None:
        """Ask ledger and venue again for what is remembered between candles."""
        self._settlement.reset()
        self._has_exposure: bool | None = None

    def pass_over(self, message: SignalGenerated) -> End:
        """Write the decisions down and act on none of them."""
        decisions = [f"{decision} -> not executed, trade execution is not enabled" for decision in message.decisions]
        self._chronicle.close(message, message.new_candles(), decisions, message.regimes)
        return End(EndReason.DISABLED, decisions[-1], message.more, message.last_open_ms)

    def process(self, message: SignalGenerated) -> End:
        candles = message.new_candles()
        decisions = list(message.decisions)
        self._settlement.renew_patience()
        if not self._settlement.is_settled:
            self.reconcile(message.as_of_ms)
        for segment, signal in _segments(candles, message.signals):
            if self._settlement.book(segment, message.as_of_ms):
                self._has_exposure = None
            if signal is not None:
                at = int(candles.open_ms.searchsorted(signal.open_ms))
                decisions[at] = self._decide(message, signal, decisions[at])
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
        if self._ledger.has_exposure(self.symbol):
            self._store.expose(self.symbol)  # so that its candles reach the venue
        return actions

    def _decide(self, message: SignalGenerated, signal: Signal, said: str) -> str:
        """Have the ledger decide on a signal, send what it wrote down, and return the decision for the journal.

        A candle that was decided before gives the same text again, and no order.
        """
        self._store.expose(self.symbol)
        self._has_exposure = None
        cause = correlation_id(self.symbol, message.timeframe, signal.open_ms)
        decided = self._ledger.decide(
            self.symbol,
            signal.strategy,
            signal.open_ms,
            lambda view: self._judge(view, signal),
            correlation_id=cause,
            dry_run=self._is_dry_run,
        )
        verdict = decided.verdict
        if verdict is None:
            self._bus.publish(trade_events.of_fence(signal, self.symbol, cause))
            return self._told(said, decided.earlier) if decided.earlier else f"{said} -> decided before"
        if verdict.rule == "unsettled":
            self._settlement.is_settled = False  # ask the venue again, an order may have ended there unseen
        for event in trade_events.of_verdict(signal, verdict, self.symbol, cause):
            self._bus.publish(event)
        if decided.intents:
            self._settlement.send(decided.intents, message.as_of_ms)
            self._settlement.book(Candles.empty(), message.as_of_ms)
        return self._told(said, verdict)

    def _told(self, said: str, verdict: Verdict) -> str:
        text = verdict.reason if verdict.rule == OK else f"{said} -> refused by {verdict.rule}: {verdict.reason}"
        return f"dry run, nothing sent: {text}" if self._is_dry_run else text


def _segments(candles: Candles, signals: Sequence[Signal]) -> Iterator[tuple[Candles, Signal | None]]:
    """Cut the candles after each one that has a signal: (candles up to and with it, the signal), then the rest."""
    rest = candles
    for signal in signals:
        yield rest.until(signal.open_ms), signal
        rest = rest.after(signal.open_ms)
    if len(rest):
        yield rest, None
