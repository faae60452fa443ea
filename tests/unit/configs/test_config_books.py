"""Several strategies of one symbol in `symbols.yaml`: which are allowed, and what of them may change when."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.diff import Exposure, compare
from configs.errors import ConfigError
from configs.files.symbols_editor import SymbolsEditor
from configs.loading import SystemConfig, load_system
from configs.snapshot import Content, content_of, deciding_digest, fingerprint

SHIPPED = Path(__file__).parents[3] / "configs"
EMA = {"name": "ema_cross", "params": {"fast": 5, "slow": 13}}
RSI = {"name": "rsi_reversion", "params": {}}
BOTH = {"follow": EMA, "fade": RSI}


def load(folder: Path, parts: dict[str, Any], **environ: str) -> SystemConfig:
    """Load the shipped files with parts of XAUUSD changed; None takes a part out."""
    for name in ("services.yaml", "symbols.yaml"):
        content = yaml.safe_load((SHIPPED / name).read_text())
        if "symbols" in content:
            gold = content["symbols"]["XAUUSD"] | parts
            content["symbols"]["XAUUSD"] = {key: value for key, value in gold.items() if value is not None}
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
    return load_system(folder, {f"TRADING__SYMBOLS__XAUUSD__{name}": value for name, value in environ.items()})


def fault(folder: Path, parts: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, parts)
    assert len(caught.value.faults) == 1, caught.value.faults
    return str(caught.value.faults[0]).replace(f"{folder}/", "configs/")


def content(folder: Path, strategies: dict[str, Any] | None, **parts: Any) -> Content:
    given = {"strategies": strategies, **({"strategy": None} if strategies else {}), **parts}
    return content_of(load(folder, given), folder)


def test_one_strategy_has_a_book_of_its_own_name(tmp_path: Path) -> None:
    books = load(tmp_path, {}).symbols["XAUUSD"].books

    assert [(name, book.strategy, book.risk.units) for name, book in books.items()] == [("ema_cross", "ema_cross", 10)]


def test_several_strategies_keep_their_order_and_may_have_risk_of_their_own(tmp_path: Path) -> None:
    fade = RSI | {"risk": {"sizing": "fixed_units", "units": 3}}
    books = load(tmp_path, {"strategy": None, "strategies": {"follow": EMA, "fade": fade}}).symbols["XAUUSD"].books

    assert [(name, book.strategy, book.risk.units) for name, book in books.items()] == [
        ("follow", "ema_cross", 10),
        ("fade", "rsi_reversion", 3),
    ]


def test_environment_reaches_a_parameter_of_one_of_several(tmp_path: Path) -> None:
    parts = {"strategy": None, "strategies": BOTH}
    books = load(tmp_path, parts, STRATEGIES__FOLLOW__PARAMS__FAST="4").symbols["XAUUSD"].books

    assert books["follow"].params["fast"] == 4


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"strategies": BOTH}, "symbols.XAUUSD.strategies: set `strategy` or `strategies`, not both"),
        ({"strategy": None}, "XAUUSD.strategies: found nothing; allowed: at least one, under the key strategy or"),
        ({"strategy": None, "strategies": {}}, "XAUUSD.strategies: at least one, under the key strategy or strategies"),
        ({"strategy": None, "strategies": {"a": EMA, "A": RSI}}, "a, A: two names differ in upper and lower case"),
        ({"strategy": None, "strategies": {"a.b": EMA}}, "allowed: 1 to 20 letters, digits"),
        ({"strategy": None, "strategies": {"a": EMA | {"name": "emma"}}}, "strategies.a.name: found 'emma'"),
        ({"strategy": None, "strategies": {"a": EMA | {"params": {"fast": -1}}}}, "strategies.a.params.fast: found -1"),
        ({"strategy": None, "strategies": {"a": EMA | {"parms": {}}}}, "strategies.a.parms: unknown key 'parms'"),
        ({"strategy": None, "strategies": {"a": EMA | {"risk": {"units": -1}}}}, "strategies.a.risk.units: found -1"),
    ],
)
def test_strategies_that_cannot_be_used_are_rejected_with_what_to_do(
    tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    assert message in fault(tmp_path, parts)


def test_single_strategy_has_the_same_digest_and_content_as_before_there_were_several(tmp_path: Path) -> None:
    system = load(tmp_path, {})

    assert content_of(system, tmp_path)["symbols"]["XAUUSD"]["strategy"]["name"] == "ema_cross"
    assert {"strategies", "order_of_strategies"}.isdisjoint(content_of(system, tmp_path)["symbols"]["XAUUSD"])


def test_another_order_is_another_configuration(tmp_path: Path) -> None:
    swapped = {"fade": RSI, "follow": EMA}
    before, now = content(tmp_path, BOTH), content(tmp_path, swapped)

    assert fingerprint(before, "XAUUSD") != fingerprint(now, "XAUUSD")
    change = compare(before, now, lambda _: OPEN)
    assert (change.renewed, change.refusals) == (("XAUUSD",), ())
    digests = {
        deciding_digest(load(tmp_path, {"strategy": None, "strategies": one}), "XAUUSD") for one in (BOTH, swapped)
    }
    assert len(digests) == 2


OPEN = Exposure(2.0, 0, True, {"follow": 2.0}, frozenset())
RENAMED = {"trend": EMA, "fade": RSI}
OTHER_CLASS = {"follow": EMA | {"name": "sma_cross"}, "fade": RSI}
WAITS = "a position of 2 units is open, and it belongs to the strategy that opened it, and no other one would close it"


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({"fade": RSI}, "strategies.follow.name: ema_cross -> none is not allowed yet"),
        (RENAMED, "strategies.follow.name: ema_cross -> none is not allowed yet"),
        (OTHER_CLASS, "strategies.follow.name: ema_cross -> sma_cross is not allowed yet"),
        ({"follow": EMA}, ""),
        (BOTH | {"third": EMA}, ""),
        ({"follow": EMA | {"params": {"fast": 6, "slow": 13}}, "fade": RSI}, ""),
    ],
)
def test_strategy_that_holds_something_must_stay_and_all_else_may_change(
    tmp_path: Path, now: dict[str, Any], message: str
) -> None:
    refusals = compare(content(tmp_path, BOTH), content(tmp_path, now), lambda _: OPEN).refusals

    assert [message in one and WAITS in one for one in refusals] == ([True] if message else [])


def test_one_strategy_that_becomes_one_of_several_under_its_name_keeps_its_book(tmp_path: Path) -> None:
    held = Exposure(2.0, 0, True, {"ema_cross": 2.0}, frozenset())
    one = content(tmp_path, None)

    assert compare(one, content(tmp_path, {"ema_cross": EMA, "fade": RSI}), lambda _: held).refusals == ()
    refused = compare(one, content(tmp_path, {"follow": EMA, "fade": RSI}), lambda _: held).refusals
    assert [WAITS in line for line in refused] == [True]


def test_exposure_of_several_strategies_names_each() -> None:
    found = Exposure(0.0, 0, True, {"follow": 2.0, "fade": -2.0}, frozenset())

    assert str(found) == "positions are open: 2 units by follow, -2 units by fade"


def test_one_value_of_one_strategy_is_changed_in_the_text_and_no_other_line() -> None:
    text = yaml.safe_dump({"symbols": {"GOLD": {"strategies": copy.deepcopy(BOTH)}}}, sort_keys=False)

    changed = SymbolsEditor(text).with_value("GOLD", ["strategies", "follow", "params", "fast"], "6")

    assert changed == text.replace("fast: 5", "fast: 6")
