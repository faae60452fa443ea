"""A trailing stop gives the same books after faults of the venue, and after a crash at any write."""

from typing import Any

import pytest
import sqlalchemy as sa

from adapters.ledger.tables import stop_moves
from adapters.venues.fault_injection.venue import Faults
from tests.fakes import Crash, Databases, Desk, Fuse, planned, system_config
from tests.unit.trading.execution.desks import BUY, LINE, SELL, SHOWN, comparable, stop_events
from trading.errors import Transient
from trading_orchestrator.testing.candles import make_candles

TRAILING = {"trailing_stop": {"distance": 0.3}}
TRAILED = {SHOWN: SELL, SHOWN + 5: BUY, SHOWN + 7: SELL}
TRAILED_UNTIL = SHOWN + 11


def trail(databases: Databases, fuse: Fuse, faults: Faults | None, step: int) -> Desk:
    """Play a plan with a trailing stop to its end, whatever is in the way."""
    config = system_config(planned(TRAILED, stop_distance=3.0), max_signal_age_s=3_600.0, exits=TRAILING)
    desk = Desk(databases, config, make_candles(60), shown=SHOWN, fuse=fuse, faults=faults)
    while desk.cursor != TRAILED_UNTIL - 1:
        missing = TRAILED_UNTIL - desk.source.shown
        try:
            desk.advance(show=min(step, missing) if desk.cursor == desk.source.shown - 1 else 0)
        except Crash:
            desk.restart()
        except Transient:
            continue  # the next tick goes on
    return desk


def trailed(desk: Desk) -> dict[str, Any]:
    """Return the books with the moves, and the journal, which a crash must not change either."""
    with desk.ledger._engine.connect() as connection:
        rows = connection.execute(sa.select(stop_moves).order_by(stop_moves.c.open_ms)).mappings().all()
    moves = [{name: value for name, value in row.items() if name != "written_at_ms"} for row in rows]
    return comparable(desk) | {"moves": moves, "journal": desk.journal}


@pytest.mark.parametrize(("step", "after"), [(1, False), (4, True)])  # after one write is before the next one
def test_books_with_a_trailing_stop_and_a_crash_at_any_write_are_the_same(
    databases: Databases, *, step: int, after: bool
) -> None:
    whole_fuse = Fuse()
    expected = trailed(trail(databases, whole_fuse, None, step))
    assert len(expected["moves"]) >= 4
    assert [row["leg"] for row in expected["fills"]].count("stop_loss") == 2
    places = [at for at, name in enumerate(whole_fuse.calls, start=1) if name != "mark_exposed"]
    assert {"move_stop"} <= set(whole_fuse.calls)

    for at in places:
        fuse = Fuse(at, after=after)
        cut = trail(databases, fuse, None, step)
        where = f"crash {'after' if after else 'before'} write {at}, {whole_fuse.calls[at - 1]}"
        assert trailed(cut) == expected, where
        assert len(stop_events(cut)) == len(set(stop_events(cut))), where


@pytest.mark.parametrize("seed", range(3))
def test_books_with_a_trailing_stop_and_a_faulty_venue_are_those_of_a_faultless_one(
    databases: Databases, seed: int
) -> None:
    honest = Faults(seed=seed, split_fill_probability=0.5)
    expected = trailed(trail(databases, Fuse(), honest, 1))
    lied = trailed(trail(databases, Fuse(), Faults(seed=seed, **LINE), 1))

    assert len(expected["moves"]) >= 4
    assert lied == expected
    assert lied["incidents"] == []
