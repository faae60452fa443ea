"""Fourth stage: the one place that talks to the venue and writes the ledger."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trading import trade_events
from trading.bus import LocalBus
from trading.candles import Candles
from trading.chronicle import Chronicle
from trading.errors import Rejected, Transient
from trading.events import Signal, SignalGenerated, correlation_id
from trading.flow import End, EndReason
from trading.lifecycle import DesiredState
from trading.orders import Leg, OrderRequest, OrderState, decided_open_ms
from trading.ports import Intent, Ledger, SymbolStore, Venue
from trading.risk import OK, LedgerView, Verdict
from trading.services.base import Service

Judge = Callable[[LedgerView, Signal], Verdict]


_ACKNOWLEDGED = (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED)


@dataclass(frozen=True, slots=True)
class ExecutionTerms:
    """How to execute.

    Attributes:
        dry_run: Decide and write down, send nothing.
        max_signal_age_ms: An entry that could not be sent in time is let go when it was decided longer ago than this.
    """

    dry_run: bool
    max_signal_age_ms: int


class TradeExecutionService(Service[SignalGenerated, End]):
    """Shows the venue each candle, books its fills, turns signals into intents and intents into orders.

    The order is the same for a batch of one and of a thousand: the candles up to a signal's own, their fills, then the
    signal. So a decision sees the position as it was at its candle's close.
    """

    def __init__(
        self,
        symbol: str,
        venue: Venue,
        ledger: Ledger,
        store: SymbolStore,
        chronicle: Chronicle,
        judge: Judge,
        terms: ExecutionTerms,
        bus: LocalBus,
        *,
        now_s: Callable[[], float],
        is_enabled: bool = True,
    ) -> None:
        super().__init__(symbol, bus, now_s=now_s, is_enabled=is_enabled)
        self._venue = venue
        self._ledger = ledger
        self._store = store
        self._chronicle = chronicle
        self._judge = judge
        self._terms = terms
        self.reset()

    def reset(self) -> None:
        """Ask ledger and venue again for what is remembered between candles."""
        self._booked_sequence: int | None = None
        self._has_exposure: bool | None = None
        self._is_settled = False

    def pass_over(self, message: SignalGenerated) -> End:
        """Write the decisions down and act on none of them."""
        decisions = [f"{decision} -> not executed, trade execution is not enabled" for decision in message.decisions]
        self._chronicle.close(message, message.new_candles(), decisions, message.regimes)
        return End(EndReason.DISABLED, decisions[-1], message.more, message.last_open_ms)

    def process(self, message: SignalGenerated) -> End:
        candles = message.new_candles()
        decisions = list(message.decisions)
        if not self._is_settled:
            self._settle(message)
        for segment, signal in _segments(candles, message.signals):
            self._book(message, segment)
            if signal is not None:
                at = int(candles.open_ms.searchsorted(signal.open_ms))
                decisions[at] = self._decide(message, signal, decisions[at])
        if self._has_exposure is None:
            self._has_exposure = self._ledger.has_exposure(self.symbol)
        self._chronicle.close(message, candles, decisions, message.regimes, has_exposure=self._has_exposure)
        reason = EndReason.DECIDED if message.signals else EndReason.SETTLED
        return End(reason, decisions[-1], message.more, message.last_open_ms)

    def _book(self, message: SignalGenerated, candles: Candles) -> None:
        """Let the venue see `candles`, and write down what it filled since we last asked."""
        newest = self._venue.sync(self.symbol, candles)
        if newest == self._booked_sequence:
            return
        booked = self._ledger.fill_sequence(self.symbol)
        fills = self._venue.fills(self.symbol, after=booked)
        for fill, before, after in self._ledger.record_fills(self.symbol, fills):
            cause = correlation_id(self.symbol, message.timeframe, decided_open_ms(fill.client_order_id))
            for event in trade_events.of_fill(fill, before, after, cause):
                self._bus.publish(event)
        self._booked_sequence, self._has_exposure = newest, None

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
            dry_run=self._terms.dry_run,
        )
        verdict = decided.verdict
        if verdict is None:
            self._settle(message)
            return self._told(said, decided.earlier) if decided.earlier else f"{said} -> decided before"
        if verdict.rule == "unsettled":
            self._is_settled = False  # ask the venue again, an order may have ended there unseen
        for event in trade_events.of_verdict(signal, verdict, self.symbol, cause):
            self._bus.publish(event)
        if decided.intents:
            self._send_in_turn(message, decided.intents)
            self._book(message, Candles.empty())
        return self._told(said, verdict)

    def _told(self, said: str, verdict: Verdict) -> str:
        text = verdict.reason if verdict.rule == OK else f"{said} -> refused by {verdict.rule}: {verdict.reason}"
        return f"dry run, nothing sent: {text}" if self._terms.dry_run else text

    def _settle(self, message: SignalGenerated) -> None:
        """Find out how the orders stand that were on their way when this service, or the one before it, was cut off.

        The venue is asked before anything is sent: an order that it knows is adopted. One that it does not know is sent
        now, or let go when it is an entry whose time has passed.
        """
        self._is_settled = True  # until an order below is left unknown
        self._has_exposure = None
        unknown_to_venue = []
        for intent in self._ledger.unsettled(self.symbol):
            known = self._venue.find(intent.request.client_order_id)
            if known is not None:
                self._ledger.mark(known.client_order_id, known.state, known.venue_order_id)
            elif intent.state not in _ACKNOWLEDGED and not self._let_go(message, intent.request):
                unknown_to_venue.append(intent)
        self._send_in_turn(message, unknown_to_venue)

    def _let_go(self, message: SignalGenerated, request: OrderRequest) -> bool:
        """Give up an entry that the venue does not know, when its time has passed or the user wants none by now."""
        if request.leg is not Leg.ENTRY:
            return False
        age_ms = message.as_of_ms - request.decided_ms
        if age_ms > self._terms.max_signal_age_ms:
            state, reason = OrderState.EXPIRED, f"never sent, and now {age_ms / 1000:g} s too old to be an entry"
        elif (desired := self._ledger.desired(self.symbol)) is not DesiredState.RUNNING:
            state, reason = OrderState.CANCELED, f"never sent, and now the symbol is {desired.value}"
        else:
            return False
        self._ledger.mark(request.client_order_id, state)
        self._bus.publish(trade_events.of_cancel(request, reason, self._cause(message, request)))
        return True

    def _send_in_turn(self, message: SignalGenerated, intents: Sequence[Intent]) -> None:
        """Send orders one after the other. Once one did not go through, no entry follows: it counted on the exit."""
        is_through = True
        for intent in intents:
            if is_through or intent.request.leg is not Leg.ENTRY:
                is_through = self._send(message, intent) and is_through
                continue
            self._ledger.mark(intent.request.client_order_id, OrderState.CANCELED)
            reason = "not sent, because the order before it did not go through"
            self._bus.publish(trade_events.of_failure(intent.request, reason, self._cause(message, intent.request)))

    def _cause(self, message: SignalGenerated, request: OrderRequest) -> str:
        return correlation_id(self.symbol, message.timeframe, decided_open_ms(request.client_order_id))

    def _send(self, message: SignalGenerated, intent: Intent) -> bool:
        """Send one order, write down whatever the venue says or does not say, and return whether it took the order.

        Nothing is resent here.
        """
        request = intent.request
        cause = self._cause(message, request)
        try:
            order = self._venue.submit(request)
        except Rejected as refusal:
            self._ledger.mark(request.client_order_id, OrderState.REJECTED)
            self._bus.publish(trade_events.of_failure(request, f"the venue refused it: {refusal}", cause))
        except Transient as trouble:
            self._ledger.mark(request.client_order_id, OrderState.UNKNOWN)
            self._is_settled = False
            self._bus.publish(trade_events.of_failure(request, f"outcome unknown: {trouble}", cause))
        else:
            if order.state is not OrderState.FILLED:  # the fill that is booked next says so
                self._ledger.mark(request.client_order_id, order.state, order.venue_order_id)
            self._bus.publish(trade_events.of_order(request, order, cause))
            return True
        return False


def _segments(candles: Candles, signals: Sequence[Signal]) -> Iterator[tuple[Candles, Signal | None]]:
    """Cut the candles after each one that has a signal: (candles up to and with it, the signal), then the rest."""
    rest = candles
    for signal in signals:
        yield rest.until(signal.open_ms), signal
        rest = rest.after(signal.open_ms)
    if len(rest):
        yield rest, None
