"""A strategy that raises or gives no answer: what its author is told, and what is no fault of its own."""

import pickle
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import Field, model_validator

from configs.plugins.strategies import load_strategy
from tests.fakes import Databases, Desk, planned, system_config
from tests.unit.trading.strategies.test_strategies import frame
from trading.errors import Interrupted, Transient
from trading.events.event import EventType
from trading.exits.exit_rules import ExitRules, ExitTerms
from trading.indicators import Indicator, ema, sma
from trading.orders.orders import Side
from trading.strategies import ExitNow, MoveStop, PositionView, SignalBuilder, Strategy, StrategyFault
from trading.strategies.errors import is_its_own
from trading.strategies.invocation import RESERVED, made, signals_of
from trading_orchestrator.testing.candles import at_place, make_candles

HERE = "tests.unit.trading.strategies.test_errors"
ROWS = 6
SHOWN = 20
THIRD, FIFTH = "2026-03-02 00:02 UTC", "2026-03-02 00:04 UTC"


class Says(Strategy):
    """Answers with what is given."""

    answer: Any = Field(default=None)

    def indicators(self) -> Mapping[str, Indicator]:
        return {}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return self.answer(rows) if callable(self.answer) else self.answer  # type: ignore[no-any-return]


class Raises(Says):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy((rows["nope"] > 3).to_numpy(), reason="never")


class Quits(Says):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        sys.exit(0)


class Exits(Says):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        exit()  # noqa: PLR1722  # as a user may write it


class Parses(Says):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        ArgumentParser().parse_args(["--nope"])
        return SignalBuilder(len(rows))


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class WithIndicators(Says):
    named: Any = Field(default=None)

    def indicators(self) -> Mapping[str, Indicator]:
        return self.named() if callable(self.named) else self.named  # type: ignore[no-any-return]


class Validates(Says):
    @model_validator(mode="after")
    def _is_sound(self) -> "Validates":
        raise TypeError("no such thing")


class HookRaises(Says):
    def manage_position(self, row: Mapping[str, float], position: PositionView) -> ExitNow | MoveStop | None:
        return ExitNow("thin") if row["volume"] < 1 else None


def rows() -> pd.DataFrame:
    found = frame(close=[100.0 + row for row in range(ROWS)])
    return found.set_axis(pd.Index(at_place(0) + np.arange(ROWS) * 60_000, name="open_ms"))


def fault_of(strategy: Strategy, *, last: int = ROWS) -> StrategyFault:
    with pytest.raises(StrategyFault) as caught:
        signals_of(strategy, rows(), last=last, name="mine")
    return caught.value


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def third(count: int) -> Any:
    return np.arange(count) == 2


def entry(**given: Any) -> Callable[[pd.DataFrame], SignalBuilder]:
    return lambda shown: SignalBuilder(len(shown)).buy(third(len(shown)), **{"reason": "in", **given})


# what raises


def test_error_of_its_own_code_reports_strategy_place_candle_and_its_own_line_alone() -> None:
    fault = fault_of(Raises(), last=2)
    line = line_of('rows["nope"] > 3')

    assert isinstance(fault.__cause__, KeyError)
    assert fault.summary == (
        f"strategy {__name__}:Raises: signals from the candle {FIFTH} on: KeyError: 'nope'; "
        "a row has: open_ms (the index), close"
    )
    (told,) = fault.lines
    assert f'test_errors.py, line {line}, in signals: return SignalBuilder(len(rows)).buy((rows["nope"] > 3)' in told


def test_fault_is_whole_after_a_journey_between_processes() -> None:
    fault = fault_of(Raises()).of("XAUUSD", "mine", "at noon")

    again = pickle.loads(pickle.dumps(fault))

    assert str(again) == str(fault)
    assert str(fault).startswith(f"XAUUSD: strategy mine ({__name__}:Raises): signals from the candle")
    assert again.whose == ("XAUUSD", "mine")


@pytest.mark.parametrize(
    ("kind", "fault"), [(Quits, "SystemExit: 0"), (Exits, "SystemExit: None"), (Parses, "SystemExit: 2")]
)
def test_code_that_ends_the_process_is_reported_as_a_fault(kind: type[Says], fault: str) -> None:
    assert fault_of(kind()).fault == fault


def test_error_that_cannot_report_itself_is_named() -> None:
    def mute(_: pd.DataFrame) -> SignalBuilder:
        raise Mute

    assert fault_of(Says(answer=mute)).fault == "Mute"


