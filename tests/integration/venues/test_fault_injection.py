"""The venue that lies: each lie is told, and comes to an end; behind all of them the contract of every venue holds."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.venues import open_paper
from adapters.venues.fault_injection.outcomes import Numbering, cut
from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.fault_injection.visibility import SqlSends
from adapters.venues.paper import PaperVenue
from adapters.wiring import venues
from configs.loading import load_system
from configs.plugins.venues import PaperVenue as PaperVenueConfig
from configs.settings import Settings
from configs.symbols import SymbolConfig
from trading.errors import Rejected, Transient
from trading.execution.validated_venue import ValidatedVenue
from trading.market.candles import Candles
from trading.orders.matching import FillTerms
from trading.orders.orders import (
    Fill,
    Leg,
    OpenOrder,
    OrderRequest,
    OrderState,
    Side,
    VenueOrder,
    VenuePosition,
    client_order_id,
    protective_order_id,
)
from trading.ports.venue import Venue, VenueTerms
from trading.structs import replace
from trading_orchestrator.testing.candle_market import CandleMarket
from trading_orchestrator.testing.candles import MINUTE_MS, OTHER, SYMBOL
from trading_orchestrator.testing.contracts.venue import VenueContract

T = TypeVar("T")

ROOT = Path(__file__).parents[3]
TERMS = FillTerms(spread=0.2, slippage=0.05, commission_bps=2)
AT_CLOSE = replace(TERMS, fill_at="close")
MOST = 2
LINE = {
    "timeout_before": Faults(timeout_before_probability=1.0),
    "timeout_after": Faults(timeout_after_probability=1.0),
    "server_error": Faults(server_error_probability=1.0),
    "rate_limit": Faults(rate_limit_probability=1.0),
    "malformed": Faults(malformed_probability=1.0),
    "cancel_race": Faults(cancel_race_probability=1.0),
    "visibility": Faults(visibility_s=30.0),
    "duplicate_fill": Faults(duplicate_fill_probability=1.0),
    "shuffled_fills": Faults(shuffled_fills_probability=1.0),
    "late_fill": Faults(late_fill_probability=1.0),
}
ALL_LINE = Faults(
    **{name: value for one in LINE.values() for name, value in one.model_dump(exclude_defaults=True).items()}
)
NONE = Faults()


class Clock:
    """Seconds that pass when the test says so, or when the venue lets its caller wait."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class AskAgain:
    """What any caller must do with a venue that may not answer, shows orders late and leaves out fills."""

    def __init__(self, venue: Venue, wait: Callable[[float], None]) -> None:
        self._venue = venue
        self._wait = wait

    @property
    def terms(self) -> VenueTerms:
        return self._venue.terms

    def submit(self, request: OrderRequest) -> VenueOrder:
        return answer(lambda: self._venue.submit(request))

    def cancel(self, client_order_id: str) -> VenueOrder:
        return answer(lambda: self._venue.cancel(client_order_id))

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        answer(lambda: self._venue.move_stop(entry_id, stop_loss, open_ms))

    def find(self, client_order_id: str) -> VenueOrder | None:
        self._wait(self.terms.visibility_s)
        return answer(lambda: self._venue.find(client_order_id))

    def sync(self, symbol: str, candles: Candles) -> int:
        return answer(lambda: self._venue.sync(symbol, candles))

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        told = [fill for _ in range(MOST + 1) for fill in answer(lambda: self._venue.fills(symbol, after=after))]
        return sorted(set(told), key=lambda fill: fill.sequence)

    def positions(self) -> Sequence[VenuePosition]:
        return answer(self._venue.positions)

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        self._wait(self.terms.visibility_s)
        return answer(lambda: self._venue.open_orders(symbol))

    def clock_ms(self) -> int:
        return answer(self._venue.clock_ms)


def answer(ask: Callable[[], T]) -> T:
    """Ask until there is an answer; more than `MOST` faults in a row are one too many."""
    for _ in range(MOST):
        try:
            return ask()
        except Transient:
            continue
    return ask()


def outcome(ask: Callable[[], T]) -> T | str:
    """Return the answer, or the error as text."""
    try:
        return ask()
    except (Transient, Rejected) as error:
        return f"{type(error).__name__}: {error}"


def sent(venue: Venue, request: OrderRequest) -> str:
    """Send an order, and tell the answer as text."""
    return str(outcome(lambda: venue.submit(request)))


def candle(minute: int, opened: float, high: float, low: float, close: float) -> Candles:
    return Candles.from_rows([[minute * MINUTE_MS, opened, high, low, close, 1.0]])


def flat(minute: int, price: float = 100.0) -> Candles:
    return candle(minute, price, price, price, price)


