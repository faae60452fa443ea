"""One process of a race: it trades its own symbols up to the account's limits, and tells each thing that it did."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import SpawnContext
from typing import Any, Literal, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Connection

from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from tests.racing.observer import sums_of_rows
from tests.racing.transactions import DAY_MS, T0_MS, TRIES_A_DAY, Contest, Report, Transaction
from trading.errors import Transient
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Fill, Leg, OrderRequest, OrderState, Side, protective_order_id
from trading.ports.ledger import DecisionResult
from trading.risk.rules import RiskLimits, evaluate_signal
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.strategies.signal import Signal, SignalSide

MINUTE_MS = 60_000
STRATEGY = "racing"
LATEST = 100.0
LANES = 3
"""Symbols of each process."""
TRIES_A_LAP = 2
"""Of each process, before it waits for the others: so it is a race whatever the machine runs when."""
RETRIES = 20
MEETING_LIMIT_S = 60.0

LIMITS = RiskLimits(sizing="fixed_units", units=1.0, on_opposite_signal="reverse")
T = TypeVar("T")

_ENDS = (OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED)
"""The last of them is for orders that have filled nothing."""


class Track:
    """State shared by the processes of a race."""

    def __init__(self, context: SpawnContext, racers: int) -> None:
        self.racers = racers
        self.commits = context.Value("q", 0)
        self.fills = context.Value("q", 0)
        self.meeting = context.Barrier(racers, timeout=MEETING_LIMIT_S)


def next_number(counter: Any) -> int:
    """Return how often a counter was asked, this time included."""
    with counter.get_lock():
        counter.value += 1
        return int(counter.value)


@dataclass(slots=True)
class Lane:
    """One symbol of a process: its position, and the orders on their way."""

    symbol: str
    units: float = 0.0
    entry: OrderRequest | None = None
    waiting: list[OrderRequest] = field(default_factory=list)
    filled: dict[str, float] = field(default_factory=dict)
    open_ms: int = 0

    def next_candle(self, day: int) -> int:
        self.open_ms = max(self.open_ms + MINUTE_MS, T0_MS + day * DAY_MS)
        return self.open_ms


class Racer:
    """Enters, fills, cancels, reverses and closes at random, and always up to the limit.

    All prices and units are whole numbers, and orders fill at the price that was decided on: sums are exact, and no
    slippage blurs whether a limit was kept.
    """

    def __init__(self, number: int, contest: Contest, track: Track) -> None:
        self._number = number
        self._contest = contest
        self._track = track
        self._random = random.Random(contest.seed * 1_000 + number)
        self._engine = create_engine(contest.url)
        self._ledger = SqlLedger(self._engine, contest.account.name, contest.account.starting_balance)
        self._lanes = [Lane(f"R{number}-{lane}") for lane in range(LANES)]
        self._day = 0
        self._commit = 0
        self._report = Report()
        event.listen(self._engine, "commit", self._count_commit)

    def run(self) -> Report:
        """Use up our share of the tries, then end what is open."""
        try:
            for lap, number in enumerate(range(self._number, self._contest.tries, self._track.racers)):
                if lap % TRIES_A_LAP == 0:
                    self._track.meeting.wait()
                self._go_to_day(number // TRIES_A_DAY)
                self._try_to_enter()
                for lane in self._lanes:
                    self._tend(lane)
            self._go_to_day(-(-self._contest.tries // TRIES_A_DAY))
            for lane in self._lanes:
                self._wind_up(lane)
        finally:
            self._engine.dispose()
        return self._report

    def _go_to_day(self, day: int) -> None:
        """Wait at midnight for the others: a loss counts on the day on which it is made."""
        if day != self._day:
            self._track.meeting.wait()
            self._day = day

    def _try_to_enter(self) -> None:
        lane = self._random.choice([lane for lane in self._lanes if not lane.waiting] or self._lanes)
        sides = [SignalSide.BUY, SignalSide.SELL] if not lane.units else [_against(lane)]
        self._decide(lane, self._random.choice(sides))

    def _tend(self, lane: Lane) -> None:
        """Let one thing happen to a symbol, or nothing."""
        luck = self._random.random()
        if lane.waiting:
            self._tend_order(lane, lane.waiting[0], luck)
        elif lane.units and luck < 0.25:
            self._protect(lane, Leg.STOP_LOSS)
        elif lane.units and luck < 0.4:
            self._protect(lane, Leg.TAKE_PROFIT)
        elif lane.units and luck < 0.6:
            self._decide(lane, SignalSide.CLOSE)

    def _tend_order(self, lane: Lane, request: OrderRequest, luck: float) -> None:
        """Leave an order alone, end it, or fill it: in one part or two, and then leave it or cancel the rest."""
        if luck < 0.15:
            return
        self._claim(lane, request)
        if luck < 0.3:
            ends = _ENDS[:2] if request.client_order_id in lane.filled else _ENDS
            self._end(lane, request, self._random.choice(ends))
            return
        left = request.units - lane.filled.get(request.client_order_id, 0.0)
        part = float(self._random.randint(1, int(left)))
        self._fill(lane, request, part)
        if part == left:
            lane.waiting.remove(request)
        elif luck < 0.45:
            self._end(lane, request, OrderState.CANCELED)

    def _claim(self, lane: Lane, request: OrderRequest) -> None:
        """Claim an order that the decision left PLANNED, and have it acknowledged now and then."""
        (intent,) = [one for one in self._ledger.unsettled(lane.symbol) if one.request == request]
        if intent.state is OrderState.PLANNED:
            self._mark(lane, OrderUpdate(request.client_order_id, OrderState.SUBMITTING, claims=intent.attempt + 1))
        if self._random.random() < 0.3:
            state = self._random.choice([OrderState.ACCEPTED, OrderState.UNKNOWN])
            self._mark(lane, OrderUpdate(request.client_order_id, state, f"venue-{request.client_order_id}"))

    def _end(self, lane: Lane, request: OrderRequest, state: OrderState) -> None:
        """End an order, and with a failed exit the entry that counted on it."""
        ended = [request] if request.leg is Leg.ENTRY else list(lane.waiting)
        for one in ended:
            final = state if one is request else OrderState.CANCELED
            self._mark(
                lane, OrderUpdate(one.client_order_id, final, reason="the race wills it"), ended=one.client_order_id
            )
            lane.waiting.remove(one)

    def _wind_up(self, lane: Lane) -> None:
        for request in tuple(lane.waiting):
            self._mark(lane, OrderUpdate(request.client_order_id, OrderState.CANCELED), ended=request.client_order_id)
        lane.waiting.clear()
        if lane.units:
            self._protect(lane, Leg.TAKE_PROFIT)

    def _decide(self, lane: Lane, side: SignalSide) -> None:
        signal = self._signal(lane, side)
        verdict: list[RiskDecision] = []
        prices = self._prices(signal, lane)

        def by_the_rules(view: AccountSnapshot) -> RiskDecision:
            verdict.append(
                evaluate_signal(
                    view, signal, symbol=lane.symbol, timeframe="1m", account=self._contest.account, limits=LIMITS
                )
            )
            return verdict[-1]

        decided: DecisionResult = self._persist(
            lambda: self._ledger.decide(
                lane.symbol,
                STRATEGY,
                signal.open_ms,
                by_the_rules,
                correlation_id="race",
                prices=prices,
            )
        )
        assert decided.verdict is not None, f"{lane.symbol} was decided before at {signal.open_ms}"
        lane.waiting += [intent.request for intent in decided.intents]
        transaction = self._report_commit(
            lane,
            "decided",
            rule=verdict[-1].rule,
            wants_entry=side is not SignalSide.CLOSE,
            planned=tuple(intent.request for intent in decided.intents),
        )
        if transaction.is_accepted:
            self._report.seen.append(sums_of_rows(self._engine, self._contest.account.name, signal.open_ms))

    def _prices(self, signal: Signal, lane: Lane) -> dict[str, float]:
        """Return the price of each symbol of the race: all stand at `LATEST`, but the one that is decided on."""
        symbols = [f"R{number}-{one}" for number in range(self._track.racers) for one in range(LANES)]
        return {**dict.fromkeys(symbols, LATEST), lane.symbol: signal.price}

    def _signal(self, lane: Lane, side: SignalSide) -> Signal:
        """Make a signal; where a position is open its price is on the right side of the stop, as in a market.

        No stop is closer than `LATEST`: so no position ever loses more there than at its stop, and the risk is the sum.
        """
        sign = 1 if side is SignalSide.BUY else -1
        price = LATEST + self._random.randint(-5, 5)
        if lane.entry is not None and lane.units:
            assert lane.entry.stop_loss is not None
            distance = int(abs(lane.entry.reference_price - lane.entry.stop_loss))
            price = lane.entry.reference_price + lane.entry.side.sign * self._random.randint(-distance, 3)
        away = max(abs(price - LATEST), self._random.randint(1, 4))
        return Signal(
            strategy=STRATEGY,
            open_ms=lane.next_candle(self._day),
            side=side,
            price=price,
            stop_loss=None if side is SignalSide.CLOSE else price - sign * away,
            size_units=None if side is SignalSide.CLOSE else float(self._random.randint(1, 6)),
            reason="the race wills it",
        )

    def _protect(self, lane: Lane, leg: Leg) -> None:
        """Let the stop of an open position fill at its price, or its target where the position came in."""
        entry = lane.entry
        assert entry is not None
        assert entry.stop_loss is not None
        price = entry.stop_loss if leg is Leg.STOP_LOSS else entry.reference_price
        identity = protective_order_id(entry.client_order_id, leg)
        side = entry.side.opposite
        self._book(lane, self._fill_of(lane, identity, leg, side, abs(lane.units), price))

    def _fill(self, lane: Lane, request: OrderRequest, units: float) -> None:
        if request.leg is Leg.ENTRY:
            lane.entry = request
        identity = request.client_order_id
        lane.filled[identity] = lane.filled.get(identity, 0.0) + units
        self._book(lane, self._fill_of(lane, identity, request.leg, request.side, units, request.reference_price))

    def _fill_of(self, lane: Lane, identity: str, leg: Leg, side: Side, units: float, price: float) -> Fill:
        sequence = next_number(self._track.fills)
        market_ms = lane.open_ms if lane.open_ms >= T0_MS + self._day * DAY_MS else lane.next_candle(self._day)
        return Fill(
            sequence, f"fill-{sequence}", identity, lane.symbol, STRATEGY, leg, side, units, price, 0.0, market_ms
        )

    def _book(self, lane: Lane, fill: Fill) -> None:
        booked = self._persist(lambda: self._ledger.record_fills(lane.symbol, [fill]))
        assert len(booked) == 1, f"{fill} was booked {len(booked)} times"
        lane.units += fill.side.sign * fill.units
        self._report_commit(lane, "filled", fills=(fill,))

    def _mark(self, lane: Lane, update: OrderUpdate, *, ended: str = "") -> None:
        self._persist(lambda: self._ledger.mark(update))
        self._report_commit(lane, "marked", ended=ended)

    def _report_commit(self, lane: Lane, kind: Literal["decided", "marked", "filled"], **what: Any) -> Transaction:
        transaction = Transaction(self._commit, self._number, kind, lane.symbol, self._day, **what)
        self._report.transactions.append(transaction)
        return transaction

    def _persist(self, call: Callable[[], T]) -> T:
        """Ask again when a lock was not given in time, and count it; anything else ends the race."""
        for _ in range(RETRIES):
            try:
                return call()
            except Transient as trouble:
                if "deadlock" in str(trouble).lower():
                    raise
                self._report.timeouts += 1
        return call()

    def _count_commit(self, _connection: Connection) -> None:
        """Take the transaction's number while it still holds the account's lock."""
        self._commit = next_number(self._track.commits)


def _against(lane: Lane) -> SignalSide:
    return SignalSide.SELL if lane.units > 0 else SignalSide.BUY


_tracks: list[Track] = []


def enter_track(track: Track) -> None:
    """Remember what a process shares: such things are handed over at its start only."""
    _tracks.append(track)


def race(number: int, contest: Contest) -> Report:
    """Run one racer in a process that has entered the track, when all the others are there too."""
    track = _tracks[-1]
    try:
        track.meeting.wait()
        return Racer(number, contest, track).run()
    except Exception:
        track.meeting.abort()  # nobody needs to wait for it
        raise
