"""Another configuration, applied to running processes: completely or not at all, and without unmanaged positions."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.redis import keys
from tests.fixtures.apps.reloading import COIN, GOLD, OTHER, Desk, opened_desk
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.lifecycle import DesiredState
from trading.services.chain import ChainOutcome
from trading.structs import replace


@pytest.fixture
def desk(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[Desk]:
    with opened_desk(make_system, tmp_path) as found:
        yield found


def test_size_changed_holds_from_the_next_order_and_leaves_the_other_symbol_alone(desk: Desk) -> None:
    desk.until(is_open=True)
    desk.tick(COIN)
    other, before = desk.here.pipeline(COIN), desk.generation(COIN)
    assert abs(desk.units()) == 1

    desk.edit(GOLD, risk={"sizing": "fixed_units", "units": 3.0})
    answer = desk.reload()
    held = desk.units()
    while abs(desk.units()) == 1:
        desk.tick()
    desk.tick(COIN)

    assert (answer["outcome"], answer["refusals"]) == ("applied", [])
    assert answer["changes"] == [
        {
            "symbol": GOLD,
            "change": "changed",
            "differences": [{"path": "risk.units", "before": 1.0, "now": 3.0}],
        }
    ]
    assert abs(held) == 1
    assert abs(desk.units()) == 3
    assert desk.here.pipeline(COIN) is other
    assert desk.generation(COIN) == before
    assert desk.events() == [(GOLD, "risk.units: 1 -> 3")]
    assert desk.reload()["outcome"] == "unchanged"


def test_every_candle_is_decided_once_through_a_change(desk: Desk) -> None:
    for units in (1.0, 2.0, 3.0, 4.0):
        desk.edit(GOLD, risk={"sizing": "fixed_units", "units": units})
        desk.reload()
        for _ in range(10):
            desk.tick()

    journal = list(desk.system.journal(GOLD))
    assert len(journal) == 40
    assert journal == list(range(journal[0], journal[0] + 40 * 60_000, 60_000))


def test_parameters_that_look_back_further_find_their_window_filled_at_the_next_candle(desk: Desk) -> None:
    for _ in range(40):
        desk.tick()
    cursor_ms = desk.system.cursor_ms(GOLD)
    store = desk.here.stores.store

    desk.edit(GOLD, strategy={"name": "ema_cross", "params": {"fast": 2, "slow": 12, "atr_period": 2}})
    desk.here.stores.redis.ltrim(keys.window(desk.system.settings.namespace, GOLD), -20, -1)  # a symbol begun lately
    desk.reload()
    result = desk.tick()

    needed = desk.here.pipeline(GOLD).indicators.history_count
    assert needed > 20
    assert len(store.window(GOLD, needed, until_ms=desk.system.cursor_ms(GOLD))) == min(needed, 41)
    assert desk.system.cursor_ms(GOLD) == cursor_ms + 60_000
    assert result.reason not in (ChainOutcome.TOO_FEW_ROWS, ChainOutcome.RESTARTED)


def test_indicator_that_fades_finds_its_window_filled_to_the_candles_that_moved(desk: Desk) -> None:
    """The RSI of a market that stands still is that of its last moves, further back than a moving one needs."""
    candles = generated_candles(GOLD, 1_200)
    values = candles.values.copy()
    values[30:, :4] = values[29, 3]
    still = replace(candles, values=values)
    write_candles(desk.files[GOLD], still)
    desk.edit(GOLD, strategy={"name": "rsi_reversion", "params": {"period": 2, "atr_period": 2}})
    store, cursor_ms = desk.here.stores.store, int(still.open_ms[1_100])

    begun = still.until(cursor_ms)
    store.seed(GOLD, begun[-900:], timeframe="1m", cursor_ms=cursor_ms, desired=DesiredState.RUNNING)
    desk.reload()
    needed = desk.here.rebuild(GOLD).indicators.history_count

    window = store.window(GOLD, 1_200, until_ms=cursor_ms)
    assert needed < 900 < len(window)
    assert np.count_nonzero(np.ptp(window.values[:, :4], axis=1)) >= 2


@pytest.mark.parametrize("part", [{"timeframe": "5m"}, {"strategy": OTHER}])
def test_change_that_must_wait_is_rejected_with_a_position_and_nothing_is_applied(
    desk: Desk, part: dict[str, Any]
) -> None:
    desk.until(is_open=True)
    desk.tick(COIN)
    applied, generation = desk.here.config.applied.read(), desk.generation(GOLD)

    desk.edit(COIN, risk={"sizing": "fixed_units", "units": 9.0})
    desk.edit(GOLD, **part)
    answer = desk.reload()

    assert answer["outcome"] == "refused"
    assert all("is not allowed yet: a position of" in line for line in answer["refusals"])
    assert desk.here.config.applied.read() == applied
    assert desk.here.config.applied.revision() == 0
    assert (desk.generation(GOLD), desk.generation(COIN)) == (generation, 0)
    assert desk.desired() is DesiredState.RUNNING
    assert desk.events() == []
    desk.tick()
    assert list(desk.here.system.symbols[GOLD].books) == ["ema_cross"]


def test_change_that_needs_a_flat_symbol_holds_it_until_its_services_are_the_new_ones(desk: Desk) -> None:
    desk.until(is_open=True)
    desk.flatten()
    desk.edit(GOLD, strategy=OTHER)

    assert desk.reload()["outcome"] == "applied"
    held = desk.desired()
    desk.tick()

    assert held is DesiredState.PAUSED
    assert desk.desired() is DesiredState.RUNNING
    assert desk.here.pipeline(GOLD).strategy.get_status()["state"] == "running"
    desk.until(is_open=True)
    assert {one.strategy for one in desk.here.stores.ledger.positions() if one.is_open} == {"sma_cross"}


def test_person_who_pauses_a_held_symbol_is_not_overruled_when_it_is_built(desk: Desk) -> None:
    desk.tick()
    desk.edit(GOLD, strategy=OTHER)
    desk.reload()
    desk.here.stores.ledger.set_desired(GOLD, DesiredState.PAUSED, reason="a person")

    desk.tick()

    assert desk.desired() is DesiredState.PAUSED


def test_limit_of_the_account_holds_for_all_symbols_from_their_next_tick(desk: Desk) -> None:
    desk.tick()
    desk.tick(COIN)
    generations = [desk.generation(name) for name in (GOLD, COIN)]
    desk.content["account"]["max_notional"] = 1.0
    desk.edit()

    answer = desk.reload()
    for _ in range(60):
        desk.tick()

    assert answer["shared"] == [{"path": "account.max_notional", "before": None, "now": 1.0}]
    assert all(desk.generation(name) > before for name, before in zip((GOLD, COIN), generations, strict=True))
    refused = {row["rule"] for row in desk.here.stores.ledger.decisions(GOLD)}
    assert "max_notional" in refused
    assert desk.units() == 0