def order(minute: int, side: Side = Side.BUY, *, leg: Leg = Leg.ENTRY, **fields: Any) -> OrderRequest:
    """Make an order of 2 units decided at the open of `minute`, at 100."""
    name = client_order_id("paper", SYMBOL, "cross", minute * MINUTE_MS, leg)
    return replace(OrderRequest(name, SYMBOL, "cross", leg, side, 2.0, 100.0, minute * MINUTE_MS), **fields)


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    engine = create_engine(sqlite_url, where="paper")
    yield engine
    engine.dispose()


@pytest.fixture
def paper(engine: Engine) -> PaperVenue:
    return PaperVenue(engine, {SYMBOL: TERMS, OTHER: TERMS})


@pytest.fixture
def at_close(engine: Engine) -> PaperVenue:
    """The same books, where market orders fill at once."""
    return PaperVenue(engine, {SYMBOL: AT_CLOSE, OTHER: AT_CLOSE})


# --- the contract of every venue


@dataclass
class LyingMarket(CandleMarket):
    """A market behind a venue that lies, asked by a caller who knows that."""

    clock: Clock = field(kw_only=True)

    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)


@pytest.mark.parametrize(
    ("lies", "fill_at"),
    [*((name, "next_open") for name in [*LINE, "all", "none"]), ("all", "close"), ("timeout_after", "close")],
)
class TestLyingVenueContract(VenueContract):
    @pytest.fixture
    def market(self, engine: Engine, lies: str, fill_at: Literal["next_open", "close"]) -> LyingMarket:
        terms, clock = replace(TERMS, fill_at=fill_at), Clock()
        faults = {**LINE, "all": ALL_LINE, "none": NONE}[lies]
        paper = PaperVenue(engine, {SYMBOL: terms, OTHER: terms})
        lying = FaultInjectingVenue(paper, faults, now_s=clock, sleep_s=clock.sleep)
        return LyingMarket(AskAgain(ValidatedVenue(lying), clock.sleep), clock=clock)


# --- faults of the line: calls


def test_timeout_before_leaves_no_order_and_asking_again_places_one(paper: PaperVenue) -> None:
    clock = Clock()
    faults = Faults(timeout_before_probability=1.0, timeout_s=3.0)
    venue = FaultInjectingVenue(paper, faults, now_s=clock, sleep_s=clock.sleep)
    for _ in range(MOST):
        with pytest.raises(Transient, match="no answer within 3 s"):
            venue.submit(order(1))
        assert paper.find(order(1).client_order_id) is None

    assert venue.submit(order(1)) == paper.find(order(1).client_order_id)
    assert clock() == 1_006.0


def test_timeout_after_has_placed_the_order_and_asking_again_returns_it(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(timeout_after_probability=1.0))
    with pytest.raises(Transient, match="no answer"):
        venue.submit(order(1))
    first = paper.find(order(1).client_order_id)
    assert first is not None

    assert answer(lambda: venue.submit(order(1))) == first
    paper.sync(SYMBOL, flat(1))
    assert len(paper.fills(SYMBOL, after=0)) == 1


def test_server_error_may_come_before_or_after_the_order_was_taken(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(server_error_probability=1.0))
    taken = []
    for minute in range(1, 31):
        with pytest.raises(Transient, match="503"):
            venue.submit(order(minute))
        taken.append(paper.find(order(minute).client_order_id) is not None)

    assert 5 < sum(taken) < 25


def test_rate_limit_says_when_to_come_back_and_does_nothing(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(rate_limit_probability=1.0, retry_after_s=2.5))
    with pytest.raises(Transient, match=r"429 .* 2\.5 s"):
        venue.submit(order(1))
    assert paper.find(order(1).client_order_id) is None

    answer(lambda: venue.submit(order(1)))
    with pytest.raises(Transient, match="429"):
        venue.cancel(order(1).client_order_id)
    assert paper.find(order(1).client_order_id) == answer(lambda: venue.submit(order(1)))
    with pytest.raises(Transient, match="429"):
        venue.sync(SYMBOL, flat(1))
    assert list(paper.fills(SYMBOL, after=0)) == []


CALLS: dict[str, Callable[[Venue], object]] = {
    "submit": lambda venue: venue.submit(order(1)),
    "cancel": lambda venue: venue.cancel(order(1).client_order_id),
    "find": lambda venue: venue.find(order(1).client_order_id),
    "find what is not there": lambda venue: venue.find(order(99).client_order_id),
    "sync": lambda venue: venue.sync(SYMBOL, Candles.empty()),
    "fills": lambda venue: list(venue.fills(SYMBOL, after=0)),
    "positions": lambda venue: list(venue.positions()),
    "open_orders": lambda venue: list(venue.open_orders(SYMBOL)),
}


