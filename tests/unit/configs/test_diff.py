"""The changes of another configuration, and those that are not allowed while a position or order is open."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.diff import Change, Exposure, Kind, change_refused, compare
from configs.loading import SystemConfig, load_system
from configs.snapshot import Content, content_of, fingerprint, follow, market_of

SHIPPED = Path(__file__).parents[3] / "configs"
HELD = Exposure(units=-10.0, unsettled=0, is_open=True)
FLAT = Exposure()


def system(**environ: str) -> SystemConfig:
    return load_system(SHIPPED, {f"TRADING__{name}": value for name, value in environ.items()})


def shipped(**environ: str) -> Content:
    return content_of(system(**environ), SHIPPED)


def holding(*symbols: str) -> Callable[[str], Exposure]:
    return lambda symbol: HELD if symbol in symbols else FLAT


def changed(path: str, value: Any, *, old: Content | None = None) -> Content:
    """Return the shipped configuration with one value changed; None takes it out."""
    new = copy.deepcopy(old or shipped())
    *parents, last = path.split(".")
    node = new
    for part in parents:
        node = node.setdefault(part, {})
    if value is None:
        del node[last]
    else:
        node[last] = value
    return new


def shown(change: Change) -> list[str]:
    return [str(one) for symbol in change.symbols for one in symbol.differences] + [str(one) for one in change.shared]


def test_same_configuration_changes_nothing_whatever_is_open() -> None:
    change = compare(shipped(), shipped(), holding("XAUUSD", "BTCUSD"))

    assert change == Change((), (), (), ())
    assert change.is_empty


FREE = [
    ("risk.units", 5.0, "risk.units: 10 -> 5"),
    ("risk.max_units", 50.0, "risk.max_units: the default -> 50"),
    ("strategy.params.fast", 6, "strategy.params.fast: 5 -> 6"),
    ("max_signal_age_s", 60.0, "max_signal_age_s: 180 -> 60"),
    ("allowed_regimes", ["ranging"], 'allowed_regimes: the default -> ["ranging"]'),
    ("session.opens", "sun 17:00", "session.opens: sun 18:00 -> sun 17:00"),
    ("venue.spread", 0.3, "venue.spread: 0.2 -> 0.3"),
    ("source.speed", "max", "source.speed: 60 -> max"),
]
BOUND = [
    ("timeframe", "5m", "timeframe: 1m -> 5m"),
    ("source.seed", 58, "source.seed: 57 -> 58"),
    ("source.kind", "file", "source.kind: simulated -> file"),
    ("strategy.name", "sma_cross", "strategy.name: ema_cross -> sma_cross"),
    ("venue.kind", "other", "venue.kind: paper -> other"),
    ("venue.fill_at", "close", "venue.fill_at: the default -> close"),
    ("venue.faults.seed", 3, "venue.faults.seed: the default -> 3"),
]


@pytest.mark.parametrize(("path", "value", "message"), FREE + BOUND)
def test_change_of_a_flat_symbol_is_reported_and_renews_it_alone(path: str, value: Any, message: str) -> None:
    change = compare(shipped(), changed(f"symbols.XAUUSD.{path}", value), holding("BTCUSD"))

    assert shown(change) == [message]
    assert (change.of(Kind.CHANGED), change.renewed, change.refusals) == (["XAUUSD"], ("XAUUSD",), ())
    assert change.symbols[0].needs_flat == ((path, value, message) in BOUND)


@pytest.mark.parametrize(("path", "value", "message"), FREE)
def test_change_that_need_not_wait_is_taken_while_a_position_is_open(path: str, value: Any, message: str) -> None:
    assert compare(shipped(), changed(f"symbols.XAUUSD.{path}", value), holding("XAUUSD")).refusals == ()


@pytest.mark.parametrize(("path", "value", "message"), BOUND)
def test_change_that_has_to_wait_is_rejected_with_what_is_open_and_what_to_do(
    path: str, value: Any, message: str
) -> None:
    new = changed(f"symbols.XAUUSD.{path}", value)

    (refusal,) = compare(shipped(), new, holding("XAUUSD")).refusals

    assert refusal.startswith(f"XAUUSD: {message} is not allowed yet: a position of -10 units is open, and ")
    assert "celery -A tasks trading pause XAUUSD" in refusal
    old = shipped()["symbols"]["XAUUSD"]
    assert change_refused("XAUUSD", old, new["symbols"]["XAUUSD"], holding("XAUUSD")) == [refusal]


def test_source_of_another_kind_is_one_refusal_for_each_value_that_differs() -> None:
    new = changed("symbols.XAUUSD.source", {"kind": "file", "path": "gold.csv"})

    refusals = compare(shipped(), new, holding("XAUUSD")).refusals

    assert any("source.path: the default -> gold.csv" in line for line in refusals)
    assert not any("source.speed" in line for line in refusals)


@pytest.mark.parametrize(
    ("exposure", "message"),
    [
        (HELD, "a position of -10 units is open"),
        (Exposure(0.0, 1, True), "1 order is not settled"),
        (Exposure(2.5, 2, True), "a position of 2.5 units is open and 2 orders are not settled"),
        (Exposure(0.0, 0, True), "an order may be alive"),
    ],
)
def test_removal_of_a_symbol_with_something_open_is_rejected(exposure: Exposure, message: str) -> None:
    change = compare(shipped(), changed("symbols.XAUUSD", None), lambda _: exposure)

    assert change.refusals == (
        f"XAUUSD cannot be removed: {message}, which no service would close; celery -A tasks trading pause XAUUSD "
        "stops further entries; retry when it is flat",
    )


def test_symbol_that_comes_and_one_that_goes_renew_no_other() -> None:
    new = changed("symbols.ETHUSD", shipped()["symbols"]["BTCUSD"], old=changed("symbols.XAUUSD", None))

    change = compare(shipped(), new, holding("BTCUSD"))

    assert (change.of(Kind.ADDED), change.of(Kind.REMOVED)) == (["ETHUSD"], ["XAUUSD"])
    assert (change.renewed, change.refusals) == ((), ())


def test_limits_of_the_account_and_services_renew_all_symbols() -> None:
    new = shipped(ACCOUNT__MAX_DAILY_LOSS="500", SERVICES__INDICATOR_CALCULATION__RECENT_ROWS_LIMIT="8")

    change = compare(shipped(), new, holding("XAUUSD"))

    assert shown(change) == [
        "services.indicator_calculation.recent_rows_limit: the default -> 8",
        "account.max_daily_loss: 2000 -> 500",
    ]
    assert (change.symbols, change.renewed, change.refusals) == ((), ("XAUUSD", "BTCUSD"), ())


def test_orchestrator_renews_no_services() -> None:
    change = compare(shipped(), shipped(ORCHESTRATOR__HEALTH_CHECK_INTERVAL="5"), holding())

    assert (len(change.shared), change.renewed) == (1, ())


@pytest.mark.parametrize(("name", "value"), [("NAME", "real"), ("STARTING_BALANCE", "5")])
def test_account_itself_changes_at_a_start_alone(name: str, value: str) -> None:
    new = shipped(**{f"ACCOUNT__{name}": value})

    (refusal,) = compare(shipped(), new, holding()).refusals

    assert "requires a stop of the whole system" in refusal
    assert compare(shipped(), new, holding("XAUUSD"), is_running=False).refusals == ()


def test_start_of_the_same_account_is_held_against_what_is_open_and_that_of_another_is_not() -> None:
    new = changed("symbols.XAUUSD.timeframe", "5m")

    assert compare(shipped(), new, holding("XAUUSD"), is_running=False).refusals
    other = changed("account.name", "real", old=new)
    assert compare(shipped(), other, holding("XAUUSD"), is_running=False).refusals == ()


@pytest.mark.parametrize(
    "switch",
    [
        {"SERVICES__TRADE_EXECUTION__EXECUTION_MODE": "dry"},
        {"SERVICES__TRADE_EXECUTION__ENABLED": "false"},
        {"SERVICES__DATA_FETCHING__ENABLED": "false"},
    ],
)
def test_switch_that_would_leave_a_position_alone_waits_until_none_is_open(switch: dict[str, str]) -> None:
    (refusal,) = compare(shipped(), shipped(**switch), holding("BTCUSD")).refusals

    assert "no service would close the open positions (BTCUSD: a position of -10 units is open)" in refusal
    assert compare(shipped(), shipped(**switch), holding()).refusals == ()
    assert compare(shipped(**switch), shipped(), holding("BTCUSD")).refusals == ()


def test_exposure_is_requested_only_where_it_matters() -> None:
    def never(symbol: str) -> Exposure:
        raise AssertionError(symbol)

    assert compare(shipped(), changed("symbols.XAUUSD.risk.units", 5.0), never).refusals == ()


def test_content_is_the_same_wherever_the_files_are(tmp_path: Path) -> None:
    found = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "services.yaml").write_text((SHIPPED / "services.yaml").read_text())
        text = (SHIPPED / "symbols.yaml").read_text().replace("kind: simulated            #", "kind: file #", 1)
        lines = [line for line in text.splitlines() if not line.lstrip().startswith(_SIMULATED)]
        lines.insert(lines.index(next(line for line in lines if "kind: file" in line)) + 1, "      path: gold.csv")
        (folder / "symbols.yaml").write_text(
            "\n".join(lines).replace("kind: simulated", "kind: file\n      path: b.csv")
        )
        found.append(content_of(load_system(folder, {}), folder))

    assert found[0] == found[1]
    assert found[0]["symbols"]["XAUUSD"]["source"]["path"] == "gold.csv"


_SIMULATED = ("seed:", "start_price:", "start:", "annual_volatility:", "tick_size:")


def test_pace_of_a_source_is_apart_from_what_it_plays() -> None:
    source, pace = market_of(shipped(), "XAUUSD")

    assert market_of(changed("symbols.XAUUSD.source.speed", 5.0), "XAUUSD") == (source, "5.0")
    assert market_of(changed("symbols.XAUUSD.source.seed", 5), "XAUUSD")[0] != source
    assert pace == "60.0"


def test_process_takes_over_what_was_applied_and_not_what_its_files_say_beyond_that() -> None:
    found = system(SYMBOLS__XAUUSD__RISK__UNITS="5", SYMBOLS__BTCUSD__RISK__UNITS="7", ACCOUNT__MAX_DAILY_LOSS="9")
    applied = changed("symbols.XAUUSD.risk.units", 5.0)

    now, behind = follow(system(), found, applied, SHIPPED)

    assert (now.symbols["XAUUSD"].risk.units, now.symbols["BTCUSD"].risk.units) == (5, 0.2)
    assert now.account == system().account
    assert behind == ["account", "BTCUSD"]


def test_process_with_old_files_keeps_what_it_has_and_reports_it() -> None:
    now, behind = follow(system(), system(), changed("symbols.XAUUSD.risk.units", 5.0), SHIPPED)

    assert (now, behind) == (system(), ["XAUUSD"])


def test_symbol_that_was_removed_is_gone_and_one_that_only_a_start_knew_stays() -> None:
    both, gold = system(), system()
    gold = gold.model_copy(update={"symbols": {"XAUUSD": gold.symbols["XAUUSD"]}})
    without_bitcoin = changed("symbols.BTCUSD", None)

    assert list(follow(both, gold, without_bitcoin, SHIPPED)[0].symbols) == ["XAUUSD"]
    assert list(follow(both, both, without_bitcoin, SHIPPED)[0].symbols) == ["XAUUSD", "BTCUSD"]
    assert list(follow(gold, both, without_bitcoin, SHIPPED)[0].symbols) == ["XAUUSD"]


VALUES = {
    "timeframe": st.sampled_from(["1m", "5m"]),
    "risk": st.fixed_dictionaries({"units": st.sampled_from([1.0, 2.0])}),
    "strategy": st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b"]), "params": st.dictionaries(st.sampled_from("pq"), st.integers(1, 2))}
    ),
    "source": st.fixed_dictionaries(
        {"kind": st.just("simulated"), "seed": st.integers(1, 2), "speed": st.integers(1, 2)}
    ),
    "venue": st.fixed_dictionaries({"kind": st.just("paper")}, optional={"spread": st.sampled_from([0.1, 0.2])}),
}
CONTENTS = st.fixed_dictionaries(
    {
        "services": st.sampled_from([{}, {"trade_execution": {"execution_mode": "dry"}}]),
        "orchestrator": st.just({}),
        "account": st.fixed_dictionaries({"name": st.just("test")}, optional={"max_daily_loss": st.integers(1, 2)}),
        "symbols": st.dictionaries(st.sampled_from("ABC"), st.fixed_dictionaries(VALUES), min_size=1),
    }
)


@given(old=CONTENTS, new=CONTENTS, held=st.sets(st.sampled_from("ABC")))
def test_what_is_renewed_is_what_is_built_of_something_else_and_only_what_is_open_is_rejected(
    old: Content, new: Content, held: set[str]
) -> None:
    change = compare(old, new, holding(*held))

    stay = old["symbols"].keys() & new["symbols"].keys()
    assert set(change.renewed) == {name for name in stay if fingerprint(old, name) != fingerprint(new, name)}
    assert set(change.of(Kind.ADDED)) == new["symbols"].keys() - old["symbols"].keys()
    assert set(change.of(Kind.REMOVED)) == old["symbols"].keys() - new["symbols"].keys()
    assert change.is_empty == (old == new)
    if not held & old["symbols"].keys():
        assert change.refusals == ()
    flat = {one.symbol for one in change.symbols if one.needs_flat}
    assert bool(flat & held) <= bool(change.refusals)
