"""Symbols that are added, removed, added again or get another source while the processes run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.redis import keys
from tests.fixtures.apps.reloading import CANDLES, COIN, GOLD, Desk, opened_desk
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.errors import UnknownSymbol
from trading.lifecycle import DesiredState
from trading.market.candles import VOLUME
from trading.services.chain import ChainOutcome
from trading.strategies import StrategyFault

OWN = """\
from trading.strategies import SignalBuilder, Strategy


class Own(Strategy):
    def indicators(self):
        return {{}}

    def signals(self, rows):
        if "{side}" == "raise":
            raise ValueError("limit {limit}")
        signals = SignalBuilder(len(rows))
        if "{side}" == "buy":
            signals.buy(rows["close"] > 0, reason="always")
        return signals
"""


@pytest.fixture
def desk(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[Desk]:
    with opened_desk(make_system, tmp_path) as found:
        yield found


def test_symbol_added_is_known_to_a_process_that_began_without_it(desk: Desk) -> None:
    elsewhere = desk.process()
    desk.tick()
    with pytest.raises(UnknownSymbol):
        desk.tick("ETHUSD", elsewhere)

    desk.edit("ETHUSD")
    answer = desk.reload()

    assert answer["changes"] == [{"symbol": "ETHUSD", "change": "added", "differences": []}]
    desk.tick("ETHUSD", elsewhere)
    assert list(elsewhere.system.symbols) == [*desk.content["symbols"]]
    assert len(desk.system.journal("ETHUSD")) == 1


def test_symbol_removed_is_rejected_while_a_position_is_open_and_stops_when_none_is(desk: Desk) -> None:
    elsewhere = desk.process()
    desk.tick(COIN, elsewhere)
    desk.until(is_open=True)
    desk.drop(GOLD)

    refused = desk.reload()
    assert (refused["outcome"], desk.desired()) == ("refused", DesiredState.RUNNING)
    assert "cannot be removed: a position of" in refused["refusals"][0]

    desk.flatten()
    assert desk.reload()["outcome"] == "applied"

    assert desk.desired() is DesiredState.STOPPED
    with pytest.raises(UnknownSymbol, match=f"known are: {COIN}"):
        desk.here.known(GOLD)
    assert desk.tick(COIN, elsewhere).reason is not ChainOutcome.RESTARTED


def test_symbol_that_comes_back_runs_again_where_only_its_removal_had_stopped_it(desk: Desk) -> None:
    desk.tick()
    for is_paused in (False, True):
        if is_paused:
            desk.here.stores.ledger.set_desired(GOLD, DesiredState.PAUSED, reason="a person")
        config = desk.content["symbols"][GOLD]
        desk.drop(GOLD)
        assert desk.reload()["outcome"] == "applied"
        desk.edit(GOLD, **config)
        answer = desk.reload()

        assert answer["outcome"] == "applied"
        assert desk.desired() is (DesiredState.PAUSED if is_paused else DesiredState.RUNNING)
        assert [note.split(":")[0] for note in answer["notes"]] == (
            [f"{GOLD} is still paused from before its removal"] if is_paused else []
        )


def test_symbol_with_another_source_continues_at_the_next_candle_with_a_window_of_the_new_one(
    desk: Desk, tmp_path: Path
) -> None:
    for _ in range(30):
        desk.tick()
    desk.flatten()
    cursor_ms, decided = desk.system.cursor_ms(GOLD), len(desk.system.journal(GOLD))
    dearer = write_candles(tmp_path / "dearer.csv", generated_candles(GOLD, CANDLES, seed=9, start_price=9_000.0))
    desk.edit(GOLD, source={"kind": "file", "path": str(dearer), "speed": "max"})

    assert desk.reload()["outcome"] == "applied"
    desk.tick()

    window = desk.here.stores.store.window(GOLD, CANDLES, until_ms=desk.system.cursor_ms(GOLD))
    assert window.values[:, :VOLUME].min() > 5_000
    assert len(window) == decided + 1
    assert desk.system.cursor_ms(GOLD) == cursor_ms + 60_000


def test_played_market_continues_from_its_last_candle_when_its_pace_changes(desk: Desk) -> None:
    clock = keys.market_clock(desk.system.settings.namespace, GOLD)
    desk.edit(GOLD, source={"kind": "file", "path": str(desk.files[GOLD]), "speed": 600})
    here = desk.process()
    desk.tick(here=here)
    first = here.stores.redis.get(clock)

    desk.edit(GOLD, source={"kind": "file", "path": str(desk.files[GOLD]), "speed": 60})
    desk.reload(here)
    desk.tick(here=here)

    assert first is not None
    assert here.stores.redis.get(clock) not in (None, first)


def test_own_strategy_edited_on_disk_runs_from_the_next_tick_after_a_reload_or_a_restart(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "edited_strategy.py"
    module.write_text(OWN.format(side="hold", limit=0))
    desk.edit(GOLD, strategy={"name": "edited_strategy:Own"})
    desk.reload()
    elsewhere = desk.process()
    desk.tick(here=elsewhere)
    assert desk.reload()["outcome"] == "unchanged"
    before = desk.generation(COIN)

    module.write_text(OWN.format(side="buy", limit=1))
    answer = desk.reload()
    results = [desk.tick(here=elsewhere) for _ in range(3)]  # rows enough, an order, its fill

    assert (answer["outcome"], answer["changes"]) == ("applied", [])
    assert answer["notes"] == [f"{GOLD}: the code of its strategy has changed; its next tick runs the new code"]
    assert desk.units() == 1, list(map(str, results))
    assert desk.generation(COIN) == before
    assert desk.reload()["outcome"] == "unchanged"

    module.write_text(OWN.format(side="raise", limit=1))
    elsewhere.stores.store.request_restart(GOLD)
    with pytest.raises(StrategyFault, match="limit 1"):
        desk.tick(here=elsewhere)