@pytest.mark.parametrize("call", [*CALLS, "clock_ms"])
@pytest.mark.parametrize("most", [1, 2, 4])
def test_faults_of_the_line_come_so_often_in_a_row_and_not_more(at_close: PaperVenue, call: str, most: int) -> None:
    at_close.submit(order(1, stop_loss=95.0))
    faults = ALL_LINE.model_copy(update={"most_in_a_row": most, "visibility_s": 0.0})
    venue = ValidatedVenue(FaultInjectingVenue(at_close, faults))
    calls: dict[str, Callable[[Venue], object]] = {**CALLS, "clock_ms": lambda venue: venue.clock_ms()}
    ask = calls[call]

    failed = [str(outcome(lambda: ask(venue))).startswith("Transient") for _ in range(4 * (most + 1))]

    assert failed == ([True] * most + [False]) * 4


@pytest.mark.parametrize("call", CALLS)
def test_malformed_answers_never_pass_the_check_and_are_never_believed(at_close: PaperVenue, call: str) -> None:
    at_close.submit(order(1, stop_loss=95.0))
    truth, ask = CALLS[call](at_close), CALLS[call]
    for seed in range(40):
        lying = FaultInjectingVenue(at_close, Faults(malformed_probability=1.0, seed=seed))
        lied = outcome(lambda lying=lying: ask(lying))  # type: ignore[misc]
        venue = ValidatedVenue(FaultInjectingVenue(at_close, Faults(malformed_probability=1.0, seed=seed)))

        assert lied != truth, "a lie that is no lie"
        with pytest.raises(Transient, match="malformed answer"):
            ask(venue)


def test_malformed_answer_to_an_order_comes_after_it_was_taken(paper: PaperVenue) -> None:
    venue = ValidatedVenue(FaultInjectingVenue(paper, Faults(malformed_probability=1.0)))
    with pytest.raises(Transient, match="malformed"):
        venue.submit(order(1))

    assert paper.find(order(1).client_order_id) is not None


def test_cancel_race_leaves_some_orders_to_fill(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(cancel_race_probability=1.0))
    states = []
    for minute in range(1, 31):
        request = order(minute)
        venue.submit(request)
        with pytest.raises(Transient, match="cancel: no answer"):
            venue.cancel(request.client_order_id)
        venue.sync(SYMBOL, flat(minute))
        told = answer(lambda request=request: venue.cancel(request.client_order_id))  # type: ignore[misc]
        assert told == venue.find(request.client_order_id)
        states.append(told.state)

    assert set(states) == {OrderState.FILLED, OrderState.CANCELED}
    filled = {fill.client_order_id for fill in venue.fills(SYMBOL, after=0)}
    assert len(filled) == states.count(OrderState.FILLED)


def test_clock_that_is_off_tells_by_how_much(paper: PaperVenue) -> None:
    ahead = FaultInjectingVenue(paper, Faults(clock_offset_ms=90_000)).clock_ms() - paper.clock_ms()
    behind = FaultInjectingVenue(paper, Faults(clock_offset_ms=-90_000)).clock_ms() - paper.clock_ms()

    assert ahead == pytest.approx(90_000, abs=5_000)
    assert behind == pytest.approx(-90_000, abs=5_000)


# --- faults of the line: what is shown late


def test_order_taken_is_not_shown_until_its_own_delay_has_passed(paper: PaperVenue) -> None:
    clock, delays = Clock(), []
    venue = FaultInjectingVenue(paper, Faults(visibility_s=10.0), now_s=clock)
    for minute in range(1, 11):
        request = order(minute)
        told = venue.submit(request)
        sent_s = clock()
        while venue.find(request.client_order_id) is None:
            assert request.client_order_id not in {one.client_order_id for one in venue.open_orders(SYMBOL)}
            clock.sleep(0.1)
        assert venue.find(request.client_order_id) == told
        assert request.client_order_id in {one.client_order_id for one in venue.open_orders(SYMBOL)}
        delays.append(clock() - sent_s)

    assert venue.terms == VenueTerms(visibility_s=10.0)
    assert len(set(delays)) > 5
    assert 0 < min(delays) < 5 < max(delays) <= 10.1


def test_order_not_shown_yet_sent_again_is_the_same_and_its_fill_is_told(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(visibility_s=10.0), now_s=Clock())
    first = venue.submit(order(1))

    assert venue.find(order(1).client_order_id) is None
    assert venue.submit(order(1)) == first
    assert venue.sync(SYMBOL, flat(1)) == 1
    assert [fill.client_order_id for fill in venue.fills(SYMBOL, after=0)] == [order(1).client_order_id]


def test_order_of_a_killed_process_is_not_shown_to_the_next_one_either(paper: PaperVenue, database_url: str) -> None:
    """The send is noted in the database before the order is taken, so a restart does not cut the delay short."""
    now_ms, faults = [1_000_000], Faults(visibility_s=10.0)
    first, second = (create_engine(database_url, where="paper") for _ in range(2))
    sender = FaultInjectingVenue(paper, faults, sends=SqlSends(first, lambda: now_ms[0]))
    told = sender.submit(order(1))
    sender.submit(order(1))  # sent again later, it is not hidden any longer
    follower = FaultInjectingVenue(paper, faults, sends=SqlSends(second, lambda: now_ms[0]))

    shown = []
    for _ in range(101):
        shown.append(follower.find(order(1).client_order_id))
        now_ms[0] += 100

    assert shown[0] is None
    assert shown[-1] == told
    assert shown == sorted(shown, key=lambda one: one is not None), "once shown, it stays"
    first.dispose()
    second.dispose()


