"""A change that other processes, other files and other changes meet on its way."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.redis import keys
from configs.snapshot import fingerprint
from tasks.reload import OVERTAKEN, WorkerFiles
from tests.fixtures.apps.reloading import COIN, GOLD, HASTY, OTHER, Desk, opened_desk
from tests.fixtures.apps.system import TradingSystem
from trading.errors import Rejected
from trading.lifecycle import DesiredState


@pytest.fixture
def desk(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[Desk]:
    with opened_desk(make_system, tmp_path) as found:
        yield found


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
    elsewhere.refresh()
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
        elsewhere.refresh()
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


def test_process_begun_with_files_that_what_is_open_forbids_builds_nothing_and_reports_why(desk: Desk) -> None:
    desk.until(is_open=True)
    desk.edit(GOLD, strategy=OTHER)

    with pytest.raises(Rejected, match=r"strategy\.name: ema_cross -> sma_cross is not allowed yet: a position of"):
        desk.tick(here=desk.process())

    desk.edit(GOLD, strategy=HASTY)
    desk.tick(here=desk.process())


def test_process_requested_to_build_what_is_open_forbids_continues_with_what_it_had(desk: Desk) -> None:
    desk.until(is_open=True)
    desk.edit(GOLD, strategy=OTHER)
    target = desk.here.config.described(desk.here.config.load())

    desk.here.config.applied.apply(target, seen=0, renewed=[GOLD])  # as if the position had opened in between
    desk.tick()

    assert desk.here.config.applied.built([GOLD])[GOLD].config["strategy"]["name"] == "ema_cross"


def test_second_change_in_between_rejects_the_first_and_lets_go_of_what_it_held(
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
