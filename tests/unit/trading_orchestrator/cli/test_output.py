"""The commands' output, in terminals of several widths and into a pipe."""

import io

import pytest

from adapters.wiring.symbol_status import SymbolStatus
from trading_orchestrator.cli.inspect.books import ORDERS, fill_columns, position_columns
from trading_orchestrator.cli.inspect.decisions import COLUMNS as DECISIONS
from trading_orchestrator.cli.inspect.status import StatusView, view
from trading_orchestrator.cli.output import Column, Output, table

ORDER = {
    "market_ms": 1_736_150_400_000,
    "symbol": "XAUUSD",
    "side": "sell",
    "leg": "take_profit",
    "units": 10.0,
    "filled_units": 2.5,
    "state": "partially_filled",
    "reference_price": 2651.37,
    "stop_loss": 2640.0,
    "take_profit": 2660.0,
    "strategy": "ema_cross",
    "client_order_id": "XAUUSD-1736150400-e-3f9a61c04b",
}
FILL = {**ORDER, "price": 2651.37, "fee": 0.53, "realised": -12.5}
POSITION = {**ORDER, "units": -2.0, "average_price": 2651.37, "opened_ms": 1_736_150_400_000, "realised": 0.0}
DECISION = {
    "open_ms": 1_736_150_400_000,
    "close": 96_564.0,
    "regime": "trending_up",
    "outcome": "accepted",
    "decision": "buy 0.2 units at 96564, risk 97.88: EMA 5 crossed above EMA 13",
}
GOLD = SymbolStatus(
    "XAUUSD",
    "stale",
    "running",
    "1m",
    "ema_cross",
    progress_age_s=125.0,
    candle_ms=1_736_150_400_000,
    close=2651.37,
    units=-1.5,
    average_price=2649.0,
    realised=12.5,
    unrealised=-3.56,
    regime="trending_up",
    decision="no signal",
    last_action="sell 1.5 units at 2649",
    last_action_ms=1_736_150_340_000,
)
TABLES: list[tuple[tuple[Column, ...], dict[str, object], list[str]]] = [
    (ORDERS, ORDER, ["2025-01-06 08:00", "XAUUSD", "sell", "take_profit", "2.5 of 10", "partially_filled"]),
    (fill_columns(2), FILL, ["2025-01-06 08:00", "XAUUSD", "sell", "10", "2,651.37", "-12.50"]),
    (position_columns(2), POSITION, ["XAUUSD", "-2", "2,651.37", "2025-01-06 08:00", "0.00", "ema_cross"]),
    (DECISIONS, DECISION, ["2025-01-06 08:00", "96,564.00", "accepted", "risk 97.88"]),
]


def drawn(renderable: object, width: int) -> str:
    console = Output(file=io.StringIO(), width=width, color_system=None, record=True)
    console.print(renderable)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 110, 160])
@pytest.mark.parametrize(("columns", "row", "parts"), TABLES)
def test_table_at_any_width_fits_and_cuts_nothing(
    columns: tuple[Column, ...], row: dict[str, object], parts: list[str], width: int
) -> None:
    text = drawn(table(columns, [row], width=width), width)

    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "UTC" in text
    for part in parts:
        assert part in text


def test_table_in_a_wide_terminal_shows_more() -> None:
    narrow, wide = (drawn(table(ORDERS, [ORDER], width=width), width) for width in (80, 160))

    assert str(ORDER["client_order_id"]) not in narrow
    assert str(ORDER["client_order_id"]) in wide
    assert "2,640.00" in wide


@pytest.mark.parametrize("width", [80, 160])
def test_status_shows_account_symbol_and_last_action(width: int) -> None:
    text = drawn(
        view(StatusView("paper", 100_012.5, "127.0.0.1:6390", [GOLD]), width=width, trouble="no answer"), width
    )

    assert max(map(len, text.splitlines())) <= width
    for part in ("100,012.50", "+8.94", "stale", "-1.5 @ 2,649.00", "08:00", "07:59  sell 1.5", "outdated"):
        assert part in text
    assert ("2m05s ago" in text) == (width == 160)


def test_pipe_gets_lines_without_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    Output(width=200).show(table(DECISIONS, [DECISION], width=200))

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line == line.rstrip() for line in lines)
    assert str(DECISION["decision"]) in lines[2]