# --- faults of the line: fills


@pytest.fixture
def ten_fills(paper: PaperVenue) -> list[Fill]:
    for minute in range(1, 11):
        paper.submit(order(minute))
        paper.sync(SYMBOL, flat(minute))
    return list(paper.fills(SYMBOL, after=0))


def test_duplicate_fills_are_told_twice_as_they_are(paper: PaperVenue, ten_fills: list[Fill]) -> None:
    venue = FaultInjectingVenue(paper, Faults(duplicate_fill_probability=1.0))

    assert list(venue.fills(SYMBOL, after=8)) == [ten_fills[8]] * 2 + [ten_fills[9]] * 2
    assert list(ValidatedVenue(venue).fills(SYMBOL, after=8)) == ten_fills[8:]


def test_shuffled_fills_are_all_told_out_of_order(paper: PaperVenue, ten_fills: list[Fill]) -> None:
    venue = FaultInjectingVenue(paper, Faults(shuffled_fills_probability=1.0))
    told = list(venue.fills(SYMBOL, after=0))

    assert told != ten_fills
    assert sorted(told, key=lambda fill: fill.sequence) == ten_fills
    assert list(ValidatedVenue(venue).fills(SYMBOL, after=0)) == ten_fills


@pytest.mark.parametrize("most", [1, 3])
def test_late_fills_turn_up_after_later_ones_were_told(paper: PaperVenue, ten_fills: list[Fill], most: int) -> None:
    venue = FaultInjectingVenue(paper, Faults(late_fill_probability=1.0, most_in_a_row=most))

    answers = [list(venue.fills(SYMBOL, after=0)) for _ in range(most + 1)]

    assert answers == [[ten_fills[-1]]] * most + [ten_fills]


def test_late_fills_at_some_probability_each_turn_up_in_time(paper: PaperVenue, ten_fills: list[Fill]) -> None:
    venue = FaultInjectingVenue(paper, Faults(late_fill_probability=0.5, most_in_a_row=3))
    missing = [len(ten_fills) - len(venue.fills(SYMBOL, after=0)) for _ in range(12)]

    assert 0 < missing[0] < 9
    assert sum(missing) <= 3 * 9
    assert ten_fills[-1] in venue.fills(SYMBOL, after=0)


# --- faults of outcome: rejections


def test_rejected_order_is_refused_each_time_by_everyone_and_is_not_there(paper: PaperVenue) -> None:
    faults = Faults(rejection_probability=0.5, seed=3)
    by_first, by_second = FaultInjectingVenue(paper, faults), FaultInjectingVenue(paper, faults)
    refused = {minute for minute in range(1, 41) if sent(by_first, order(minute)).startswith("Rejected")}

    assert 10 < len(refused) < 30
    for minute in reversed(range(1, 41)):
        request = order(minute)
        if minute in refused:
            with pytest.raises(Rejected):
                by_second.submit(request)
            assert by_second.find(request.client_order_id) is None
            assert paper.find(request.client_order_id) is None
        else:
            assert by_second.submit(request) == paper.find(request.client_order_id)


# --- faults of outcome: orders taken in part


def test_order_taken_in_part_waits_and_then_is_canceled_with_what_was_filled(paper: PaperVenue) -> None:
    venue = ValidatedVenue(FaultInjectingVenue(paper, Faults(partial_order_probability=1.0)))
    request = order(1, stop_loss=95.0, take_profit=110.0)
    assert venue.submit(request).state is OrderState.ACCEPTED
    venue.sync(SYMBOL, flat(1))

    [fill] = venue.fills(SYMBOL, after=0)
    told = venue.find(request.client_order_id)
    assert fill.units in (0.5, 1.0, 1.5)
    assert told is not None
    assert (told.state, told.filled_units) == (OrderState.CANCELED, fill.units)
    assert venue.submit(request) == venue.cancel(request.client_order_id) == told
    assert [at.units for at in venue.positions()] == [fill.units]
    assert [(one.units, one.price) for one in venue.open_orders(SYMBOL)] == [(fill.units, 95.0), (fill.units, 110.0)]


