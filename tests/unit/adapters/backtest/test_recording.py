"""The part of a recorded run that can be replayed, and its order."""

from typing import Any

import pytest

from adapters.backtest.recording import (
    Lookback,
    Recording,
    Track,
    in_order,
    track_of,
    until_operator_change,
    with_common_start,
)
from adapters.ledger.queries.recorded_rows import RecordedBooks
from trading.events.decisions import NO_SIGNAL, CandleDecision, DecisionKind, Decisions
from trading.events.journal import Entry
from trading.market.candles import Candles

MINUTE_MS = 60_000
TOO_FEW_ROWS = (CandleDecision(DecisionKind.TOO_FEW_ROWS, required_row_count=3),)
LOOKBACK = Lookback(history_count=20, silent_count=9)


def entry(place: int, made: Decisions = NO_SIGNAL, *, at_ms: int | None = None, is_old: bool = False) -> Entry:
    open_ms = place * MINUTE_MS
    if is_old:
        return Entry(open_ms, made, "ranging", "c", close=1.0)
    return Entry(open_ms, made, "ranging", "c", (1.0, 2.0, 0.5, 1.5, 1.0), 1.5, open_ms + MINUTE_MS, at_ms or open_ms)


def candles(first: int, last: int) -> Candles:
    return Candles.from_rows([[place * MINUTE_MS, 1.0, 2.0, 0.5, 1.5, 1.0] for place in range(first, last + 1)])


def run(first: int, last: int) -> list[Entry]:
    return [entry(place) for place in range(first, last + 1)]


def decision(
    place: int, number: int, *, symbol: str = "XAUUSD", at_ms: int = 0, origin: str = "signal"
) -> dict[str, Any]:
    return {"id": number, "symbol": symbol, "open_ms": place, "written_at_ms": at_ms, "origin": origin}


def recording(entries: dict[str, list[Entry]], *decisions: dict[str, Any]) -> Recording:
    tracks = {name: Track(name, "1m", Candles.empty(), found) for name, found in entries.items()}
    return Recording(tracks, RecordedBooks(decisions, [], [], []))


def test_whole_window_before_the_journal_lets_it_begin_at_its_first_entry() -> None:
    track, left_out = track_of("XAUUSD", "1m", run(100, 150), candles(70, 150), LOOKBACK)

    assert track is not None
    assert (track.begin_ms, left_out) == (100 * MINUTE_MS, "")
    assert track.history == candles(70, 99)


def test_journal_that_was_cut_begins_where_the_window_is_whole_and_reports_it() -> None:
    track, left_out = track_of("XAUUSD", "1m", run(100, 150), candles(95, 150), LOOKBACK)

    assert track is not None
    assert track.begin_ms == 115 * MINUTE_MS
    assert track.history == candles(95, 114)
    assert "15 candles, because its indicators look back further than the journal" in left_out


@pytest.mark.parametrize(("known", "is_whole"), [(0, True), (4, False)])
def test_run_that_began_without_history_is_known_by_its_too_few_rows(known: int, is_whole: bool) -> None:
    silent = LOOKBACK.silent_count
    journal = [entry(place, TOO_FEW_ROWS) for place in range(silent)] + run(silent, 50)

    track, left_out = track_of("XAUUSD", "1m", journal[known:], Candles.empty(), LOOKBACK)

    assert track is not None
    assert (track.begin_ms == known * MINUTE_MS) is is_whole
    assert (left_out == "") is is_whole


def test_entries_without_inputs_are_left_out_and_counted() -> None:
    journal = [entry(place, is_old=True) for place in range(100, 110)] + run(110, 150)

    track, left_out = track_of("XAUUSD", "1m", journal, candles(60, 150), LOOKBACK)

    assert track is not None
    assert track.begin_ms == 110 * MINUTE_MS
    assert "10 candles that were decided before their inputs were recorded" in left_out


def test_journal_too_short_for_its_indicators_gives_nothing_and_the_reason() -> None:
    track, left_out = track_of("XAUUSD", "1m", run(100, 105), Candles.empty(), LOOKBACK)

    assert track is None
    assert "all 6 candles" in left_out


def test_candles_of_two_symbols_come_in_the_order_in_which_they_were_decided() -> None:
    gold = [entry(1, at_ms=100), entry(2, at_ms=200), entry(3, at_ms=200)]
    coin = [entry(1, at_ms=150), entry(2, at_ms=195)]
    signal = decision(2 * MINUTE_MS, 1, at_ms=190)

    found = [
        (at_ms, symbol, one.open_ms // MINUTE_MS)
        for at_ms, symbol, one in in_order(recording({"XAUUSD": gold, "BTC": coin}, signal))
    ]

    assert found == [(100, "XAUUSD", 1), (150, "BTC", 1), (190, "XAUUSD", 2), (195, "BTC", 2), (200, "XAUUSD", 3)]


def test_symbols_begin_together_where_one_journal_was_cut() -> None:
    early = decision(5 * MINUTE_MS, 1)
    whole = recording({"XAUUSD": run(100, 110), "BTC": run(90, 110)}, early)

    found, left_out = with_common_start(whole)

    assert {name: track.begin_ms // MINUTE_MS for name, track in found.tracks.items()} == {"XAUUSD": 100, "BTC": 100}
    assert left_out == ["BTC: 10 candles that were decided before the other journals begin"]


def test_symbols_that_are_whole_begin_each_on_its_own() -> None:
    whole = recording({"XAUUSD": run(100, 110), "BTC": run(90, 110)}, decision(105 * MINUTE_MS, 1))

    assert with_common_start(whole) == (whole, [])


def test_recording_ends_where_a_person_closed_a_position() -> None:
    came = decision(105 * MINUTE_MS + 1, 7, at_ms=105 * MINUTE_MS + 30_000, origin="flatten")

    found, left_out = until_operator_change(recording({"XAUUSD": run(100, 110), "BTC": run(100, 103)}, came))

    assert {name: track.entries[-1].open_ms // MINUTE_MS for name, track in found.tracks.items()} == {
        "XAUUSD": 105,
        "BTC": 103,
    }
    assert left_out == ["XAUUSD: 5 candles after XAUUSD was closed or adopted (flatten)"]
