"""Whatever is signalled, filled and moved by the market: no entry takes an account past its leverage."""

import math
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from adapters.ledger.memory import MemoryLedger
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Fill, Leg, OrderState
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.rules import evaluate_signal
from trading.strategies.signal import Signal, SignalSide

BALANCE = 10_000.0
SYMBOLS = ("XAUUSD", "BTCUSD", "EURUSD")
STRATEGIES = ("trend", "fade")

sizes = st.sampled_from([None, None, 20.0, 40.0, 60.0]) | st.floats(1e-9, 1e12)
stops = st.sampled_from([0.01, 0.05]) | st.none() | st.floats(1e-6, 0.9)
signals = st.tuples(
    st.just("signal"),
    st.sampled_from(SYMBOLS),
    st.sampled_from(STRATEGIES),
    st.sampled_from([SignalSide.BUY, SignalSide.BUY, SignalSide.SELL, SignalSide.SELL, SignalSide.CLOSE]),
    sizes,
    stops,
)
fills = st.tuples(st.just("fill"), st.integers(0, 5), st.floats(0.01, 1.0))
ends = st.tuples(st.just("cancel"), st.integers(0, 5))
moves = st.tuples(st.just("move"), st.sampled_from(SYMBOLS), st.floats(0.2, 5.0))


class Account:
    """An account whose symbols trade at prices that move, and what is open by arithmetic of its own."""

    def __init__(self, limits: AccountLimits, risk: RiskLimits) -> None:
        self.ledger = MemoryLedger("main", BALANCE)
        self.limits, self.risk = limits, risk
        self.prices = dict.fromkeys(SYMBOLS, 100.0)
        self.minute = self.sequence = 0

    def signal(self, symbol: str, strategy: str, side: SignalSide, size: float | None, stop: float | None) -> None:
        self.minute += 1
        price, sign = self.prices[symbol], -1 if side is SignalSide.SELL else 1
        one = Signal(
            strategy=strategy,
            open_ms=self.minute * 60_000,
            side=side,
            price=price,
            stop_loss=None if stop is None or side is SignalSide.CLOSE else price * (1 - sign * stop),
            size_units=size,
            reason="drawn",
        )
        before = self.values()
        decided = self.ledger.decide(
            symbol,
            strategy,
            one.open_ms,
            lambda view: evaluate_signal(
                view, one, symbol=symbol, timeframe="1m", account=self.limits, limits=self.risk
            ),
            correlation_id="c",
            prices=self.prices,
        )
        if any(intent.request.leg is Leg.ENTRY for intent in decided.intents):
            equity, after = self.equity(), self.values()
            assert equity > 0
            self.check(self.limits.max_leverage * equity, before, after)
            mine = {key: value for key, value in after.items() if key[0] == symbol}
            self.check(self.risk.max_leverage * equity, {key: before.get(key, 0.0) for key in mine}, mine)

    def check(
        self, limit: float, before: Mapping[tuple[str, str], float], after: Mapping[tuple[str, str], float]
    ) -> None:
        """Require that the values are within the limit, or no larger: a reversal may shrink what is over."""
        total = math.fsum(after.values())
        assert total <= limit * (1 + 1e-6) or total <= math.fsum(before.values()) * (1 + 1e-9)

    def fill(self, number: int, part: float) -> None:
        live = [(request, order) for request, order in self.ledger.orders() if not order.state.is_final]
        if not live:
            return
        request, order = live[number % len(live)]
        if order.state is OrderState.PLANNED:
            return  # the exit before it was not filled
        self.sequence += 1
        units = request.units - order.filled_units if part > 0.5 else (request.units - order.filled_units) * part
        price = self.prices[request.symbol]
        name = f"f{self.sequence}"
        fill = Fill(
            self.sequence,
            name,
            request.client_order_id,
            request.symbol,
            request.strategy,
            request.leg,
            request.side,
            units,
            price,
            0.0,
            self.minute * 60_000,
        )
        self.ledger.record_fills(request.symbol, [fill])
        for intent in self.ledger.unsettled(request.symbol):
            if request.leg is Leg.EXIT and intent.state is OrderState.PLANNED and part > 0.5:
                claim = OrderUpdate(intent.request.client_order_id, OrderState.SUBMITTING, claims=intent.attempt + 1)
                self.ledger.mark(claim)

    def cancel(self, number: int) -> None:
        live = [request for request, order in self.ledger.orders() if not order.state.is_final]
        if live:
            self.ledger.mark(OrderUpdate(live[number % len(live)].client_order_id, OrderState.CANCELED))

    def move(self, symbol: str, factor: float) -> None:
        self.prices[symbol] *= factor

    def equity(self) -> float:
        return self.ledger.balance() + math.fsum(
            one.unrealised(self.prices[one.symbol]) for one in self.ledger.positions()
        )

    def values(self) -> dict[tuple[str, str], float]:
        """Return the largest value that each book can reach: what is held, and what its entries may still fill."""
        sides: dict[tuple[str, str], list[float]] = {}
        for position in self.ledger.positions():
            value = position.units * self.prices[position.symbol]
            sides[position.symbol, position.strategy] = [max(value, 0.0), max(-value, 0.0)]
        for request, order in self.ledger.orders():
            if request.leg is Leg.ENTRY and not order.state.is_final:
                value = (request.units - order.filled_units) * request.reference_price
                sides.setdefault((request.symbol, request.strategy), [0.0, 0.0])[request.side.sign < 0] += value
        return {key: max(both) for key, both in sides.items()}


sizings = st.sampled_from(
    [
        {"sizing": "fixed_units", "units": 30.0},
        {"sizing": "fixed_notional", "notional": 4_000.0},
        {"sizing": "risk_fraction", "risk_fraction": 0.05},
    ]
)


@given(
    steps=st.lists(signals | signals | fills | ends | moves, min_size=5, max_size=40),
    sizing=sizings,
    leverage=st.tuples(*[st.sampled_from([0.5, 1.0, 1.0, 3.0]) | st.floats(0.1, 20)] * 2),
)
def test_entries_of_any_sequence_keep_an_account_within_its_leverage(
    steps: list[tuple[object, ...]], sizing: dict[str, object], leverage: tuple[float, float]
) -> None:
    limits = AccountLimits(name="main", starting_balance=BALANCE, max_leverage=leverage[0])
    account = Account(limits, RiskLimits.model_validate({**sizing, "max_leverage": leverage[1]}))
    for name, *arguments in steps:
        getattr(account, str(name))(*arguments)