def test_protective_order_of_a_part_closes_that_part_and_counts_as_filled(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(partial_order_probability=1.0))
    request = order(1, stop_loss=95.0, take_profit=110.0)
    venue.submit(request)
    venue.sync(SYMBOL, flat(1))
    venue.sync(SYMBOL, flat(2, 90.0))

    opened, closed = venue.fills(SYMBOL, after=0)
    stop = venue.find(protective_order_id(request.client_order_id, Leg.STOP_LOSS))
    assert (closed.leg, closed.units) == (Leg.STOP_LOSS, opened.units)
    assert stop is not None
    assert (stop.state, stop.filled_units) == (OrderState.FILLED, opened.units)
    assert list(venue.positions()) == []
    assert list(venue.open_orders(SYMBOL)) == []


def test_exit_taken_in_part_leaves_a_position_that_stays_protected(paper: PaperVenue) -> None:
    venue = FaultInjectingVenue(paper, Faults(partial_order_probability=1.0))
    paper.submit(order(1, stop_loss=95.0, take_profit=110.0))
    venue.sync(SYMBOL, flat(1))
    leaving = order(2, Side.SELL, leg=Leg.EXIT)
    venue.submit(leaving)
    venue.sync(SYMBOL, flat(2))

    told = venue.find(leaving.client_order_id)
    assert told is not None
    assert told.state is OrderState.CANCELED
    left = 2.0 - told.filled_units
    assert 0 < left < 2
    assert [at.units for at in venue.positions()] == [left]
    assert [one.units for one in venue.open_orders(SYMBOL)] == [left, left]


def test_part_taken_depends_on_seed_and_id_alone(tmp_path: Path) -> None:
    def parts(minutes: Sequence[int], seed: int) -> list[float]:
        url = f"sqlite:///{tmp_path}/{seed}-{minutes[0]}.db"
        engine = create_engine(url, where="paper")
        venue = FaultInjectingVenue(
            PaperVenue(engine, {SYMBOL: AT_CLOSE}), Faults(partial_order_probability=0.5, seed=seed)
        )
        filled = [venue.submit(order(minute)).filled_units for minute in minutes]
        engine.dispose()
        return filled

    forward = parts(range(1, 41), 8)

    assert set(forward) == {0.5, 1.0, 1.5, 2.0}
    assert parts(range(40, 0, -1), 8) == forward[::-1]
    assert parts(range(1, 41), 9) != forward


# --- faults of outcome: fills in parts

amounts = st.floats(1e-12, 1e12)


@given(total=amounts, shares=st.tuples(st.floats(0.55, 0.8)) | st.tuples(st.floats(0.3, 0.45), st.floats(0.3, 0.45)))
def test_cut_parts_add_up_to_the_same_bits(total: float, shares: tuple[float, ...]) -> None:
    parts = cut(total, list(shares))
    added = 0.0
    for part in parts:
        added += part

    assert added == total
    assert len(parts) == len(shares) + 1
    assert min(parts) > 0


@given(newest=st.integers(1, 10**12), part=st.integers(0, 7))
def test_numbering_after_any_part_asks_for_every_fill_with_a_later_one(newest: int, part: int) -> None:
    numbering = Numbering(Faults(split_fill_probability=0.1))
    after = numbering.outer(newest) - part

    assert numbering.outer(newest - 1) < after
    assert numbering.inner_after(after) == (newest if part == 0 else newest - 1)
    assert numbering.inner_after(0) <= 0 == numbering.outer(0)


@pytest.fixture
def round_trips(engine: Engine) -> PaperVenue:
    """Ten entries of odd sizes and their exits."""
    paper, die = PaperVenue(engine, {SYMBOL: TERMS}), random.Random(4)
    for minute in range(1, 21, 2):
        units = die.uniform(0.01, 9)
        paper.submit(order(minute, units=units))
        paper.sync(SYMBOL, flat(minute, die.uniform(90, 110)))
        paper.submit(order(minute + 1, Side.SELL, leg=Leg.EXIT, units=units))
        paper.sync(SYMBOL, flat(minute + 1, die.uniform(90, 110)))
    return paper


def test_split_fills_add_up_bit_for_bit_and_keep_their_order(round_trips: PaperVenue) -> None:
    venue = ValidatedVenue(FaultInjectingVenue(round_trips, Faults(split_fill_probability=0.8, seed=1)))
    told, counts = list(venue.fills(SYMBOL, after=0)), []
    for whole in round_trips.fills(SYMBOL, after=0):
        parts = [part for part in told if re.fullmatch(re.escape(whole.fill_id) + r"(\.\d)?", part.fill_id)]
        units = fee = 0.0
        for part in parts:
            units, fee = units + part.units, fee + part.fee
        assert (units, fee) == (whole.units, whole.fee)
        first = parts[0]
        assert replace(whole, units=0, fee=0, sequence=0, fill_id="") == replace(
            first, units=0, fee=0, sequence=0, fill_id=""
        )
        counts.append(len(parts))

    assert set(counts) == {1, 2, 3}
    assert len({fill.fill_id for fill in told}) == len(told) == sum(counts)
    assert [part.client_order_id for part in told] == [
        fill.client_order_id
        for fill, count in zip(round_trips.fills(SYMBOL, after=0), counts, strict=True)
        for _ in range(count)
    ]


