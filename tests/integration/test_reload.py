"""Another configuration, put in force under processes that go on: all of it or nothing, and nothing left open."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters import keys
from configs.content import fingerprint
from configs.load import load_system
from tasks.reload import OVERTAKEN, REMOVED, WorkerFiles, put_in_force
from tasks.runtime import CHANGING, Runtime
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.system import TradingSystem, file_symbol
from trading.candles import VOLUME
from trading.errors import Rejected, UnknownSymbol
from trading.events import EventType
from trading.flow import End, EndReason, Wake
from trading.lifecycle import DesiredState

GOLD, COIN = "XAUUSD", "BTCUSD"
CANDLES = 200
HASTY = {"name": "ema_cross", "params": {"fast": 2, "slow": 3, "atr_period": 2, "stop_atr": 0, "target_atr": 0}}
OTHER = {"name": "sma_cross", "params": {"fast": 2, "slow": 4, "atr_period": 2}}


class Desk:
    """A system of two symbols whose files a test edits, and as many processes of it as the test wants."""

    def __init__(self, system: TradingSystem, files: dict[str, Path]) -> None:
        self.system = system
        self.files = files
        self.path = system.folder / "configs" / "symbols.yaml"
        self.content: dict[str, Any] = yaml.safe_load(self.path.read_text())
        self.here = self.process()

    def process(self) -> Runtime:
        """Start another process: it knows what the files say now."""
        return Runtime(self.system.settings, load_system(self.path.parent))

    def edit(self, symbol: str | None = None, **parts: Any) -> None:
        """Write the files anew, with parts of a symbol changed; None takes the part out."""
        if symbol is not None:
            config = self.content["symbols"].setdefault(symbol, file_symbol(self.files[COIN], strategy=HASTY))
            config.update(parts)
        self.path.write_text(yaml.safe_dump(self.content, sort_keys=False))

    def drop(self, symbol: str) -> None:
        del self.content["symbols"][symbol]
        self.edit()

    def reload(self, here: Runtime | None = None, workers: list[WorkerFiles] | None = None) -> dict[str, Any]:
        here = here or self.here
        return put_in_force(here, here.config.described(here.config.load()), workers or [], "test")

    def tick(self, symbol: str = GOLD, here: Runtime | None = None) -> End:
        """Run a whole chain as `tasks.stage` does."""
        here = here or self.here
        end = here.pipeline(symbol).advance(Wake(symbol))
        return here.rebuild(symbol).advance(Wake(symbol)) if end.reason is EndReason.RESTARTED else end

    def units(self, symbol: str = GOLD) -> float:
        return self.here.stores.ledger.exposure(symbol).units

    def until(self, *, is_open: bool, symbol: str = GOLD) -> None:
        """Tick until a position is open, or nothing is."""
        for _ in range(CANDLES):
            exposure = self.here.stores.ledger.exposure(symbol)
            if (exposure.units != 0) if is_open else not exposure.is_open:
                return
            self.tick(symbol)
        pytest.fail("the candles never came to that")

    def flatten(self) -> None:
        """Have what is open closed as a person does: paused, so that nothing is opened in its place."""
        ledger = self.here.stores.ledger
        ledger.set_desired(GOLD, DesiredState.PAUSED, reason="test")
        self.until(is_open=False)
        ledger.set_desired(GOLD, DesiredState.RUNNING, reason="test")

    def desired(self, symbol: str = GOLD) -> DesiredState:
        return self.here.stores.ledger.desired(symbol)

    def generation(self, symbol: str) -> int:
        return self.here.stores.store.load(symbol).generation

    def events(self) -> list[tuple[str | None, str]]:
        found = [event for _, _, event in self.here.bus.recent(1_000) if event.type is EventType.CONFIG_CHANGED]
        return [(event.symbol, event.reason) for event in found]


@pytest.fixture
def desk(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[Desk]:
    files = {
        name: write_candles(tmp_path / f"{name}.csv", generated_candles(name, CANDLES, seed=at))
        for at, name in enumerate((GOLD, COIN))
    }
    system = make_system({name: file_symbol(path, strategy=HASTY) for name, path in files.items()})
    with system.as_environment():
        yield Desk(system, files)


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
    end = desk.tick()

    needed = desk.here.pipeline(GOLD).indicators.history_count
    assert needed > 20
    assert len(store.window(GOLD, needed, until_ms=desk.system.cursor_ms(GOLD))) == min(needed, 41)
    assert desk.system.cursor_ms(GOLD) == cursor_ms + 60_000
    assert end.reason not in (EndReason.TOO_FEW_ROWS, EndReason.RESTARTED)


@pytest.mark.parametrize("part", [{"timeframe": "5m"}, {"strategy": OTHER}])
def test_change_that_must_wait_is_refused_with_a_position_and_nothing_is_applied(
    desk: Desk, part: dict[str, Any]
) -> None:
    desk.until(is_open=True)
    desk.tick(COIN)
    applied, generation = desk.here.config.applied.read(), desk.generation(GOLD)

    desk.edit(COIN, risk={"sizing": "fixed_units", "units": 9.0})
    desk.edit(GOLD, **part)
    answer = desk.reload()

    assert answer["outcome"] == "refused"
    assert all("has to wait: a position of" in line for line in answer["refusals"])
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


def test_hold_is_given_and_taken_back_under_its_own_reason_alone(desk: Desk) -> None:
    ledger = desk.here.stores.ledger

    assert ledger.hold(GOLD, DesiredState.PAUSED, reason=CHANGING)
    assert not ledger.hold(GOLD, DesiredState.STOPPED, reason=REMOVED)
    assert not ledger.release(GOLD, held_for=REMOVED, reason="test")
    assert ledger.desired(GOLD) is DesiredState.PAUSED
    assert ledger.release(GOLD, held_for=CHANGING, reason="test")
    assert not ledger.release(GOLD, held_for="test", reason="test")
    assert ledger.hold(GOLD, DesiredState.STOPPED, reason=REMOVED)
    assert ledger.desired(GOLD) is DesiredState.STOPPED


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


def test_symbol_removed_is_refused_while_a_position_is_open_and_stops_when_none_is(desk: Desk) -> None:
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
    assert desk.tick(COIN, elsewhere).reason is not EndReason.RESTARTED


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
            [f"{GOLD} is paused since an earlier time"] if is_paused else []
        )


def test_symbol_with_another_source_goes_on_at_the_next_candle_with_a_window_of_the_new_one(
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


def test_played_market_goes_on_from_its_last_candle_when_its_pace_changes(desk: Desk) -> None:
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


def test_process_whose_files_broke_keeps_what_it_has_and_follows_when_they_are_mended(desk: Desk) -> None:
    elsewhere = desk.process()
    desk.tick(COIN)
    desk.tick(here=elsewhere)
    desk.edit(GOLD, risk={"sizing": "fixed_units", "units": 3.0})
    desk.reload()
    good = desk.path.read_text()

    desk.path.write_text("symbols: [")
    desk.tick(here=elsewhere)
    assert elsewhere.system.symbols[GOLD].risk.units == 1
    assert "cannot be used" in elsewhere.config.trouble

    desk.path.write_text(good)
    elsewhere.look()
    desk.tick(here=elsewhere)
    assert elsewhere.system.symbols[GOLD].risk.units == 3
    assert elsewhere.config.trouble == ""
    content = elsewhere.config.content()
    assert elsewhere.config.applied.built([GOLD])[GOLD].config == content["symbols"][GOLD]


def test_change_after_a_loss_of_redis_is_followed_though_its_revision_was_there_before(desk: Desk) -> None:
    elsewhere = desk.process()
    for units in (2.0, 3.0):
        desk.edit(GOLD, risk={"sizing": "fixed_units", "units": units})
        answer = desk.reload()
        elsewhere.look()
        desk.tick(here=elsewhere)
        desk.here.stores.redis.flushdb()  # the server is this test's own

    assert answer["revision"] == 1
    assert elsewhere.system.symbols[GOLD].risk.units == 3


def test_process_takes_what_was_applied_and_not_what_was_edited_since(desk: Desk) -> None:
    elsewhere = desk.process()
    desk.tick(here=elsewhere)
    desk.edit(GOLD, risk={"sizing": "fixed_units", "units": 3.0})
    desk.reload()
    desk.edit(COIN, risk={"sizing": "fixed_units", "units": 7.0})

    desk.tick(here=elsewhere)

    risks = {name: config.risk.units for name, config in elsewhere.system.symbols.items()}
    assert risks == {GOLD: 3, COIN: 1}
    assert elsewhere.config.trouble == f"the files differ from what was applied in: {COIN}"


def test_process_begun_with_files_that_what_is_open_forbids_builds_nothing_and_says_why(desk: Desk) -> None:
    desk.until(is_open=True)
    desk.edit(GOLD, strategy=OTHER)

    with pytest.raises(Rejected, match=r"strategy\.name: ema_cross -> sma_cross has to wait: a position of"):
        desk.tick(here=desk.process())

    desk.edit(GOLD, strategy=HASTY)
    desk.tick(here=desk.process())


def test_process_told_to_build_what_is_open_forbids_goes_on_with_what_it_had(desk: Desk) -> None:
    desk.until(is_open=True)
    desk.edit(GOLD, strategy=OTHER)
    wanted = desk.here.config.described(desk.here.config.load())

    desk.here.config.applied.apply(wanted, seen=0, renewed=[GOLD])  # as if the position had opened in between
    desk.tick()

    assert desk.here.config.applied.built([GOLD])[GOLD].config["strategy"]["name"] == "ema_cross"


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


def test_second_change_in_between_refuses_the_first_and_lets_go_of_what_it_held(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.tick()
    desk.edit(GOLD, strategy=OTHER)
    hold = desk.here.stores.ledger.hold

    def overtaken(*args: Any, **kwargs: Any) -> bool:
        desk.here.stores.redis.incr(keys.config_revision(desk.system.settings.namespace))
        return hold(*args, **kwargs)

    monkeypatch.setattr(desk.here.stores.ledger, "hold", overtaken)
    answer = desk.reload()

    assert (answer["outcome"], answer["refusals"]) == ("refused", [OVERTAKEN])
    assert desk.desired() is DesiredState.RUNNING


def test_position_that_opens_after_the_first_look_is_seen_by_the_second(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.tick()
    desk.edit(GOLD, strategy=OTHER)
    hold = desk.here.stores.ledger.hold

    def slow(*args: Any, **kwargs: Any) -> bool:
        desk.until(is_open=True)
        return hold(*args, **kwargs)

    monkeypatch.setattr(desk.here.stores.ledger, "hold", slow)
    answer = desk.reload()

    assert answer["outcome"] == "refused"
    assert "a position of" in answer["refusals"][0]
    assert desk.desired() is DesiredState.RUNNING
    assert desk.here.config.applied.revision() == 0


def test_worker_that_reads_other_files_is_named_and_nothing_is_applied(desk: Desk) -> None:
    desk.tick()
    desk.edit(GOLD, risk={"sizing": "fixed_units", "units": 3.0})
    stale = WorkerFiles("XAUUSD@elsewhere", [GOLD, "control"], {GOLD: "other"}, [])
    broken = WorkerFiles("BTCUSD@elsewhere", [COIN], {}, ["symbols.yaml: bad"])
    bystander = WorkerFiles("control@elsewhere", ["control"], {}, ["symbols.yaml: bad"])

    answer = desk.reload(workers=[stale, broken, bystander])

    assert answer["outcome"] == "refused"
    assert [line.split(":")[0] for line in answer["refusals"]] == [
        "worker XAUUSD@elsewhere reads another configuration of XAUUSD",
        "worker BTCUSD@elsewhere cannot use its files",
    ]
    assert desk.here.config.applied.revision() == 0


def test_answer_names_queues_that_nobody_consumes_and_those_of_removed_symbols_with_commands(desk: Desk) -> None:
    desk.tick()
    desk.drop(COIN)
    desk.edit("ETHUSD")
    now = desk.here.config.described(desk.here.config.load())
    worker = WorkerFiles("both@host", [COIN, GOLD], {GOLD: fingerprint(now, GOLD)}, [])

    answer = desk.reload(workers=[worker])

    assert answer["unserved"] == [
        {
            "symbol": "ETHUSD",
            "commands": [
                "celery -A tasks worker -Q ETHUSD",
                "celery -A tasks control add_consumer ETHUSD -d both@host",
            ],
        }
    ]
    assert answer["idle"] == [
        {"symbol": COIN, "node": "both@host", "command": f"celery -A tasks control cancel_consumer {COIN} -d both@host"}
    ]
    assert answer["launcher"] is None