@pytest.mark.parametrize("error", [Transient("venue", "no answer"), Interrupted("8 s"), MemoryError()])
def test_error_of_the_outside_that_hits_a_strategy_passes_as_it_is(error: Exception) -> None:
    def interrupted(_: pd.DataFrame) -> SignalBuilder:
        raise error

    with pytest.raises(type(error)) as caught:
        signals_of(Says(answer=interrupted), rows(), last=1, name="mine")

    assert caught.value is error


def test_exit_that_does_not_come_from_the_strategy_is_not_its_own() -> None:
    assert not is_its_own(SystemExit(1))


# what is no answer


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (None, "answered None; allowed: a SignalBuilder(len(rows))"),
        (pd.DataFrame({"buy": range(100)}), "answered a DataFrame; allowed: a SignalBuilder(len(rows))"),
        (SignalBuilder(3), "the answer has 3 rows, expected 6"),
        (
            lambda shown: SignalBuilder(len(shown)).buy(True, reason="in"),  # type: ignore[arg-type]
            "`where` has shape (); expected a boolean for each of the 6 rows",
        ),
        (lambda shown: SignalBuilder(len(shown)).buy((x > 0 for x in [1]), reason="in"), "`where` is a generator"),  # type: ignore[arg-type]
        (entry(reason=float("nan")), "`reason` is nan; expected one text"),
        (entry(size_units="5"), "size_units holds <U1, such as '5'; expected numbers"),
        (entry(size_units=np.array(["5"] * ROWS, object)), "size_units has a value that is not a number: row 0 is '5'"),
        (entry(stop_loss=pd.to_datetime(["2026-03-24"] * ROWS)), "stop_loss holds datetime64[us], such as"),
        (entry(stop_loss=[1.0, 2.0]), "stop_loss has shape (2,); expected one number, or 6, one per row"),
    ],
)
def test_answer_that_is_none_reports_what_was_found_and_what_is_allowed(answer: object, found: str) -> None:
    assert found in fault_of(Says(answer=answer)).fault


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (entry(size_units=-1), "size_units is -1 (in); expected a positive size"),
        (entry(take_profit=np.inf), "take_profit is inf; expected a finite number, or None for none"),
        (entry(size_units=np.inf), "size_units is inf; expected a finite number, or None for none"),
        (
            lambda shown: entry()(shown).sell(third(len(shown)), reason="out"),
            "one row is both a buy and a sell (out; in); expected only one of them",
        ),
    ],
)
def test_answer_that_is_wrong_at_one_row_names_its_candle(answer: object, found: str) -> None:
    fault = fault_of(Says(answer=answer))

    assert fault.place == f"signals at the candle {THIRD}"
    assert found in fault.fault


def test_prices_may_be_objects_with_none_among_them() -> None:
    stops = pd.Series([None, None, Decimal("99.5"), pd.NA, None, None], dtype=object)
    (signal,), _ = signals_of(Says(answer=entry(stop_loss=stops)), rows(), last=ROWS, name="mine")

    assert signal.stop_loss == 99.5


def change_index(shown: pd.DataFrame) -> SignalBuilder:
    shown.index = pd.to_datetime(shown.index, unit="ms")
    return entry()(shown)


def change_close(shown: pd.DataFrame) -> SignalBuilder:
    shown["close"] = np.nan
    return entry()(shown)


def smooth_close(shown: pd.DataFrame) -> SignalBuilder:
    shown["close"] = shown["close"].ewm(span=3).mean()
    return entry()(shown)


@pytest.mark.parametrize(
    ("answer", "part"),
    [(change_index, "the index"), (change_close, "the column close"), (smooth_close, "the column close")],
)
def test_rows_that_were_changed_so_that_the_answer_means_nothing_are_reported(answer: object, part: str) -> None:
    assert (
        fault_of(Says(answer=answer)).fault == f"signals changed {part} of its rows; change a copy instead, rows.copy()"
    )


# indicators