def test_split_fills_after_each_number_are_the_rest(round_trips: PaperVenue) -> None:
    venue = FaultInjectingVenue(round_trips, Faults(split_fill_probability=0.8, seed=1))
    told = list(venue.fills(SYMBOL, after=0))

    assert venue.sync(SYMBOL, Candles.empty()) == told[-1].sequence
    for after in range(told[-1].sequence + 2):
        assert list(venue.fills(SYMBOL, after=after)) == [fill for fill in told if fill.sequence > after]


def test_sync_without_fills_returns_0_when_fills_are_split(paper: PaperVenue) -> None:
    assert FaultInjectingVenue(paper, Faults(split_fill_probability=1.0)).sync(SYMBOL, flat(1)) == 0


# --- ids that can be taken again


def test_reusable_id_of_an_order_that_ended_places_a_second_order(at_close: PaperVenue) -> None:
    venue = ValidatedVenue(FaultInjectingVenue(at_close, Faults(reusable_ids=True)))
    request = order(1, stop_loss=95.0)
    first, second = venue.submit(request), venue.submit(request)

    assert first.venue_order_id != second.venue_order_id
    assert venue.find(request.client_order_id) == second
    one, other = venue.fills(SYMBOL, after=0)
    assert one.client_order_id == other.client_order_id == request.client_order_id
    assert one.fill_id != other.fill_id
    assert [at.units for at in at_close.positions()] == [4.0]
    [stop] = venue.open_orders(SYMBOL)
    assert stop.client_order_id == protective_order_id(request.client_order_id, Leg.STOP_LOSS)
    assert stop.units == 4.0


def test_reusable_id_of_an_order_that_waits_is_that_order(paper: PaperVenue) -> None:
    faults = Faults(reusable_ids=True)
    first = FaultInjectingVenue(paper, faults).submit(order(1))
    assert FaultInjectingVenue(paper, faults).submit(order(1)) == first
    paper.sync(SYMBOL, flat(1))

    second = FaultInjectingVenue(paper, faults).submit(order(1))
    assert second.venue_order_id != first.venue_order_id
    assert FaultInjectingVenue(paper, faults).submit(order(1)) == second, "alive in another process too"
    told = FaultInjectingVenue(paper, faults).cancel(order(1).client_order_id)
    assert told == replace(second, state=OrderState.CANCELED)


def test_id_that_is_not_reusable_stays_one_order(at_close: PaperVenue) -> None:
    venue = FaultInjectingVenue(at_close, NONE)

    assert venue.submit(order(1)) == venue.submit(order(1))
    assert [at.units for at in at_close.positions()] == [2.0]


def test_resend_after_a_timeout_without_asking_doubles_the_position(at_close: PaperVenue) -> None:
    """What no caller may do: the wrapper must be able to show it."""
    venue = FaultInjectingVenue(at_close, Faults(reusable_ids=True, timeout_after_probability=1.0))
    answer(lambda: venue.submit(order(1)))

    assert [at.units for at in at_close.positions()] == [6.0]


# --- the same lies for everyone


LIES = ALL_LINE.model_copy(
    update={
        **{name: 0.4 for name in Faults.model_fields if name.endswith("_probability")},
        "visibility_s": 5.0,
        "clock_offset_ms": 1_000,
        "seed": 11,
    }
)


def transcript(url: str, faults: Faults | None) -> list[str]:
    """Trade 12 minutes on books of its own, and tell every answer; with None those of a venue that is not wrapped."""
    engine, clock = create_engine(url, where="paper"), Clock()
    venue: Venue = PaperVenue(engine, {SYMBOL: TERMS})
    if faults is not None:
        venue = FaultInjectingVenue(venue, faults, now_s=clock, sleep_s=clock.sleep)
    said: list[object] = [venue.terms]
    for minute in range(1, 13):
        for ask in asked_at(minute, venue):
            said += [outcome(ask), outcome(ask)]
        clock.sleep(1)
    engine.dispose()
    return [repr(one) for one in said]


def asked_at(minute: int, venue: Venue) -> list[Callable[[], object]]:
    request = order(minute, stop_loss=95.0, take_profit=104.0)
    return [
        lambda: venue.submit(request),
        lambda: venue.find(request.client_order_id),
        lambda: venue.sync(SYMBOL, flat(minute, 100.0 + minute % 6)),
        lambda: venue.fills(SYMBOL, after=0),
        lambda: venue.open_orders(SYMBOL),
        venue.positions,
    ]


