"""Random sequences of calls of the port, and the answers of a ledger to each of them, as values that can be compared.

The calls are those that any ledger can answer: fills come in the order of their sequence, and of the incidents only a
drawdown is resolved.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from trading.errors import Broken
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.intents import OrderUpdate
from trading.orders.orders import (
    PROTECTIVE_LEGS,
    Fill,
    Leg,
    OrderRequest,
    OrderState,
    Side,
    client_order_id,
    protective_order_id,
)
from trading.portfolio.positions import StopMove
from trading.portfolio.trades import ClosedTrade, in_order
from trading.risk.open_book import OpenBook
from trading.risk.verdict import AccountSnapshot, PlannedOrder, RiskDecision
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import OTHER, SECOND, STRATEGY, SYMBOL, at, view_of
from trading_orchestrator.testing.contracts.ledger.subject import LedgerSubject

_SYMBOLS, _STRATEGIES = st.sampled_from([SYMBOL, OTHER]), st.sampled_from([STRATEGY, SECOND])
_OWNERS = st.tuples(_SYMBOLS, _STRATEGIES)
_BACK = st.sampled_from([0, 0, 0, 0, 1, 3])
"""Age, in candles, of the candle that a call is about: most are about the present one."""
_ORDER = st.integers(0, 5)
"""Number of the order that a call is about, counted from the newest."""
_KINDS = st.sampled_from(
    [IncidentKind.POSITION_MISMATCH, IncidentKind.UNPROTECTED, IncidentKind.MAX_DRAWDOWN, IncidentKind.CLOSE_REFUSED]
)
_PLANS = st.sampled_from(["refuse", "breach", "buy", "sell", "exit", "reverse", "raise"])
_TENTHS = st.integers(1, 25)

CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("decide"), _OWNERS, _BACK, _PLANS, st.booleans()),
        st.tuples(st.just("decide"), _OWNERS, st.just(0), _PLANS, st.just(False)),
        st.tuples(st.just("mark"), st.lists(st.tuples(_ORDER, st.sampled_from(OrderState)), min_size=1, max_size=3)),
        st.tuples(st.just("claim"), _ORDER, st.integers(0, 2)),
        st.tuples(st.just("fill"), _ORDER, st.sampled_from(Leg), _TENTHS, st.integers(80, 125)),
        st.tuples(st.just("fill"), _ORDER, st.just(Leg.ENTRY), st.just(20), st.integers(95, 105)),
        st.tuples(st.just("trade"), _OWNERS, st.sampled_from(["buy", "sell"]), st.booleans(), st.integers(80, 125)),
        st.tuples(st.just("trade"), _OWNERS, st.sampled_from(["buy", "sell"]), st.just(False), st.just(100)),
        st.tuples(st.just("fill again"), st.integers(0, 4)),
        st.tuples(st.just("move stop"), _OWNERS, _BACK, st.integers(80, 125)),
        st.tuples(st.just("refuse stop"), st.integers(0, 3)),
        st.tuples(st.just("incident"), _SYMBOLS, _KINDS, _STRATEGIES),
        st.tuples(st.just("resolve")),
        st.tuples(st.just("desired"), _SYMBOLS, st.sampled_from(DesiredState)),
    ),
    min_size=30,
    max_size=60,
)


@dataclass
class Driver:
    """Makes the calls of one sequence on one ledger, and returns what a caller can see after each.

    Attributes:
        minute: The present candle; each call lets one close.
        orders: Those that were planned, whether the ledger took them or not.
    """

    subject: LedgerSubject
    minute: int = 0
    orders: list[OrderRequest] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    moves: list[StopMove] = field(default_factory=list)
    drawdown: Incident | None = None

    def play(self, call: tuple[Any, ...]) -> dict[str, Any]:
        """Make a call, and return its answer with all that the port can read."""
        self.minute += 1
        name, *arguments = call
        step: Callable[..., Any] = getattr(self, "_" + name.replace(" ", "_"))
        try:
            answer = step(*arguments)
        except (Broken, InterruptedError) as error:
            answer = (type(error).__name__, str(error))
        return {"answer": answer, **self._everything()}

    def _decide(self, owner: tuple[str, str], back: int, plan: str, is_dry: bool) -> Any:
        symbol, strategy = owner
        open_ms = at(self.minute - back)
        planned = tuple(PlannedOrder(one, 20.0) for one in self._planned(symbol, strategy, open_ms, plan))
        incident = self._incident_of(symbol, IncidentKind.MAX_DRAWDOWN, "account") if plan == "breach" else None
        seen: list[Any] = []

        def judge(view: AccountSnapshot) -> RiskDecision:
            trades = in_order([*view.trades_since(at(self.minute - 15), None)])
            seen.extend((_comparable(view), [_rounded_trade(one) for one in trades]))
            if plan == "raise":
                raise InterruptedError
            rule = "ok" if planned else "cooldown"
            return RiskDecision(rule, f"{plan} at {self.minute}", planned, incident is not None, incident)

        answer = self.subject.ledger.decide(
            symbol, strategy, open_ms, judge, correlation_id="c", dry_run=is_dry, prices={SYMBOL: 101.0}
        )
        self.orders += [intent.request for intent in answer.intents]
        if answer.verdict is not None and incident is not None and not is_dry:
            self.drawdown = self.drawdown or incident
        return answer, seen

    def _planned(self, symbol: str, strategy: str, open_ms: int, plan: str) -> list[OrderRequest]:
        legs = {
            "buy": [(Leg.ENTRY, Side.BUY)],
            "sell": [(Leg.ENTRY, Side.SELL)],
            "exit": [(Leg.EXIT, Side.SELL)],
            "reverse": [(Leg.EXIT, Side.SELL), (Leg.ENTRY, Side.SELL)],
        }.get(plan, [])
        return [self._request(symbol, strategy, open_ms, leg, side) for leg, side in legs]

    def _request(self, symbol: str, strategy: str, open_ms: int, leg: Leg, side: Side) -> OrderRequest:
        identity = client_order_id(self.subject.account, symbol, strategy, open_ms, leg)
        stop, target = (100.0 - 10.0 * side.sign, 100.0 + 20.0 * side.sign) if leg is Leg.ENTRY else (None, None)
        return OrderRequest(identity, symbol, strategy, leg, side, 2.0, 100.0, open_ms + 60_000, stop, target)

    def _order(self, back: int) -> OrderRequest | None:
        return self.orders[-1 - back] if back < len(self.orders) else None

    def _mark(self, marks: list[tuple[int, OrderState]]) -> Any:
        chosen = [(self._order(back), state) for back, state in marks]
        updates = [
            OrderUpdate(one.client_order_id, state, f"v{self.minute}") for one, state in chosen if one is not None
        ]
        return self.subject.ledger.mark(*updates)

    def _claim(self, back: int, more: int) -> Any:
        order = self._order(back)
        if order is None:
            return None
        unsettled = self.subject.ledger.unsettled(order.symbol)
        attempts = [one.attempt for one in unsettled if one.request == order]
        number = (attempts[0] if attempts else 0) + more
        return self.subject.ledger.mark(OrderUpdate(order.client_order_id, OrderState.SUBMITTING, claims=number))

    def _fill(self, back: int, leg: Leg, tenths: int, price: int) -> Any:
        order = self._order(back)
        if order is None:
            return None
        is_protective = leg in PROTECTIVE_LEGS and order.leg is Leg.ENTRY
        identity = protective_order_id(order.client_order_id, leg) if is_protective else order.client_order_id
        side, of = (order.side.opposite, leg) if is_protective else (order.side, order.leg)
        number = len(self.fills) + 1
        fill = Fill(
            number,
            f"fill-{number}",
            identity,
            order.symbol,
            order.strategy,
            of,
            side,
            tenths / 10,
            float(price),
            0.25,
            at(self.minute),
        )
        self.fills.append(fill)
        return _booked(self.subject.ledger.record_fills(order.symbol, [fill]))

    def _trade(self, owner: tuple[str, str], plan: str, is_closed: bool, price: int) -> Any:
        """Enter and fill the whole; `is_closed` has the stop filled too."""
        answers = [self._decide(owner, 0, plan, is_dry=False), self._fill(0, Leg.ENTRY, 20, 100)]
        return [*answers, self._fill(0, Leg.STOP_LOSS, 20, price) if is_closed else None]

    def _fill_again(self, back: int) -> Any:
        known = self.fills[-1 - back :]
        return [_booked(self.subject.ledger.record_fills(fill.symbol, [fill, fill])) for fill in known]

    def _move_stop(self, owner: tuple[str, str], back: int, price: int) -> Any:
        move = self.subject.ledger.move_stop(*owner, at(self.minute - back), float(price), "rule", correlation_id="c")
        if move is not None:
            self.moves.append(move)
        return move, move and move.is_current

    def _refuse_stop(self, back: int) -> Any:
        if back >= len(self.moves):
            return None
        move = self.subject.ledger.refuse_stop(self.moves[-1 - back], f"too near at {self.minute}")
        return move, move.is_current

    def _incident(self, symbol: str, kind: IncidentKind, key: str) -> Any:
        if kind is IncidentKind.MAX_DRAWDOWN and self.drawdown is not None:
            return None  # the rules open one in an account
        incident = self._incident_of(symbol, kind, key)
        if kind is IncidentKind.MAX_DRAWDOWN:
            self.drawdown = incident
        return list(self.subject.ledger.open_incidents([incident]))

    def _incident_of(self, symbol: str, kind: IncidentKind, key: str) -> Incident:
        if kind is IncidentKind.MAX_DRAWDOWN and self.drawdown is not None:
            return self.drawdown
        return Incident(kind, symbol, key, f"{kind} at {self.minute}")

    def _resolve(self) -> None:
        if self.drawdown is not None:
            self.subject.resolve(self.drawdown)
            self.drawdown = None

    def _desired(self, symbol: str, state: DesiredState) -> None:
        self.subject.ledger.set_desired(symbol, state, reason="test")

    def _everything(self) -> dict[str, Any]:
        """Return the answer of each reading method of the port."""
        ledger = self.subject.ledger
        ids = [one.client_order_id for one in self.orders]
        ids += [protective_order_id(one.client_order_id, Leg.STOP_LOSS) for one in self.orders if one.leg is Leg.ENTRY]
        found: dict[str, Any] = {
            "positions": sorted(
                (_rounded(one) for one in ledger.positions()), key=lambda one: (one.symbol, one.strategy)
            ),
            "states": dict(ledger.order_states([*ids, "by-hand"])),
            "strategies": dict(ledger.order_strategies(ids)),
            "overfilled": dict(ledger.overfilled(ids)),
        }
        for symbol in (SYMBOL, OTHER):
            recorded = ledger.decisions_since(symbol, [STRATEGY, SECOND], at(self.minute - 8))
            found[symbol] = {
                "unsettled": list(ledger.unsettled(symbol)),
                "exposure": ledger.has_exposure(symbol),
                "owners": ledger.owners(symbol),
                "fence": ledger.fence(symbol),
                "desired": ledger.desired(symbol),
                "incidents": list(ledger.incidents_of(symbol)),
                "moves": sorted(ledger.stop_moves(symbol), key=lambda move: (move.open_ms, move.strategy)),
                "written": {key: (one, getattr(one, "is_current", None)) for key, one in recorded.items()},
                "view": _comparable(view_of(ledger, symbol, strategy=STRATEGY, open_ms=at(self.minute + 1))),
            }
        return found


_NUMBERS = (*("open_risk", "open_notional", "day_realised", "balance", "symbol_notional", "peak_balance", "drawdown"),)


def _comparable(view: AccountSnapshot) -> AccountSnapshot:
    """Return a view whose sums are rounded: each ledger adds in an order of its own."""
    rounded = {name: round(getattr(view, name), 9) for name in _NUMBERS}
    return replace(view, position=_rounded(view.position), books=tuple(map(_rounded_book, view.books)), **rounded)


def _rounded_book(book: OpenBook) -> OpenBook:
    sums = {name: round(getattr(book, name), 9) for name in ("risk", "buying", "selling")}
    return replace(book, **sums)


def _rounded(position: Any) -> Any:
    return replace(position, realised=round(position.realised, 9))


def _rounded_trade(trade: ClosedTrade) -> ClosedTrade:
    return replace(trade, profit=round(trade.profit, 9), cost=round(trade.cost, 9))


def _booked(booked: Any) -> Any:
    return [(fill, _rounded(before), _rounded(after)) for fill, before, after in booked]