@pytest.mark.parametrize("name", RESERVED)
def test_indicator_with_the_name_of_what_a_row_has_of_its_candle_is_rejected(name: str) -> None:
    with pytest.raises(StrategyFault, match=f"an indicator named '{name}'; allowed: .* names open_ms, open, high, low"):
        load_strategy(f"{HERE}:WithIndicators", {"named": {"fast": ema(3), name: ema(5)}})


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        (None, "indicators: answered None; allowed: a mapping of column names to Indicator"),
        ([ema(3)], "indicators: answered a list|answered \\[Indicator"),
        ({5: ema(3)}, "answered 5 as the name of a column"),
        ({"fast": "ema"}, "answered 'ema' for 'fast'"),
        ({"fast": ema(0)}, r"answered fast = EMA\(0\); allowed: an indicator that looks back on at least one candle"),
        (lambda: {"fast": Indicator("NOPE")}, "indicators: ValueError: TA-Lib has no function 'NOPE'"),
        (lambda: {"fast": ema("x")}, "indicators, fast: TypeError"),  # type: ignore[arg-type]
    ],
)
def test_indicators_that_cannot_be_computed_are_rejected_when_the_strategy_is_made(named: object, fault: str) -> None:
    with pytest.raises(StrategyFault, match=fault):
        made(WithIndicators, {"named": named})


@pytest.mark.parametrize("count", [0, 4, "20", None, True])
def test_startup_count_that_is_none_or_too_small_is_rejected(count: object) -> None:
    class Counts(Says):
        def indicators(self) -> Mapping[str, Indicator]:
            return {"mean": sma(5)}

        @property
        def startup_candle_count(self) -> int:
            return count  # type: ignore[return-value]

    with pytest.raises(
        StrategyFault, match=f"startup_candle_count: answered {count!r}; allowed: a whole number, at least 5"
    ):
        made(Counts, {})


def test_error_of_its_validator_that_is_none_of_a_parameter_is_reported_with_its_line() -> None:
    with pytest.raises(StrategyFault, match=r"parameters: TypeError: no such thing; .*in _is_sound: raise TypeError"):
        made(Validates, {})


# files


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def (:\n", r"cannot be imported: SyntaxError: .*; broken_for_a_test.py, line 1: def \(:"),
        (
            "x = 1\ny = x / 0\n",
            r"ZeroDivisionError: division by zero; broken_for_a_test.py, line 2, in <module>: y = x / 0",
        ),
        ("import not_there_for_a_test\n", r"No module named 'not_there_for_a_test'; broken_for_a_test.py, line 1"),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3; broken_for_a_test.py, line 2"),
    ],
)
def test_file_that_raises_when_it_is_imported_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, fault: str
) -> None:
    (tmp_path / "broken_for_a_test.py").write_text(text)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match=fault):
        load_strategy("broken_for_a_test:Mine", {})


# the services


def desk_of(databases: Databases, name: str, plan: Mapping[int, str], params: Mapping[str, Any] | None = None) -> Desk:
    strategy = planned(dict(plan), stop_distance=2.0) if params is None else {"params": dict(params)}
    return Desk(databases, system_config({**strategy, "name": name}), make_candles(60), shown=SHOWN)


def test_service_reports_symbol_strategy_candle_and_line_and_reports_it_once(databases: Databases) -> None:
    desk = desk_of(databases, f"{HERE}:Raises", {}, {})

    for _ in range(2):
        with pytest.raises(StrategyFault):
            desk.advance(show=1)

    (event,) = desk.events_of(EventType.SERVICE_ERROR)
    assert event.reason.startswith(f"StrategyFault: XAUUSD: strategy {HERE}:Raises: signals from the candle ")
    assert "; a row has: open_ms (the index), close; " in event.reason
    line = line_of('rows["nope"] > 3')
    assert f"line {line}, in signals" in event.reason


def test_indicator_without_a_value_reports_symbol_strategy_and_candle(databases: Databases) -> None:
    desk = desk_of(databases, f"{HERE}:NoValue", {}, {})

    with pytest.raises(
        StrategyFault, match=r"XAUUSD: strategy .*:NoValue: indicators at the candle .* UTC: root, ACOS"
    ):
        desk.advance()


class NoValue(Says):
    def indicators(self) -> Mapping[str, Indicator]:
        return {"root": Indicator("ACOS")}


def test_hook_that_raises_reports_symbol_strategy_candle_and_what_its_row_has() -> None:
    position = PositionView(Side.BUY, 1.0, 100.0, at_place(0))

    with pytest.raises(StrategyFault) as caught:
        ExitRules(ExitTerms(), HookRaises()).evaluated(100.0, {"open_ms": 0.0, "close": 100.0}, position)

    fault = caught.value.of("XAUUSD", "mine", "at the candle")
    assert isinstance(caught.value.__cause__, KeyError)
    assert fault.summary == (
        f"XAUUSD: strategy mine ({__name__}:HookRaises): manage_position at the candle: KeyError: 'volume'; "
        "a row has: open_ms, close"
    )
    line = line_of('ExitNow("thin") if')
    assert f"line {line}, in manage_position" in fault.lines[0]