def test_same_seed_tells_the_same_lies_in_another_process(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        theirs = pool.submit(transcript, f"sqlite:///{tmp_path}/theirs.db", LIES).result()
    ours = transcript(f"sqlite:///{tmp_path}/ours.db", LIES)

    assert ours == theirs
    assert ours != transcript(f"sqlite:///{tmp_path}/other.db", LIES.model_copy(update={"seed": 12}))


def test_without_faults_every_answer_is_that_of_the_venue(tmp_path: Path) -> None:
    said = transcript(f"sqlite:///{tmp_path}/lying.db", NONE)

    assert said == transcript(f"sqlite:///{tmp_path}/paper.db", None)
    assert len(set(said)) > 40


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    sides=st.lists(st.sampled_from([Side.BUY, Side.SELL]), min_size=1, max_size=8),
    fill_at=st.sampled_from(["next_open", "close"]),
    restarts=st.sets(st.integers(2, 8)),
)
def test_books_are_the_same_whatever_the_line_does_and_however_often_the_caller_restarts(
    tmp_path: Path, seed: int, sides: list[Side], fill_at: Literal["next_open", "close"], restarts: set[int]
) -> None:
    """Faults of outcome make the books; those of the line, and the counting that a restart loses, change nothing."""
    outcomes = {"rejection_probability": 0.2, "partial_order_probability": 0.3, "split_fill_probability": 0.5}
    quiet = Faults(seed=seed, **outcomes)
    noisy = LIES.model_copy(update={**outcomes, "seed": seed})

    terms = replace(TERMS, fill_at=fill_at)

    plain = books(tmp_path / f"{next(fresh)}.db", terms, quiet, sides, set())

    assert books(tmp_path / f"{next(fresh)}.db", terms, noisy, sides, restarts) == plain


fresh = count()


def books(
    path: Path, terms: FillTerms, faults: Faults, sides: Sequence[Side], restarts: set[int]
) -> tuple[object, ...]:
    """Turn the position round at each minute, and return what the venue tells in the end."""
    engine, clock = create_engine(f"sqlite:///{path}", where="paper"), Clock()
    paper = PaperVenue(engine, {SYMBOL: terms})

    def opened() -> Venue:
        return AskAgain(
            ValidatedVenue(FaultInjectingVenue(paper, faults, now_s=clock, sleep_s=clock.sleep)), clock.sleep
        )

    venue, states = opened(), []
    for minute, side in enumerate(sides, start=1):
        if minute in restarts:
            venue = opened()
        for leg in (Leg.EXIT, Leg.ENTRY):
            protection = {"stop_loss": 100 - side.sign * 4, "take_profit": 100 + side.sign * 6}
            request = order(minute, side, leg=leg, units=1.7, **protection)
            sent(venue, request)
            told = venue.find(request.client_order_id)
            states.append(told and (told.state, told.filled_units))
        drift = 5.0 * (minute % 3 - 1)
        venue.sync(SYMBOL, candle(minute, 100, 100 + max(drift, 0), 100 + min(drift, 0), 100))
    told_fills = venue.fills(SYMBOL, after=0)
    result = states, told_fills, venue.positions(), venue.open_orders(SYMBOL), paper.cash()
    engine.dispose()
    return result


# --- how it is switched on


