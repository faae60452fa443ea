"""The same seed injects the same faults, in every process; faults of the line change no books."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.database import create_engine
from adapters.venues.fault_injection.venue import FaultInjectingVenue, Faults
from adapters.venues.paper import PaperVenue
from tests.integration.venues.fault_injection.callers import (
    ALL_LINE,
    NONE,
    TERMS,
    AskAgain,
    Clock,
    candle,
    flat,
    order,
    outcome,
    sent,
)
from trading.execution.validated_venue import ValidatedVenue
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import Leg, Side
from trading.ports.venue import Venue
from trading.structs import replace
from trading_orchestrator.testing.candles import SYMBOL

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


def test_same_seed_reports_the_same_faults_in_another_process(tmp_path: Path) -> None:
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
    outcomes = {
        "rejection_probability": 0.2,
        "partial_order_probability": 0.3,
        "split_fill_probability": 0.5,
        "lost_stop_probability": 0.3,
    }
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