@pytest.fixture
def installation(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of a system; a process keeps its venues to its end, so here the engines are closed from outside."""
    engines: list[Engine] = []

    def noted(url: str, *, where: str) -> Engine:
        engines.append(create_engine(url, where=where))
        return engines[-1]

    monkeypatch.setattr(open_paper, "create_engine", noted)
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    yield Settings(var_dir=tmp_path, paper_url=SecretStr(url))
    for engine in engines:
        engine.dispose()


def symbols_with(**environ: str) -> dict[str, SymbolConfig]:
    config = load_system(ROOT / "configs", {f"TRADING__SYMBOLS__{name}": value for name, value in environ.items()})
    return dict(config.symbols)


def test_open_venues_lie_where_it_is_configured_and_say_so(
    installation: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    symbols = symbols_with(XAUUSD__VENUE__FAULTS="{timeout_after_probability: 1.0, visibility_s: 30}")
    opened = venues.open_venues(installation, symbols)

    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "venue_lies_on_purpose symbol=XAUUSD" in warning.getMessage()
    assert "'timeout_after_probability': 1.0" in warning.getMessage()
    honest = order(1, symbol=OTHER, client_order_id="other")
    assert opened[OTHER].submit(honest) == opened[OTHER].find("other")
    with pytest.raises(Transient):
        opened[SYMBOL].submit(order(1))
    again = venues.open_venues(installation, symbols)
    assert opened[SYMBOL].find(order(1).client_order_id) is None
    assert again[SYMBOL].find(order(1).client_order_id) is None, "hidden from the next process too"
    known = venues.open_venues(installation, symbols_with())[SYMBOL].find(order(1).client_order_id)
    assert known is not None
    assert known.state is OrderState.ACCEPTED


def test_open_venues_check_what_an_honest_venue_says(installation: Settings, caplog: pytest.LogCaptureFixture) -> None:
    opened = venues.open_venues(installation, symbols_with())

    assert {name: type(venue) for name, venue in opened.items()} == {SYMBOL: ValidatedVenue, OTHER: ValidatedVenue}
    assert opened[SYMBOL].terms == VenueTerms(0.0)
    assert caplog.records == []


DOCUMENT = (ROOT / "docs" / "how-to" / "inject-faults.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", DOCUMENT, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


def test_document_example_round_an_own_adapter_runs(paper: PaperVenue, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("python"), "lying-venue.md", "exec"), {"my_venue": paper, "request": order(1)})

    unknown, found = capsys.readouterr().out.splitlines()
    assert unknown.startswith("not known: fault-injecting venue: submit: no answer")
    assert found == f"found: {paper.find(order(1).client_order_id)}"


def test_document_example_of_the_configuration_names_every_lie() -> None:
    faults = yaml.safe_load(block("yaml"))["venue"]["faults"]
    [symbol, _] = symbols_with(XAUUSD__VENUE__FAULTS=yaml.safe_dump(faults, default_flow_style=True)).values()

    assert isinstance(symbol.venue, PaperVenueConfig)
    assert symbol.venue.faults == Faults(**faults)
    assert set(Faults.model_fields) - set(faults) == {"most_in_a_row", "timeout_s", "retry_after_s"}
    assert [name for name in Faults.model_fields if f"`{name}`" not in DOCUMENT and name != "seed"] == []


# --- stops that are moved


def lying_holder(paper: PaperVenue, faults: Faults, clock: Clock) -> tuple[FaultInjectingVenue, OrderRequest]:
    """Return a venue that lies and holds 2 units with a stop at 95, and their entry."""
    venue = FaultInjectingVenue(paper, faults, now_s=clock, sleep_s=clock.sleep)
    entry = order(1, stop_loss=95.0, take_profit=120.0)
    paper.submit(entry)
    paper.sync(SYMBOL, flat(1))
    return venue, entry


def stop_prices(venue: Venue) -> list[float | None]:
    return [one.price for one in venue.open_orders(SYMBOL) if "-s-" in one.client_order_id]


@pytest.mark.parametrize(
    ("faults", "rests"),
    [
        (Faults(timeout_before_probability=1.0), 95.0),
        (Faults(timeout_after_probability=1.0), 97.0),
        (Faults(rate_limit_probability=1.0), 95.0),
        (Faults(malformed_probability=1.0), 97.0),
    ],
)
def test_move_stop_that_is_not_answered_took_effect_or_did_not_and_gets_through_in_the_end(
    paper: PaperVenue, faults: Faults, rests: float
) -> None:
    liar, entry = lying_holder(paper, faults, Clock())
    venue = ValidatedVenue(liar)
    with pytest.raises(Transient):
        venue.move_stop(entry.client_order_id, 97.0, MINUTE_MS)
    assert stop_prices(paper) == [rests]

    answer(lambda: venue.move_stop(entry.client_order_id, 97.0, MINUTE_MS))
    assert stop_prices(paper) == [97.0]


def test_moved_stop_is_shown_where_it_was_until_the_visibility_time_has_passed(paper: PaperVenue) -> None:
    clock = Clock()
    venue, entry = lying_holder(paper, Faults(seed=4, visibility_s=30.0), clock)
    assert stop_prices(venue) == [95.0]
    venue.move_stop(entry.client_order_id, 97.0, MINUTE_MS)
    clock.sleep(0.1)
    venue.move_stop(entry.client_order_id, 97.0, MINUTE_MS)

    assert (stop_prices(venue), stop_prices(paper)) == ([95.0], [97.0])
    clock.sleep(30.0)
    assert stop_prices(venue) == [97.0]


def test_move_stop_that_the_venue_refuses_is_refused_each_time_and_for_that_candle_alone(paper: PaperVenue) -> None:
    venue, entry = lying_holder(paper, Faults(seed=3, rejection_probability=0.5), Clock())

    def outcomes() -> list[str | None]:
        return [outcome(lambda at=at: venue.move_stop(entry.client_order_id, 97.0, at * MINUTE_MS)) for at in range(20)]  # type: ignore[misc]

    first = outcomes()
    assert first == outcomes()
    assert 3 < sum(one is not None for one in first) < 17


def test_moved_stop_of_an_order_whose_id_was_taken_again_is_the_newest_ones(paper: PaperVenue) -> None:
    venue, entry = lying_holder(paper, Faults(reusable_ids=True), Clock())
    paper.submit(order(2, Side.SELL, leg=Leg.EXIT))
    paper.sync(SYMBOL, flat(2))
    venue.submit(entry)
    paper.sync(SYMBOL, flat(3))
    venue.move_stop(entry.client_order_id, 97.0, 3 * MINUTE_MS)

    assert stop_prices(venue) == [97.0]
